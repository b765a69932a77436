#include "pool.hpp"

#include "arrays.hpp"
#include "bind.hpp"
#include "collect.hpp"

#include <pybind11/stl.h>

#include <cmath>

namespace cascade::bind {
namespace {

FusionKind fusion_kind(const std::string& name) {
    if (name == "last") return FusionKind::last;
    if (name == "rrf") return FusionKind::rrf;
    if (name == "convex") return FusionKind::convex;
    require(name == "weighted", "fusion '", name, "' is not last, rrf, convex or weighted");
    return FusionKind::weighted;
}

Fusion make_fusion(const std::string& kind, const std::string& normalisation, double rrf_k, std::vector<double> weights,
                   std::vector<Calibration> calibrations) {
    require(normalisation == "z-score" || normalisation == "min-max", "normalisation '", normalisation,
            "' is not z-score or min-max");
    require(std::isfinite(rrf_k) && rrf_k >= 0.0, "rrf_k is ", rrf_k, "; expected a finite number of at least 0");
    for (const double weight : weights) {
        require(std::isfinite(weight) && weight >= 0.0, "weight ", weight, "; expected a finite number of at least 0");
    }
    return {fusion_kind(kind), normalisation == "z-score" ? Normalisation::z_score : Normalisation::min_max, rrf_k,
            std::move(weights), std::move(calibrations)};
}

void reset(Pool& pool, Index size, const std::optional<FloatArray>& first_scores, Index stages, const Fusion& fusion) {
    const auto scores = first_scores ? input(*first_scores, "first_scores") : std::span<const float>{};
    require(!first_scores || static_cast<Index>(scores.size()) == size, "first_scores has ", scores.size(),
            " entries for ", size, " candidates");
    py::gil_scoped_release release;  // safe: the pool belongs to one request, the span to an array the caller holds
    pool.reset(size, scores, stages, fusion);
}

void collect(Pool& pool, Index stage, const IntArray& positions, const FloatArray& outputs, Index columns) {
    const auto rows = input(positions, "positions");
    const auto values = input(outputs, "outputs");
    py::gil_scoped_release release;  // safe: as above
    pool.collect(stage, rows, values, columns);
}

py::tuple prune(Pool& pool, Index stage, Index keep, std::optional<double> min_logit, std::optional<double> margin,
                std::optional<std::pair<double, double>> dynamic) {
    PruneRule rule{keep, min_logit, margin, {}};
    if (dynamic) {
        rule.dynamic = Dynamic{dynamic->first, dynamic->second};
    }
    PruneCounts counts;
    {
        py::gil_scoped_release release;  // safe: as above
        counts = pool.prune(stage, rule);
    }
    return py::make_tuple(counts.scored, counts.alive, counts.below_minimum);
}

// The first `count` places as new arrays: order [count], reached [count], value [count], logits [count, stages].
py::tuple finish(Pool& pool, Index count) {
    pool.finish(count);
    const Index stages = pool.stages();
    IntArray order(count);
    IntArray reached(count);
    Array<double> value(count);
    FloatArray logits({count, stages});
    auto* order_data = order.mutable_data();
    auto* reached_data = reached.mutable_data();
    auto* value_data = value.mutable_data();
    auto* logit_data = logits.mutable_data();
    for (Index place = 0; place < count; ++place) {
        const Index candidate = pool.order()[static_cast<std::size_t>(place)];
        order_data[place] = candidate;
        reached_data[place] = pool.reached(candidate);
        value_data[place] = pool.value(candidate);
        for (Index stage = 0; stage < stages; ++stage) {
            logit_data[place * stages + stage] = pool.logit(stage, candidate);
        }
    }
    return py::make_tuple(order, reached, value, logits);
}

}  // namespace

void bind_pool(py::module_& module) {
    static py::exception<NonFiniteScore> non_finite(module, "NonFiniteScore", PyExc_RuntimeError);
    py::register_local_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) {
                std::rethrow_exception(pointer);
            }
        } catch (const NonFiniteScore& error) {
            // Two values instead of a text, so that the stage can name itself and the candidate's id.
            PyErr_SetObject(non_finite.ptr(), py::make_tuple(error.candidate(), error.value()).ptr());
        }
    });
    py::class_<Fusion>(module, "Fusion")
        .def(py::init(&make_fusion), "kind"_a, "normalisation"_a, "rrf_k"_a, "weights"_a, "calibrations"_a);
    py::class_<Pool>(module, "Pool")
        .def(py::init<>())
        .def("reset", &reset, "size"_a, "first_scores"_a.noconvert(), "stages"_a, "fusion"_a)
        .def("alive", [](const Pool& pool) { return copy_of(pool.alive()); })
        .def("collect", &collect, "stage"_a, "positions"_a.noconvert(), "outputs"_a.noconvert(), "columns"_a)
        .def("decided", &Pool::decided, "stage"_a, "count"_a)
        .def("prune", &prune, "stage"_a, "keep"_a, "min_logit"_a, "margin"_a, "dynamic"_a = py::none())
        .def("finish", &finish, "count"_a);
}

}  // namespace cascade::bind
