#include "calibrate.hpp"

#include "check.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cascade {
namespace {

// log(1 + exp(x)) without overflow.
double softplus(double x) {
    return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

double interpolate(const Calibration& map, double logit) {
    const auto after = std::upper_bound(map.logits.begin(), map.logits.end(), logit);
    if (after == map.logits.begin()) {
        return map.log_odds.front();
    }
    if (after == map.logits.end()) {
        return map.log_odds.back();
    }
    const auto right = static_cast<std::size_t>(after - map.logits.begin());
    const double x0 = map.logits[right - 1];
    const double y0 = map.log_odds[right - 1];
    const double y1 = map.log_odds[right];
    return std::min(y0 + (y1 - y0) * ((logit - x0) / (map.logits[right] - x0)), y1);  // rounding goes no further
}

}  // namespace

void check(const Calibration& map) {
    require(map.logits.size() == map.log_odds.size(), "a calibration of ", map.logits.size(), " knots with ",
            map.log_odds.size(), " log-odds");
    require(std::isfinite(map.low) && std::isfinite(map.high) && map.low > 0.0 && map.high > 0.0, "slopes ", map.low,
            " and ", map.high, "; a calibration keeps the order, its slopes are finite and above 0");
    require(std::isfinite(map.offset), "offset ", map.offset, " is not finite");
    for (std::size_t i = 0; i < map.logits.size(); ++i) {
        require(std::isfinite(map.logits[i]) && std::isfinite(map.log_odds[i]), "knot ", i, " is not finite");
        require(i == 0 || map.logits[i] > map.logits[i - 1], "the knots' logits do not increase at ", i);
        require(i == 0 || map.log_odds[i] >= map.log_odds[i - 1], "the knots' log-odds decrease at ", i);
    }
}

double log_odds(const Calibration& map, double logit) {
    if (!map.logits.empty()) {
        return interpolate(map, logit) + kPlateauSlope * std::clamp(logit, -kPlateauEnd, kPlateauEnd);
    }
    if (map.low == map.high) {
        return map.low * logit + map.offset;  // the same value, without the rounding of two logarithms
    }
    return map.high * softplus(logit) - map.low * softplus(-logit) + map.offset;
}

void log_odds(const Calibration& map, std::span<const Score> logits, std::span<double> out) {
    require(logits.size() == out.size(), "out has ", out.size(), " entries for ", logits.size(), " logits");
    std::transform(logits.begin(), logits.end(), out.begin(),
                   [&](Score logit) { return log_odds(map, static_cast<double>(logit)); });
}

double first_logit(const Calibration& map, double limit) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    require(!std::isnan(limit), "the limit is not a number");
    double below = -static_cast<double>(std::numeric_limits<Score>::max());
    double above = -below;
    if (log_odds(map, below) >= limit) {
        return -kInfinity;
    }
    if (log_odds(map, above) < limit) {
        return kInfinity;
    }
    // Invariant: log_odds(below) < limit <= log_odds(above). Ends where no double lies between.
    while (true) {
        const double middle = below + (above - below) / 2.0;
        if (middle <= below || middle >= above) {
            return above;
        }
        (log_odds(map, middle) < limit ? below : above) = middle;
    }
}

}  // namespace cascade
