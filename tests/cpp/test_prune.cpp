#include "expect.hpp"
#include "naive.hpp"
#include "prune.hpp"
#include "random.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace {

using cascade::Index;
using cascade::Ranked;
using cascade::Score;

std::vector<Index> topk(const std::vector<Score>& scores, std::size_t k) {
    std::vector<Index> out(k, -1);
    cascade::topk(scores, out);
    return out;
}

TEST(TopK, ValueDescendingThenIndexAscending) {
    EXPECT_EQ(topk({1.0F, 3.0F, 2.0F, 3.0F}, 3), (std::vector<Index>{1, 3, 2}));
    EXPECT_EQ(topk({-1.0F, -2.0F, -0.5F}, 3), (std::vector<Index>{2, 0, 1}));
}

TEST(TopK, BothZerosAreOneValue) {
    EXPECT_EQ(topk({-0.0F, 0.0F, -0.0F, 0.0F}, 4), (std::vector<Index>{0, 1, 2, 3}));
    EXPECT_EQ(topk({-1e-45F, 0.0F, 1e-45F, -0.0F}, 4), (std::vector<Index>{2, 1, 3, 0}));
}

TEST(TopK, SixtyFourEqualScoresKeepTheirOrder) {
    EXPECT_EQ(topk(std::vector<Score>(64, 2.0F), 5), (std::vector<Index>{0, 1, 2, 3, 4}));
}

TEST(TopK, EmptyOneAndNone) {
    EXPECT_TRUE(topk({}, 0).empty());
    EXPECT_TRUE(topk({1.0F}, 0).empty());
    EXPECT_EQ(topk({1.0F}, 1), (std::vector<Index>{0}));
}

TEST(TopK, RefusesNonFiniteScoresAndTooLargeK) {
    const Score infinity = std::numeric_limits<Score>::infinity();
    for (const Score bad : {std::numeric_limits<Score>::quiet_NaN(), infinity, -infinity}) {
        expect_refused("not finite", [&] { topk({1.0F, bad, 2.0F}, 1); });
    }
    expect_refused("k = 3 of 2", [&] { topk({1.0F, 2.0F}, 3); });
}

TEST(TopK, EqualsAStableSortAndALargerKKeepsASuperset) {
    for (std::uint64_t seed = 0; seed < 1000; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const std::size_t count = random.size(0, 60);
        const std::vector<Score> scores = random.flip() ? random.tied_scores(count) : random.reals(count);
        const std::size_t k = random.size(0, static_cast<Index>(count));
        const std::vector<Index> best = topk(scores, k);
        ASSERT_EQ(best, naive::topk(scores, k));
        if (k < count) {
            std::vector<Index> more = topk(scores, k + 1);
            more.pop_back();
            EXPECT_EQ(more, best);
        }
    }
}

// Long inputs take a shortcut that guesses from a strided sample. The guess must not show, least of all when the sample
// holds nothing but the best scores, nothing but the worst, or a single value.
TEST(TopK, EqualsAStableSortOverLongInputsWhateverASampleShows) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const std::size_t count = random.size(256, 2100);
        std::vector<Score> scores = random.flip() ? random.tied_scores(count) : random.reals(count);
        if (random.flip()) {
            const Score shift = random.flip() ? 100.0F : -100.0F;
            for (std::size_t i = 0; i < count; i += count / 64) {
                scores[i] += shift;
            }
        }
        for (const std::size_t k :
             {std::size_t{1}, random.size(0, 80), random.size(0, static_cast<Index>(count)), count}) {
            ASSERT_EQ(topk(scores, k), naive::topk(scores, k));
        }
    }
}

TEST(SelectBest, OrdersTheFrontUnderTheTotalOrder) {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const std::size_t count = random.size(0, 40);
        const std::vector<float> scores = random.tied_scores(count);
        std::vector<Ranked> entries(count);
        for (std::size_t i = 0; i < count; ++i) {
            // Candidates stand in the reverse of their previous order: the previous order decides, not the index.
            entries[i] = {static_cast<double>(scores[i]), static_cast<Index>(i), static_cast<Index>(count - 1 - i)};
        }
        const std::size_t asked = random.size(0, 50);
        const std::vector<Index> expected = naive::topk(scores, asked);
        const std::size_t kept = cascade::select_best(entries, asked);
        ASSERT_EQ(kept, expected.size());
        for (std::size_t i = 0; i < kept; ++i) {
            EXPECT_EQ(entries[i].previous, expected[i]);
            EXPECT_EQ(entries[i].candidate, static_cast<Index>(count) - 1 - expected[i]);
        }
    }
}

TEST(RanksBefore, IsATotalOrderOverDistinctPlaces) {
    const std::vector<Ranked> all = {{1.0, 0, 0}, {-0.0, 1, 1}, {0.0, 2, 2}, {1.0, 3, 3}, {-5.0, 4, 4}};
    for (const Ranked& a : all) {
        EXPECT_FALSE(cascade::ranks_before(a, a));
        for (const Ranked& b : all) {
            if (a.previous != b.previous) {
                EXPECT_NE(cascade::ranks_before(a, b), cascade::ranks_before(b, a));
            }
        }
    }
    EXPECT_TRUE(cascade::ranks_before(all[1], all[2]));  // -0.0 equals 0.0: the earlier place wins
}

}  // namespace
