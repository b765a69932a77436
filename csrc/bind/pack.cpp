#include "pack.hpp"

#include "arrays.hpp"
#include "bind.hpp"

#include <pybind11/stl.h>

namespace cascade::bind {
namespace {

// The template as an object that owns its parts, so that a request passes one argument instead of five.
struct OwnedTemplate {
    std::vector<TokenId> parts;
    std::vector<Index> segments;
    TokenId pad;
    Index position_offset;
    Index max_length;

    Template view() const { return {parts, segments, pad, position_offset, max_length}; }
};

py::tuple sequence_lengths_py(const IntArray& ids, const IntArray& cu_seqlens, const IntArray& rows, Index query_length,
                              const OwnedTemplate& form, IntArray lengths) {
    const Ragged documents{input(ids, "ids"), input(cu_seqlens, "cu_seqlens")};
    const auto row_span = input(rows, "rows");
    const auto out = output(lengths, "lengths");
    check_apart({writes(out, "lengths"), reads(row_span, "rows"), reads(documents.ids, "ids"),
                 reads(documents.cu_seqlens, "cu_seqlens")});
    Truncation lost;
    {
        py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
        lost = sequence_lengths(documents, row_span, query_length, form.view(), out);
    }
    return py::make_tuple(lost.texts, lost.tokens);
}

py::tuple plan_batches_py(const IntArray& lengths, Index token_budget, Index max_rows, Index window,
                          Index width_multiple, bool packed, IntArray order, IntArray bounds, IntArray widths) {
    const auto in = input(lengths, "lengths");
    const auto order_span = output(order, "order");
    const auto bounds_span = output(bounds, "bounds");
    const auto widths_span = output(widths, "widths");
    check_apart({writes(order_span, "order"), writes(bounds_span, "bounds"), writes(widths_span, "widths"),
                 reads(in, "lengths")});
    const PlanRule rule{token_budget, max_rows, window, width_multiple, packed ? Layout::packed : Layout::padded};
    PlanSize size;
    {
        py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
        size = plan_batches(in, rule, order_span, bounds_span, widths_span);
    }
    return py::make_tuple(size.batches, size.tokens);
}

void fill_batches_py(const IntArray& query, const IntArray& ids, const IntArray& cu_seqlens, const IntArray& rows,
                     const IntArray& lengths, const OwnedTemplate& form, const IntArray& order, const IntArray& bounds,
                     const IntArray& widths, bool packed, IntArray input_ids, std::optional<IntArray> attention_mask,
                     std::optional<IntArray> token_type_ids, std::optional<IntArray> position_ids) {
    const auto query_span = input(query, "query");
    const Ragged documents{input(ids, "ids"), input(cu_seqlens, "cu_seqlens")};
    const auto row_span = input(rows, "rows");
    const auto length_span = input(lengths, "lengths");
    const auto order_span = input(order, "order");
    const auto bounds_span = input(bounds, "bounds");
    const auto widths_span = input(widths, "widths");
    const auto out = output(input_ids, "input_ids");
    const auto mask = optional_output(attention_mask, "attention_mask");
    const auto types = optional_output(token_type_ids, "token_type_ids");
    const auto positions = optional_output(position_ids, "position_ids");
    check_apart({writes(out, "input_ids"), writes(mask, "attention_mask"), writes(types, "token_type_ids"),
                 writes(positions, "position_ids"), reads(query_span, "query"), reads(documents.ids, "ids"),
                 reads(documents.cu_seqlens, "cu_seqlens"), reads(row_span, "rows"), reads(length_span, "lengths"),
                 reads(order_span, "order"), reads(bounds_span, "bounds"), reads(widths_span, "widths")});
    py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
    fill_batches(query_span, documents, row_span, length_span, form.view(), order_span, bounds_span, widths_span, out,
                 mask, types, positions, packed ? Layout::packed : Layout::padded);
}

}  // namespace

void bind_pack(py::module_& module) {
    py::class_<OwnedTemplate>(module, "Template")
        .def(py::init([](std::vector<TokenId> parts, std::vector<Index> segments, TokenId pad, Index position_offset,
                         Index max_length) {
                 return OwnedTemplate{std::move(parts), std::move(segments), pad, position_offset, max_length};
             }),
             "parts"_a, "segments"_a, "pad"_a, "position_offset"_a, "max_length"_a)
        .def_readonly("parts", &OwnedTemplate::parts)
        .def_readonly("segments", &OwnedTemplate::segments)
        .def_readonly("pad", &OwnedTemplate::pad)
        .def_readonly("position_offset", &OwnedTemplate::position_offset)
        .def_readonly("max_length", &OwnedTemplate::max_length);
    module.attr("QUERY") = kQuery;
    module.attr("DOCUMENT") = kDocument;
    module.def("sequence_lengths", &sequence_lengths_py, "ids"_a.noconvert(), "cu_seqlens"_a.noconvert(),
               "rows"_a.noconvert(), "query_length"_a, "form"_a, "lengths"_a.noconvert());
    module.def("plan_batches", &plan_batches_py, "lengths"_a.noconvert(), "token_budget"_a, "max_rows"_a, "window"_a,
               "width_multiple"_a, "packed"_a, "order"_a.noconvert(), "bounds"_a.noconvert(), "widths"_a.noconvert());
    module.def("fill_batches", &fill_batches_py, "query"_a.noconvert(), "ids"_a.noconvert(), "cu_seqlens"_a.noconvert(),
               "rows"_a.noconvert(), "lengths"_a.noconvert(), "form"_a, "order"_a.noconvert(), "bounds"_a.noconvert(),
               "widths"_a.noconvert(), "packed"_a, "input_ids"_a.noconvert(), "attention_mask"_a.noconvert(),
               "token_type_ids"_a.noconvert(), "position_ids"_a.noconvert());
}

}  // namespace cascade::bind
