#include "maxsim.hpp"

#include "arrays.hpp"
#include "bind.hpp"

namespace cascade::bind {
namespace {

// An empty mask stands for "every document token counts", so that a store without masks allocates none.
void maxsim_py(const FloatArray& query, const IntArray& query_mask, const FloatArray& documents,
               const IntArray& document_mask, const IntArray& cu_seqlens, const IntArray& rows, bool length_normalize,
               FloatArray out) {
    const auto query_tokens = input(query, "query", 2);
    const auto query_flags = input(query_mask, "query_mask");
    const TokenMatrix matrix{input(documents, "documents", 2), input(document_mask, "document_mask"),
                             input(cu_seqlens, "cu_seqlens")};
    const auto places = input(rows, "rows");
    const auto scores = output(out, "out");
    const Index dimension = query.shape(1);
    require(documents.shape(1) == dimension, "documents: ", documents.shape(1), " columns, query has ", dimension);
    check_apart({writes(scores, "out"), reads(query_tokens, "query"), reads(query_flags, "query_mask"),
                 reads(matrix.tokens, "documents"), reads(matrix.mask, "document_mask"),
                 reads(matrix.cu_seqlens, "cu_seqlens"), reads(places, "rows")});
    const py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
    maxsim(query_tokens, query_flags, matrix, places, dimension, length_normalize, scores);
}

}  // namespace

void bind_maxsim(py::module_& module) {
    module.def("maxsim", &maxsim_py, "query"_a.noconvert(), "query_mask"_a.noconvert(), "documents"_a.noconvert(),
               "document_mask"_a.noconvert(), "cu_seqlens"_a.noconvert(), "rows"_a.noconvert(), "length_normalize"_a,
               "out"_a.noconvert());
}

}  // namespace cascade::bind
