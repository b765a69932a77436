#include "prune.hpp"

#include "arrays.hpp"
#include "bind.hpp"

namespace cascade::bind {
namespace {

void topk_py(const FloatArray& scores, IntArray out) {
    const auto in = input(scores, "scores");
    const auto best = output(out, "out");
    check_apart({writes(best, "out"), reads(in, "scores")});
    py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
    topk(in, best);
}

}  // namespace

void bind_prune(py::module_& module) {
    module.def("topk", &topk_py, "scores"_a.noconvert(), "out"_a.noconvert());
}

}  // namespace cascade::bind
