#include "wordpiece.hpp"

#include "arrays.hpp"
#include "bind.hpp"

#include <pybind11/stl.h>

namespace cascade::bind {
namespace {

// The UTF-8 form of Python's strings. ASCII is read where it lies; for other texts Python makes the form once and keeps
// it with the string, so a text that is encoded again costs nothing. `held` keeps the strings while the lock is
// released and another thread may change the list.
struct Texts {
    std::vector<py::object> held;
    std::vector<std::string_view> views;
    std::size_t bytes = 0;
};

std::string_view utf8(const py::handle& text, std::size_t index) {
    if (!PyUnicode_Check(text.ptr())) {
        throw py::type_error(message("texts[", index, "]: expected a string, got ", Py_TYPE(text.ptr())->tp_name));
    }
    Py_ssize_t size = 0;
    const char* const data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
    if (data == nullptr) {
        PyErr_Clear();
        throw py::value_error(message("texts[", index, "]: a lone surrogate; the text has no UTF-8 form"));
    }
    return {data, static_cast<std::size_t>(size)};
}

Texts read_texts(const py::list& texts) {
    Texts out;
    out.held.reserve(texts.size());
    out.views.reserve(texts.size());
    for (const py::handle text : texts) {
        out.views.push_back(utf8(text, out.views.size()));
        out.held.push_back(py::reinterpret_borrow<py::object>(text));
        out.bytes += out.views.back().size();
    }
    return out;
}

Index text_bytes(const py::list& texts) {
    Index bytes = 0;
    std::size_t index = 0;
    for (const py::handle text : texts) {
        bytes += static_cast<Index>(utf8(text, index++).size());
    }
    return bytes;
}

Index encode_py(const WordPiece& self, const py::list& texts, Index threads, IntArray ids, IntArray cu_seqlens) {
    const Texts in = read_texts(texts);
    const auto out = output(ids, "ids");
    const auto offsets = output(cu_seqlens, "cu_seqlens");
    check_apart({writes(out, "ids"), writes(offsets, "cu_seqlens")});
    py::gil_scoped_release release;  // safe: `in` holds the strings, the caller the arrays; no Python object is touched
    return encode_texts(self, in.views, threads, out, offsets);
}

WordPiece make(const py::bytes& pieces, const IntArray& cu_pieces, const IntArray& ids, TokenId unknown,
               const std::string& continuation, Index max_characters, bool clean_text, bool handle_chinese_chars,
               bool strip_accents, bool lowercase) {
    const std::string_view text = pieces;
    const auto offsets = input(cu_pieces, "cu_pieces");
    const auto values = input(ids, "ids");
    const WordPieceRule rule{
        unknown, continuation, max_characters, {clean_text, handle_chinese_chars, strip_accents, lowercase}};
    py::gil_scoped_release release;  // safe: spans of objects the caller holds, no Python object touched
    return WordPiece(Trie(text, offsets, values), rule);
}

}  // namespace

void bind_wordpiece(py::module_& module) {
    py::class_<WordPiece>(module, "WordPiece")
        .def(py::init(&make), "pieces"_a, "cu_pieces"_a.noconvert(), "ids"_a.noconvert(), "unknown"_a, "continuation"_a,
             "max_characters"_a, "clean_text"_a, "handle_chinese_chars"_a, "strip_accents"_a, "lowercase"_a)
        .def("encode", &encode_py, "texts"_a, "threads"_a, "ids"_a.noconvert(), "cu_seqlens"_a.noconvert())
        .def("find", [](const WordPiece& self, const std::string& token) { return self.find(token); }, "token"_a);
    module.attr("MAX_TOKEN_ID") = Trie::kMaxId;
    module.def("text_bytes", &text_bytes, "texts"_a);
}

}  // namespace cascade::bind
