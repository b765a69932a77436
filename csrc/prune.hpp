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

// Limits of one stage; logits, never squashed scores. A candidate stays when its logit is >= min_logit and within
// `margin` of the stage's best logit, and it is among the best `keep`.
struct PruneRule {
    Index keep = 0;
    std::optional<double> min_logit;
    std::optional<double> margin;
};

// Moves the best `count` entries to the front, ordered; the rest follows in no particular order. Returns their number.
std::size_t select_best(std::span<Ranked> entries, std::size_t count);

// Indices of the k largest scores (all when k exceeds n), ordered by (score descending, index ascending).
// out: [min(k, n)]. Throws when a score is not finite.
void topk(std::span<const Score> scores, std::span<Index> out);

}  // namespace cascade
