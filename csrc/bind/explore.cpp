#include "explore.hpp"

#include "arrays.hpp"
#include "bind.hpp"

#include <pybind11/stl.h>

namespace cascade::bind {
namespace {

void explore_py(const IntArray& cu_candidates, const std::optional<FloatArray>& first_scores, const FloatArray& logits,
                const FloatArray& gains, const FloatArray& ideal, const FloatArray& cost, const FloatArray& fixed,
                float least_gain, const Fusion& fusion, Index depth, const IntArray& keeps,
                const FloatArray& min_logits, const FloatArray& margins, const FloatArray& masses,
                const FloatArray& temperatures, FloatArray ndcg, FloatArray recall, FloatArray ms, IntArray pairs) {
    ScoreTable table;
    table.cu_candidates = input(cu_candidates, "cu_candidates");
    table.first = first_scores ? input(*first_scores, "first_scores") : std::span<const float>{};
    table.logits = input(logits, "logits", 2);
    table.gains = input(gains, "gains");
    table.ideal = input(ideal, "ideal");
    table.cost = input(cost, "cost", 2);
    table.fixed = input(fixed, "fixed");
    table.stages = static_cast<Index>(logits.shape(0));
    table.least_gain = least_gain;
    require(!first_scores || table.first.size() == table.gains.size(), "first_scores has ", table.first.size(),
            " entries for ", table.gains.size(), " candidates");
    const Choices choices{input(keeps, "keeps", 2), input(min_logits, "min_logits", 2), input(margins, "margins", 2),
                          input(masses, "masses", 2), input(temperatures, "temperatures")};
    require(static_cast<Index>(keeps.shape(1)) == table.stages, "keeps has ", keeps.shape(1), " columns for ",
            table.stages, " stages");
    const Explored out{output(ndcg, "ndcg", 2), output(recall, "recall", 2), output(ms, "ms", 2),
                       output(pairs, "pairs", 3)};
    check_apart({writes(out.ndcg, "ndcg"), writes(out.recall, "recall"), writes(out.ms, "ms"),
                 writes(out.pairs, "pairs"), reads(table.cu_candidates, "cu_candidates"),
                 reads(table.first, "first_scores"), reads(table.logits, "logits"), reads(table.gains, "gains"),
                 reads(table.ideal, "ideal"), reads(table.cost, "cost"), reads(table.fixed, "fixed"),
                 reads(choices.keeps, "keeps"), reads(choices.min_logits, "min_logits"),
                 reads(choices.margins, "margins"), reads(choices.masses, "masses"),
                 reads(choices.temperatures, "temperatures")});
    py::gil_scoped_release release;  // safe: spans of arrays the caller holds, no Python object touched
    explore(table, fusion, depth, choices, out);
}

}  // namespace

void bind_explore(py::module_& module) {
    module.def("explore", &explore_py, "cu_candidates"_a.noconvert(), "first_scores"_a.noconvert(),
               "logits"_a.noconvert(), "gains"_a.noconvert(), "ideal"_a.noconvert(), "cost"_a.noconvert(),
               "fixed"_a.noconvert(), "least_gain"_a, "fusion"_a, "depth"_a, "keeps"_a.noconvert(),
               "min_logits"_a.noconvert(), "margins"_a.noconvert(), "masses"_a.noconvert(),
               "temperatures"_a.noconvert(), "ndcg"_a.noconvert(), "recall"_a.noconvert(), "ms"_a.noconvert(),
               "pairs"_a.noconvert());
}

}  // namespace cascade::bind
