#include "collect.hpp"
#include "expect.hpp"
#include "random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

using cascade::Index;
using cascade::Score;

constexpr Score kEmpty = std::numeric_limits<Score>::quiet_NaN();
constexpr Score kInfinity = std::numeric_limits<Score>::infinity();

TEST(CollectLogits, WritesEachRowToItsCandidate) {
    std::vector<Score> logits(4, kEmpty);
    cascade::collect_logits(std::vector<Score>{1.5F, -2.0F}, 1, std::vector<Index>{3, 1}, logits);
    EXPECT_EQ(logits[3], 1.5F);
    EXPECT_EQ(logits[1], -2.0F);
    EXPECT_TRUE(std::isnan(logits[0]));
    EXPECT_TRUE(std::isnan(logits[2]));
}

TEST(CollectLogits, TwoColumnsAreNoAndYes) {
    std::vector<Score> logits(2, kEmpty);
    cascade::collect_logits(std::vector<Score>{0.25F, 1.0F, 2.0F, -1.0F}, 2, std::vector<Index>{0, 1}, logits);
    EXPECT_EQ(logits, (std::vector<Score>{0.75F, -3.0F}));
}

TEST(CollectLogits, NothingIsNothing) {
    std::vector<Score> logits(1, kEmpty);
    cascade::collect_logits({}, 1, {}, logits);
    EXPECT_TRUE(std::isnan(logits[0]));
}

TEST(CollectLogits, NamesTheCandidateOfANonFiniteOutput) {
    for (const Score bad : {kEmpty, kInfinity, -kInfinity}) {
        std::vector<Score> logits(8, kEmpty);
        try {
            cascade::collect_logits(std::vector<Score>{1.0F, bad}, 1, std::vector<Index>{2, 5}, logits);
            ADD_FAILURE() << "accepted " << bad;
        } catch (const cascade::NonFiniteScore& error) {
            EXPECT_EQ(error.candidate(), 5);
            EXPECT_NE(std::string(error.what()).find("candidate 5"), std::string::npos);
        }
    }
}

TEST(CollectLogits, RefusesADifferenceThatOverflows) {
    std::vector<Score> logits(1, kEmpty);
    const std::vector<Score> outputs = {-3e38F, 3e38F};
    EXPECT_THROW(cascade::collect_logits(outputs, 2, std::vector<Index>{0}, logits), cascade::NonFiniteScore);
}

TEST(CollectLogits, RefusesASlotWrittenTwice) {
    std::vector<Score> logits(2, kEmpty);
    const std::vector<Score> outputs = {1.0F, 2.0F};
    expect_refused<std::logic_error>("candidate 1 was scored twice",
                                     [&] { cascade::collect_logits(outputs, 1, std::vector<Index>{1, 1}, logits); });
}

TEST(CollectLogits, RefusesSizesAndCandidatesOutOfRange) {
    std::vector<Score> logits(2, kEmpty);
    const std::vector<Score> outputs = {1.0F, 2.0F};
    const std::vector<Index> one = {0};
    expect_refused("2 values for 1 rows", [&] { cascade::collect_logits(outputs, 1, one, logits); });
    expect_refused("columns is 3", [&] { cascade::collect_logits(outputs, 3, one, logits); });
    expect_refused("candidate 2", [&] { cascade::collect_logits(outputs, 2, std::vector<Index>{2}, logits); });
    expect_refused("candidate -1", [&] { cascade::collect_logits(outputs, 2, std::vector<Index>{-1}, logits); });
}

TEST(CollectLogits, InvertsAnyPermutation) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const std::size_t count = random.size(0, 30);
        std::vector<Index> order(count);
        for (std::size_t i = 0; i < count; ++i) {
            order[i] = static_cast<Index>(i);
            std::swap(order[i], order[random.size(0, static_cast<Index>(i))]);
        }
        const std::vector<Score> truth = random.reals(count);
        std::vector<Score> logits(count, kEmpty);
        for (const Index candidate : order) {
            const std::vector<Score> output = {truth[static_cast<std::size_t>(candidate)]};
            cascade::collect_logits(output, 1, std::vector<Index>{candidate}, logits);
        }
        EXPECT_EQ(logits, truth);
    }
}

}  // namespace
