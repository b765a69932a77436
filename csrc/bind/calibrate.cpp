#include "calibrate.hpp"

#include "arrays.hpp"
#include "bind.hpp"

#include <pybind11/stl.h>

namespace cascade::bind {
namespace {

Calibration make_calibration(double low, double high, double offset, std::vector<double> logits,
                             std::vector<double> log_odds) {
    Calibration made{low, high, offset, std::move(logits), std::move(log_odds)};
    check(made);
    return made;
}

void log_odds_py(const Calibration& map, const FloatArray& logits, Array<double> out) {
    const auto in = input(logits, "logits");
    const auto values = output(out, "out");
    check_apart({writes(values, "out"), reads(in, "logits")});
    py::gil_scoped_release release;  // safe: spans of arrays the caller holds, the map never changes
    log_odds(map, in, values);
}

}  // namespace

void bind_calibrate(py::module_& module) {
    py::class_<Calibration>(module, "Calibration")
        .def(py::init(&make_calibration), "low"_a, "high"_a, "offset"_a, "logits"_a, "log_odds"_a)
        .def("write_log_odds", &log_odds_py, "logits"_a.noconvert(), "out"_a.noconvert())
        .def("first_logit", [](const Calibration& map, double limit) { return first_logit(map, limit); }, "limit"_a);
}

}  // namespace cascade::bind
