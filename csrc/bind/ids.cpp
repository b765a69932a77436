#include "ids.hpp"

#include "arrays.hpp"
#include "bind.hpp"

namespace cascade::bind {
namespace {

using ByteArray = Array<std::uint8_t>;

void index_ids_py(const ByteArray& ids, const IntArray& cu_bytes, IntArray table) {
    const Strings strings{input(ids, "ids"), input(cu_bytes, "cu_bytes")};
    const auto slots = output(table, "table");
    check_apart({writes(slots, "table"), reads(strings.bytes, "ids"), reads(strings.cu_bytes, "cu_bytes")});
    const py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
    index_ids(strings, slots);
}

void find_ids_py(const ByteArray& ids, const IntArray& cu_bytes, const IntArray& table, const ByteArray& wanted,
                 const IntArray& cu_wanted, IntArray out) {
    const Strings strings{input(ids, "ids"), input(cu_bytes, "cu_bytes")};
    const auto slots = input(table, "table");
    const Strings asked{input(wanted, "wanted"), input(cu_wanted, "cu_wanted")};
    const auto rows = output(out, "out");
    check_apart({writes(rows, "out"), reads(strings.bytes, "ids"), reads(strings.cu_bytes, "cu_bytes"),
                 reads(slots, "table"), reads(asked.bytes, "wanted"), reads(asked.cu_bytes, "cu_wanted")});
    const py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
    find_ids(strings, slots, asked, rows);
}

}  // namespace

void bind_ids(py::module_& module) {
    module.def("id_table_size", &id_table_size, "count"_a);
    module.def("index_ids", &index_ids_py, "ids"_a.noconvert(), "cu_bytes"_a.noconvert(), "table"_a.noconvert());
    module.def("find_ids", &find_ids_py, "ids"_a.noconvert(), "cu_bytes"_a.noconvert(), "table"_a.noconvert(),
               "wanted"_a.noconvert(), "cu_wanted"_a.noconvert(), "out"_a.noconvert());
}

}  // namespace cascade::bind
