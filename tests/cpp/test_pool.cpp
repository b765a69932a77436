#include "collect.hpp"
#include "expect.hpp"
#include "naive_pool.hpp"
#include "pool.hpp"
#include "random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

using cascade::Fusion;
using cascade::FusionKind;
using cascade::Index;
using cascade::Pool;
using cascade::PruneCounts;
using cascade::Score;
using Indices = std::vector<Index>;
using Scores = std::vector<Score>;

Indices listed(std::span<const Index> values) {
    return {values.begin(), values.end()};
}

Indices finished(Pool& pool) {
    pool.finish(pool.size());
    return listed(pool.order());
}

TEST(Pool, TwoStagesGiveTheExactOrder) {
    Pool pool;
    pool.reset(6, {}, 2, {});
    pool.collect(0, Indices{0, 1, 2, 3, 4, 5}, Scores{1, 5, 3, 5, 0, 2}, 1);
    const PruneCounts first = pool.prune(0, {.keep = 3});
    EXPECT_EQ(first.scored, 6);
    EXPECT_EQ(first.alive, 3);
    EXPECT_EQ(listed(pool.alive()), (Indices{1, 3, 2}));
    // Positions are places among the alive: row 0 belongs to candidate 2.
    pool.collect(1, Indices{2, 0, 1}, Scores{9, -1, -1}, 1);
    pool.prune(1, {.keep = 1});
    EXPECT_EQ(listed(pool.alive()), (Indices{2}));
    EXPECT_EQ(finished(pool), (Indices{2, 1, 3, 5, 0, 4}));
    EXPECT_EQ(pool.reached(3), 1);
    EXPECT_EQ(pool.reached(5), 0);
    EXPECT_EQ(pool.logit(1, 2), 9.0F);
    EXPECT_EQ(pool.logit(0, 2), 3.0F);
    EXPECT_TRUE(std::isnan(pool.logit(1, 5)));
}

TEST(Pool, FirstScoresGiveTheFirstOrderAndBreakTies) {
    Pool pool;
    pool.reset(4, Scores{0.0F, 2.0F, -0.0F, 3.0F}, 1, {});
    EXPECT_EQ(listed(pool.alive()), (Indices{3, 1, 0, 2}));
    pool.collect(0, Indices{0, 1, 2, 3}, Scores(4, 7.0F), 1);
    pool.prune(0, {.keep = 4});
    EXPECT_EQ(listed(pool.alive()), (Indices{3, 1, 0, 2}));
}

TEST(Pool, UnscoredCandidatesKeepTheirOrderBelowTheScored) {
    Pool pool;
    pool.reset(5, Scores{5, 4, 3, 2, 1}, 1, {});
    pool.collect(0, Indices{1, 3}, Scores{-8, -9}, 1);
    const PruneCounts counts = pool.prune(0, {.keep = 5});
    EXPECT_EQ(counts.scored, 2);
    EXPECT_EQ(listed(pool.alive()), (Indices{1, 3}));
    EXPECT_EQ(finished(pool), (Indices{1, 3, 0, 2, 4}));
    EXPECT_EQ(pool.reached(0), -1);
}

TEST(Pool, ThresholdAndMarginAreMeasuredOnLogits) {
    Pool pool;
    pool.reset(4, {}, 1, {});
    pool.collect(0, Indices{0, 1, 2, 3}, Scores{2.0F, 5.0F, 1.0F, 4.0F}, 1);
    const PruneCounts counts = pool.prune(0, {.keep = 4, .min_logit = 2.0, .margin = 2.0});
    EXPECT_EQ(counts.below_minimum, 2);  // 2.0 meets the minimum and fails the margin; 1.0 fails both
    EXPECT_EQ(listed(pool.alive()), (Indices{1, 3}));
    EXPECT_EQ(finished(pool), (Indices{1, 3, 0, 2}));
}

TEST(Pool, EmptyAndOneCandidate) {
    Pool pool;
    pool.reset(0, {}, 1, {});
    EXPECT_EQ(pool.prune(0, {.keep = 1}).scored, 0);
    EXPECT_TRUE(finished(pool).empty());
    pool.reset(1, {}, 1, {});
    pool.collect(0, Indices{0}, Scores{-3.0F}, 1);
    pool.prune(0, {.keep = 9});
    EXPECT_EQ(finished(pool), (Indices{0}));
}

TEST(Pool, RefusesWhatWouldBreakItsOrder) {
    Pool pool;
    expect_refused("candidate 1", [&] { pool.reset(2, Scores{0.0F, std::nanf("")}, 1, {}); });
    expect_refused("1 scores for 2", [&] { pool.reset(2, Scores{0.0F}, 1, {}); });
    pool.reset(2, {}, 2, {});
    expect_refused("position 2", [&] { pool.collect(0, Indices{2}, Scores{1}, 1); });
    expect_refused("stage 2", [&] { pool.collect(2, Indices{0}, Scores{1}, 1); });
    expect_refused("keep is 0", [&] { pool.prune(0, {.keep = 0}); });
    pool.collect(0, Indices{0}, Scores{1}, 1);
    expect_refused<std::logic_error>("scored twice", [&] { pool.collect(0, Indices{0}, Scores{1}, 1); });
    EXPECT_THROW(pool.collect(0, Indices{1}, Scores{std::nanf("")}, 1), cascade::NonFiniteScore);
    pool.prune(0, {.keep = 2});
    expect_refused("after stage 0", [&] { pool.collect(0, Indices{0}, Scores{1}, 1); });
    expect_refused("after stage 0", [&] { pool.prune(0, {.keep = 1}); });
    expect_refused("finish 3", [&] { pool.finish(3); });
}

