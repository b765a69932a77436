#include "stored.hpp"

#include "arrays.hpp"
#include "bind.hpp"

namespace cascade::bind {
namespace {

// Half precision crosses as its bits: NumPy's float16 has no counterpart here, array.view(numpy.uint16) costs nothing.
void dot_rows_fp16_py(const FloatArray& query, const Array<Half>& matrix, const IntArray& rows, FloatArray out) {
    const auto vector = input(query, "query");
    const auto stored = input(matrix, "matrix", 2);
    const auto places = input(rows, "rows");
    const auto products = output(out, "out");
    require(matrix.shape(1) == query.shape(0), "matrix: ", matrix.shape(1), " columns, expected ", query.shape(0));
    check_apart({writes(products, "out"), reads(vector, "query"), reads(stored, "matrix"), reads(places, "rows")});
    const py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
    dot_rows(vector, stored, places, products);
}

void dot_rows_int8_py(const FloatArray& query, const Array<std::int8_t>& matrix, const FloatArray& scales,
                      const IntArray& rows, FloatArray out) {
    const auto vector = input(query, "query");
    const Int8Rows stored{input(matrix, "matrix", 2), input(scales, "scales")};
    const auto places = input(rows, "rows");
    const auto products = output(out, "out");
    require(matrix.shape(1) == query.shape(0), "matrix: ", matrix.shape(1), " columns, expected ", query.shape(0));
    check_apart({writes(products, "out"), reads(vector, "query"), reads(stored.values, "matrix"),
                 reads(stored.scales, "scales"), reads(places, "rows")});
    const py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
    dot_rows(vector, stored, places, products);
}

template <typename Id>
void gather_ids_py(const Array<Id>& ids, const IntArray& cu_seqlens, const IntArray& rows, IntArray out) {
    const auto tokens = input(ids, "ids");
    const auto offsets = input(cu_seqlens, "cu_seqlens");
    const auto places = input(rows, "rows");
    const auto destination = output(out, "out");
    check_apart(
        {writes(destination, "out"), reads(tokens, "ids"), reads(offsets, "cu_seqlens"), reads(places, "rows")});
    const py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
    gather_ids(tokens, offsets, places, destination);
}

}  // namespace

void bind_stored(py::module_& module) {
    module.def("dot_rows_fp16", &dot_rows_fp16_py, "query"_a.noconvert(), "matrix"_a.noconvert(), "rows"_a.noconvert(),
               "out"_a.noconvert());
    module.def("dot_rows_int8", &dot_rows_int8_py, "query"_a.noconvert(), "matrix"_a.noconvert(),
               "scales"_a.noconvert(), "rows"_a.noconvert(), "out"_a.noconvert());
    module.def("gather_ids_uint16", &gather_ids_py<std::uint16_t>, "ids"_a.noconvert(), "cu_seqlens"_a.noconvert(),
               "rows"_a.noconvert(), "out"_a.noconvert());
    module.def("gather_ids_int32", &gather_ids_py<std::int32_t>, "ids"_a.noconvert(), "cu_seqlens"_a.noconvert(),
               "rows"_a.noconvert(), "out"_a.noconvert());
}

}  // namespace cascade::bind
