#include "maxsim.hpp"

#include "arrays.hpp"
#include "bind.hpp"

namespace cascade::bind {
namespace {

// The arrays that all kinds of token vectors share. An empty mask stands for "every document token counts", so that a
// store without masks allocates none.
struct Arguments {
    std::span<const float> query;
    std::span<const Index> query_mask;
    std::span<const Index> document_mask;
    std::span<const Index> cu_seqlens;
    std::span<const Index> rows;
    std::span<float> out;
    Index dimension;

    Arguments(const FloatArray& query_, const IntArray& query_mask_, const IntArray& document_mask_,
              const IntArray& cu_seqlens_, const IntArray& rows_, FloatArray& out_)
        : query(input(query_, "query", 2)),
          query_mask(input(query_mask_, "query_mask")),
          document_mask(input(document_mask_, "document_mask")),
          cu_seqlens(input(cu_seqlens_, "cu_seqlens")),
          rows(input(rows_, "rows")),
          out(output(out_, "out")),
          dimension(query_.shape(1)) {}

    void score(const VectorRows& documents, py::ssize_t columns, std::initializer_list<Region> stored,
               bool length_normalize) const {
        require(columns == dimension, "documents: ", columns, " columns, query has ", dimension);
        for (const Region& region : stored) {
            check_apart({writes(out, "out"), region});
        }
        check_apart({writes(out, "out"), reads(query, "query"), reads(query_mask, "query_mask"),
                     reads(document_mask, "document_mask"), reads(cu_seqlens, "cu_seqlens"), reads(rows, "rows")});
        const py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
        maxsim(query, query_mask, {documents, document_mask, cu_seqlens}, rows, dimension, length_normalize, out);
    }
};

void maxsim_py(const FloatArray& query, const IntArray& query_mask, const FloatArray& documents,
               const IntArray& document_mask, const IntArray& cu_seqlens, const IntArray& rows, bool length_normalize,
               FloatArray out) {
    const Arguments call(query, query_mask, document_mask, cu_seqlens, rows, out);
    const auto tokens = input(documents, "documents", 2);
    call.score(tokens, documents.shape(1), {reads(tokens, "documents")}, length_normalize);
}

void maxsim_fp16_py(const FloatArray& query, const IntArray& query_mask, const Array<Half>& documents,
                    const IntArray& document_mask, const IntArray& cu_seqlens, const IntArray& rows,
                    bool length_normalize, FloatArray out) {
    const Arguments call(query, query_mask, document_mask, cu_seqlens, rows, out);
    const auto tokens = input(documents, "documents", 2);
    call.score(tokens, documents.shape(1), {reads(tokens, "documents")}, length_normalize);
}

void maxsim_int8_py(const FloatArray& query, const IntArray& query_mask, const Array<std::int8_t>& documents,
                    const FloatArray& scales, const IntArray& document_mask, const IntArray& cu_seqlens,
                    const IntArray& rows, bool length_normalize, FloatArray out) {
    const Arguments call(query, query_mask, document_mask, cu_seqlens, rows, out);
    const Int8Rows tokens{input(documents, "documents", 2), input(scales, "scales")};
    call.score(tokens, documents.shape(1), {reads(tokens.values, "documents"), reads(tokens.scales, "scales")},
               length_normalize);
}

}  // namespace

void bind_maxsim(py::module_& module) {
    module.def("maxsim", &maxsim_py, "query"_a.noconvert(), "query_mask"_a.noconvert(), "documents"_a.noconvert(),
               "document_mask"_a.noconvert(), "cu_seqlens"_a.noconvert(), "rows"_a.noconvert(), "length_normalize"_a,
               "out"_a.noconvert());
    module.def("maxsim_fp16", &maxsim_fp16_py, "query"_a.noconvert(), "query_mask"_a.noconvert(),
               "documents"_a.noconvert(), "document_mask"_a.noconvert(), "cu_seqlens"_a.noconvert(),
               "rows"_a.noconvert(), "length_normalize"_a, "out"_a.noconvert());
    module.def("maxsim_int8", &maxsim_int8_py, "query"_a.noconvert(), "query_mask"_a.noconvert(),
               "documents"_a.noconvert(), "scales"_a.noconvert(), "document_mask"_a.noconvert(),
               "cu_seqlens"_a.noconvert(), "rows"_a.noconvert(), "length_normalize"_a, "out"_a.noconvert());
}

}  // namespace cascade::bind
