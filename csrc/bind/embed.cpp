#include "embed.hpp"

#include "arrays.hpp"
#include "bind.hpp"

namespace cascade::bind {
namespace {

Pooling pooling_of(const std::string& name) {
    if (name == "cls") {
        return Pooling::cls;
    }
    if (name == "last_token") {
        return Pooling::last_token;
    }
    require(name == "mean", "pooling: got '", name, "', expected 'cls', 'mean' or 'last_token'");
    return Pooling::mean;
}

// Shape of a checked [rows, length, dimension] array; the mask must have the same first two.
HiddenShape hidden_shape(const FloatArray& hidden, const IntArray& mask, const char* mask_name) {
    require(mask.shape(0) == hidden.shape(0) && mask.shape(1) == hidden.shape(1), mask_name, ": shape [", mask.shape(0),
            ", ", mask.shape(1), "] does not match hidden [", hidden.shape(0), ", ", hidden.shape(1), ", ",
            hidden.shape(2), "]");
    return {hidden.shape(0), hidden.shape(1), hidden.shape(2)};
}

void check_columns(const FloatArray& array, const char* name, py::ssize_t columns) {
    require(array.shape(1) == columns, name, ": ", array.shape(1), " columns, expected ", columns);
}

void pool_embeddings_py(const FloatArray& hidden, const IntArray& mask, const std::string& pooling, bool normalize,
                        FloatArray out) {
    const auto values = input(hidden, "hidden", 3);
    const auto attended = input(mask, "mask", 2);
    const HiddenShape shape = hidden_shape(hidden, mask, "mask");
    const auto pooled = output(out, "out", 2);
    check_columns(out, "out", shape.dimension);
    check_apart({writes(pooled, "out"), reads(values, "hidden"), reads(attended, "mask")});
    const Pooling kind = pooling_of(pooling);
    const py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
    pool_embeddings(values, attended, shape, kind, normalize, pooled);
}

void normalize_rows_py(FloatArray matrix) {
    const auto values = output(matrix, "matrix", 2);
    const Index dimension = matrix.shape(1);
    const py::gil_scoped_release release;  // safe: a span of an array the caller holds, no Python object touched
    normalize_rows(values, dimension);
}

void dot_rows_py(const FloatArray& query, const FloatArray& matrix, const IntArray& rows, FloatArray out) {
    const auto vector = input(query, "query");
    const auto stored = input(matrix, "matrix", 2);
    const auto places = input(rows, "rows");
    const auto products = output(out, "out");
    check_columns(matrix, "matrix", query.shape(0));
    check_apart({writes(products, "out"), reads(vector, "query"), reads(stored, "matrix"), reads(places, "rows")});
    const py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
    dot_rows(vector, stored, places, products);
}

void gather_tokens_py(const FloatArray& hidden, const IntArray& keep, bool normalize, FloatArray out, IntArray cu_out) {
    const auto values = input(hidden, "hidden", 3);
    const auto kept = input(keep, "keep", 2);
    const HiddenShape shape = hidden_shape(hidden, keep, "keep");
    const auto tokens = output(out, "out", 2);
    const auto offsets = output(cu_out, "cu_out");
    check_columns(out, "out", shape.dimension);
    check_apart({writes(tokens, "out"), writes(offsets, "cu_out"), reads(values, "hidden"), reads(kept, "keep")});
    const py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
    gather_tokens(values, kept, shape, normalize, tokens, offsets);
}

}  // namespace

void bind_embed(py::module_& module) {
    module.def("pool_embeddings", &pool_embeddings_py, "hidden"_a.noconvert(), "mask"_a.noconvert(), "pooling"_a,
               "normalize"_a, "out"_a.noconvert());
    module.def("normalize_rows", &normalize_rows_py, "matrix"_a.noconvert());
    module.def("dot_rows", &dot_rows_py, "query"_a.noconvert(), "matrix"_a.noconvert(), "rows"_a.noconvert(),
               "out"_a.noconvert());
    module.def("gather_tokens", &gather_tokens_py, "hidden"_a.noconvert(), "keep"_a.noconvert(), "normalize"_a,
               "out"_a.noconvert(), "cu_out"_a.noconvert());
}

}  // namespace cascade::bind
