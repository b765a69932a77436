// Calibration: a fitted, increasing map from a model's logit to log-odds, whose sigmoid is a probability.
#pragma once

#include "types.hpp"

#include <span>
#include <vector>

namespace cascade {

// Two forms. Without knots a line that may bend at 0:
//   log-odds = high * softplus(logit) - low * softplus(-logit) + offset
// which is beta calibration of sigmoid(logit) (Kull, Silva Filho, Flach, AISTATS 2017), Platt's map where
// low == high, and a temperature where the offset is 0 too. With knots an isotonic table: log-odds between knots by
// linear interpolation, outside them those of the nearest knot, plus kPlateauSlope * logit for logits within
// +-kPlateauEnd: a plateau has next to one probability, and inside it the order of the logits. So a table is bounded.
struct Calibration {
    double low = 1.0;
    double high = 1.0;
    double offset = 0.0;
    std::vector<double> logits;    // knots, strictly increasing
    std::vector<double> log_odds;  // at the knots, never decreasing; as many
};

inline constexpr double kPlateauSlope = 1e-6;
inline constexpr double kPlateauEnd = 1e4;

// Throws unless the map is finite and strictly increasing.
void check(const Calibration& map);

// Never decreasing in `logit`, rounding included; strictly increasing up to rounding and, of a table, kPlateauEnd.
double log_odds(const Calibration& map, double logit);

// out: [n].
void log_odds(const Calibration& map, std::span<const Score> logits, std::span<double> out);

// The smallest logit (to within rounding) whose log-odds are at least `limit`, by bisection; -inf where every float32
// logit's are, +inf where none's are.
double first_logit(const Calibration& map, double limit);

}  // namespace cascade
