// Pruning under the one total order of this project: value descending, then the previous order ascending. Values are
// finite (collect refuses the rest), so the comparator is a strict weak order; -0.0 equals 0.0.
#pragma once

#include "types.hpp"

#include <optional>
#include <span>

namespace cascade {

struct Ranked {
    double value = 0.0;  // a logit or a fused score
    Index previous = 0;  // place in the previous order, which starts from the index
    Index candidate = 0;
};

// Everything that orders candidates calls this.
inline bool ranks_before(const Ranked& a, const Ranked& b) {
    return a.value != b.value ? a.value > b.value : a.previous < b.previous;
}

// A cut-off per request: the fewest best candidates whose softmax(logit / temperature) adds up to `mass`.
struct Dynamic {
    double mass = 1.0;         // in (0, 1]
    double temperature = 1.0;  // > 0
};

// Limits of one stage; logits, never squashed scores. A candidate stays when its logit is >= min_logit and within
// `margin` of the stage's best logit, and it is among the best `keep`; `dynamic` may make `keep` smaller, to 1 at
// least.
struct PruneRule {
    Index keep = 0;
    std::optional<double> min_logit;
    std::optional<double> margin;
    std::optional<Dynamic> dynamic;
};

// Throws on limits that mean nothing.
void check_rule(const PruneRule& rule);

// exp((logit - best) / temperature): in (0, 1], so that nothing overflows.
double softmax_weight(double logit, double best, const Dynamic& dynamic);

// How many of the candidates whose weights are given, best first, `dynamic` keeps; `total` is the sum of the weights of
// all candidates within the other limits.
std::size_t dynamic_count(std::span<const double> weights, double total, const Dynamic& dynamic);

// Moves the best `count` entries to the front, ordered; the rest follows in no particular order. Returns their number.
std::size_t select_best(std::span<Ranked> entries, std::size_t count);

// Indices of the k largest scores (all when k exceeds n), ordered by (score descending, index ascending).
// out: [min(k, n)]. Throws when a score is not finite.
void topk(std::span<const Score> scores, std::span<Index> out);

}  // namespace cascade
