// Pool: one request's candidates through all stages. It owns the buffers (reused between requests) and calls the
// kernels; the arithmetic is theirs. Not thread-safe: one request, one pool.
//
// order_ always holds all candidates. Its first alive_ entries go on; behind them lie the settled ones, those dropped
// by later stages first. So the final ranking is order_ itself: whoever was scored by a later stage is above whoever
// was not, and what a deadline left unscored keeps its previous order below.
#pragma once

#include "fuse.hpp"
#include "prune.hpp"
#include "types.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace cascade {

struct PruneCounts {
    Index scored = 0;         // candidates this stage scored
    Index alive = 0;          // candidates that go on
    Index below_minimum = 0;  // dropped by min_logit or margin rather than by keep
};

class Pool {
  public:
    // Starts a request of `size` candidates and `stages` stages. first_scores: [size] or empty; they order the pool and
    // take part in fusion. Without them the order starts from the index. Throws on a score that is not finite.
    void reset(Index size, std::span<const Score> first_scores, Index stages, const Fusion& fusion);

    // Candidates that the next stage scores, best first.
    std::span<const Index> alive() const { return {order_.data(), static_cast<std::size_t>(alive_)}; }
    Index size() const { return static_cast<Index>(order_.size()); }

    // outputs: [rows, columns] of alive candidates; positions[r] is row r's place in alive(). May be called once per
    // micro-batch; stages are scored in ascending order.
    void collect(Index stage, std::span<const Index> positions, std::span<const Score> outputs, Index columns);

    // Whether no candidate alive that `stage` has not scored can still rank among the stage's best `count`, whatever
    // its logit. Exact: an unscored candidate is ordered by the same arithmetic, with the largest logit there is. With
    // `weighted` over a bounded calibration that can happen early; other ways to fuse depend on every score.
    bool decided(Index stage, Index count);

    // Orders what `stage` scored by the fused value and cuts. Unscored candidates do not go on.
    PruneCounts prune(Index stage, const PruneRule& rule);

    // Orders the first `count` places fully; the tails of earlier cuts are left unsorted until somebody asks.
    void finish(Index count);

    std::span<const Index> order() const { return order_; }
    Index reached(Index candidate) const { return reached_[static_cast<std::size_t>(candidate)]; }  // -1: no stage
    double value(Index candidate) const { return value_[static_cast<std::size_t>(candidate)]; }
    Score logit(Index stage, Index candidate) const { return column(stage)[static_cast<std::size_t>(candidate)]; }
    Index stages() const { return stages_; }

  private:
    std::span<const Score> column(Index stage) const;
    std::span<Score> column(Index stage);
    void fuse_entries(Index stage);
    void order_first_pass();

    struct Tail {  // part of order_ whose members are known but not yet sorted
        std::size_t begin;
        std::size_t end;
    };

    Index stages_ = 0;
    Index alive_ = 0;
    Index last_pruned_ = -1;
    Fusion fusion_;
    std::vector<Index> order_;
    std::vector<Index> reached_;
    std::vector<double> value_;
    std::vector<Index> previous_;  // place in the order before the stage that gave `value_`
    std::vector<Score> first_;
    std::vector<Score> logits_;  // [stages, size], NaN where not scored
    std::vector<std::uint8_t> ran_;
    std::vector<Tail> tails_;
    std::vector<Ranked> entries_;               // scratch of prune, decided and finish
    std::vector<Index> unscored_;               // scratch of prune
    std::vector<std::vector<double>> sources_;  // scratch of fuse_entries
    std::vector<double> fused_;
};

}  // namespace cascade
