// Exploration: what a cascade would give under many choices of cut-offs, from a table that holds every stage's logit of
// every candidate. The same order, fusion and pruning as Pool (which a test compares it with), but choices that begin
// alike share the work: a stage is fused and sorted once for all its cut-offs.
#pragma once

#include "fuse.hpp"
#include "types.hpp"

#include <span>

namespace cascade {

// q queries with n candidates in all; query i owns candidates cu_candidates[i] .. cu_candidates[i + 1].
struct ScoreTable {
    std::span<const Index> cu_candidates;  // [q + 1]
    std::span<const Score> first;          // [n] or empty
    std::span<const Score> logits;         // [stages, n], finite
    std::span<const Score> gains;          // [n], 2^grade - 1, 0 where not relevant
    std::span<const Score> ideal;          // [q], DCG of the best order of all judged documents, 0 where there is none
    std::span<const Score> cost;           // [stages, n], predicted milliseconds of scoring a candidate
    std::span<const Score> fixed;          // [stages], predicted milliseconds of running a stage at all
    Index stages = 0;
    Score least_gain = 1.0F;  // of what counts as relevant for recall; 1 is grade 1
};

// c choices, best given in lexicographic order of their rows; a limit that is NaN does not hold.
struct Choices {
    std::span<const Index> keeps;         // [c, stages], 0 leaves the stage out
    std::span<const Score> min_logits;    // [c, stages]
    std::span<const Score> margins;       // [c, stages]
    std::span<const Score> masses;        // [c, stages], of the dynamic cut-off
    std::span<const Score> temperatures;  // [stages], of the dynamic cut-off
};

// What each choice gives for each query. Recall counts the relevant among the candidates that leave the last stage, as
// a share of those among all candidates; NaN where there are none to lose.
struct Explored {
    std::span<Score> ndcg;    // [c, q], at `depth`
    std::span<Score> recall;  // [c, q]
    std::span<Score> ms;      // [c, q]
    std::span<Index> pairs;   // [c, q, stages], candidates each stage scores
};

void explore(const ScoreTable& table, const Fusion& fusion, Index depth, const Choices& choices, const Explored& out);

}  // namespace cascade