// Log-odds of the stage lie in [0, 1] (but for the plateau's slope), those of the first pass are its scores.
TEST(Pool, IsDecidedWhenNobodyUnscoredCanGetThrough) {
    const Fusion fusion{.kind = FusionKind::weighted,
                        .weights = {1.0, 1.0},
                        .calibrations = {{}, {.logits = {0.0, 1.0}, .log_odds = {0.0, 1.0}}}};
    Pool pool;
    pool.reset(4, Scores{5.0F, 4.0F, 3.5F, 1.0F}, 1, fusion);
    EXPECT_FALSE(pool.decided(0, 1));  // nobody is scored
    pool.collect(0, Indices{0}, Scores{0.0F}, 1);
    EXPECT_FALSE(pool.decided(0, 1));  // 5 + 0 against 4 + 1 and the slope
    pool.collect(0, Indices{1}, Scores{0.5F}, 1);
    EXPECT_TRUE(pool.decided(0, 1));   // 5 against 3.5 + 1
    EXPECT_FALSE(pool.decided(0, 2));  // 4.5 against 3.5 + 1 and the slope
    EXPECT_FALSE(pool.decided(0, 3));
    pool.collect(0, Indices{2}, Scores{1.0F}, 1);
    EXPECT_TRUE(pool.decided(0, 3));
    EXPECT_FALSE(pool.decided(0, 4));
    expect_refused("count is 0", [&] { pool.decided(0, 0); });
    pool.prune(0, {.keep = 3});
    expect_refused("pruned already", [&] { pool.decided(0, 1); });
    pool.reset(4, {}, 1, {});
    expect_refused("only a weighted sum", [&] { pool.decided(0, 1); });
}

// Random cascades: ties, thresholds, skipped stages, deadlines that stop a stage early, a reused pool.
TEST(Pool, EqualsTheNaivePool) {
    Pool pool;
    for (std::uint64_t seed = 0; seed < 3000; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const Index size = random.between(0, 30);
        const Index stages = random.between(1, 4);
        Fusion fusion{.kind = static_cast<FusionKind>(random.between(0, 3))};
        for (Index source = 0; source <= stages; ++source) {
            fusion.weights.push_back(static_cast<double>(random.between(1, 5)));
            fusion.calibrations.push_back({1.5, 1.5, -0.25});
        }
        const Scores first = random.flip() ? random.tied_scores(static_cast<std::size_t>(size)) : Scores{};
        pool.reset(size, first, stages, fusion);
        naive::Pool twin(size, first, fusion);
        Index keep = size + 1;
        for (Index stage = 0; stage < stages; ++stage) {
            if (random.between(0, 4) == 0) {
                continue;  // a stage that would not pay is skipped
            }
            const bool stops_early = random.between(0, 3) == 0;
            for (Index position = 0; position < static_cast<Index>(twin.alive.size()); ++position) {
                if (stops_early && random.flip()) {
                    continue;
                }
                const Score logit = random.tied_scores(1)[0];
                pool.collect(stage, Indices{position}, Scores{logit}, 1);
                twin.collect(stage, twin.alive[static_cast<std::size_t>(position)], logit);
            }
            keep = random.between(1, keep);
            cascade::PruneRule rule{.keep = keep};
            if (random.between(0, 3) == 0) {
                rule.min_logit = -1.0;
            }
            if (random.between(0, 3) == 0) {
                rule.margin = 3.0;
            }
            const PruneCounts counts = pool.prune(stage, rule);
            twin.prune(stage, rule);
            ASSERT_EQ(listed(pool.alive()), twin.alive);
            EXPECT_EQ(counts.alive, static_cast<Index>(twin.alive.size()));
        }
        const Index asked = random.between(0, size);
        pool.finish(asked);
        const Indices front = listed(pool.order().first(static_cast<std::size_t>(asked)));
        ASSERT_EQ(front, Indices(twin.order.begin(), twin.order.begin() + asked));
        ASSERT_EQ(finished(pool), twin.order);
        for (Index candidate = 0; candidate < size; ++candidate) {
            EXPECT_EQ(pool.reached(candidate), twin.reached[candidate]);
            for (Index stage = 0; stage < stages; ++stage) {
                const auto& column = twin.logits[stage];
                const auto found = column.find(candidate);
                if (found == column.end()) {
                    EXPECT_TRUE(std::isnan(pool.logit(stage, candidate)));
                } else {
                    EXPECT_EQ(pool.logit(stage, candidate), found->second);
                }
            }
        }
    }
}

}  // namespace
