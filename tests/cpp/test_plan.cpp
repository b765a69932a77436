#include "expect.hpp"
#include "naive.hpp"
#include "pack.hpp"
#include "random.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace {

using cascade::Index;
using cascade::Layout;
using cascade::PlanRule;
using naive::Batch;

struct Plan {
    std::vector<Batch> batches;
    Index tokens = 0;
};

Plan plan(const std::vector<Index>& lengths, const PlanRule& rule) {
    std::vector<Index> order(lengths.size(), -1);
    std::vector<Index> bounds(lengths.size() + 1, -1);
    std::vector<Index> widths(lengths.size(), -1);
    const cascade::PlanSize size = cascade::plan_batches(lengths, rule, order, bounds, widths);
    Plan result{{}, size.tokens};
    for (std::size_t b = 0; b < static_cast<std::size_t>(size.batches); ++b) {
        result.batches.push_back({{order.begin() + bounds[b], order.begin() + bounds[b + 1]}, widths[b]});
    }
    return result;
}

TEST(PlanBatches, GivesTheExactMicroBatches) {
    const PlanRule rule{.token_budget = 20, .max_rows = 3, .window = 100};
    const Plan result = plan({5, 9, 2, 9, 3, 2, 2}, rule);
    EXPECT_EQ(result.batches, (std::vector<Batch>{{{1, 3}, 9}, {{0, 4, 2}, 5}, {{5, 6}, 2}}));
    EXPECT_EQ(result.tokens, 18 + 15 + 4);
}

TEST(PlanBatches, ChargesPackedRowsTheirSum) {
    const PlanRule rule{.token_budget = 20, .max_rows = 9, .window = 100, .layout = Layout::packed};
    const Plan result = plan({5, 9, 2, 9, 3, 2, 2}, rule);
    EXPECT_EQ(result.batches, (std::vector<Batch>{{{1, 3}, 9}, {{0, 4, 2, 5, 6}, 5}}));
    EXPECT_EQ(result.tokens, 32);
}

TEST(PlanBatches, RoundsWidthsAndChargesThem) {
    const PlanRule rule{.token_budget = 16, .max_rows = 9, .window = 100, .width_multiple = 8};
    const Plan result = plan({7, 3, 1}, rule);
    EXPECT_EQ(result.batches, (std::vector<Batch>{{{0, 1}, 8}, {{2}, 8}}));
    EXPECT_EQ(result.tokens, 24);
}

TEST(PlanBatches, SortsInsideWindowsAlone) {
    const PlanRule rule{.token_budget = 100, .max_rows = 100, .window = 2};
    const Plan result = plan({1, 4, 9, 2, 5}, rule);
    EXPECT_EQ(result.batches, (std::vector<Batch>{{{1, 0}, 4}, {{2, 3}, 9}, {{4}, 5}}));
}

TEST(PlanBatches, OversizeRowTravelsAlone) {
    const PlanRule rule{.token_budget = 4, .max_rows = 10, .window = 100};
    EXPECT_EQ(plan({2, 50, 2}, rule).batches, (std::vector<Batch>{{{1}, 50}, {{0, 2}, 2}}));
}

TEST(PlanBatches, EqualLengthsKeepArrivalOrder) {
    const std::vector<Index> lengths(64, 7);
    const Plan result = plan(lengths, {.token_budget = 7 * 64, .max_rows = 64, .window = 64});
    ASSERT_EQ(result.batches.size(), 1U);
    for (Index i = 0; i < 64; ++i) {
        EXPECT_EQ(result.batches[0].rows[static_cast<std::size_t>(i)], i);
    }
}

TEST(PlanBatches, EmptyAndOneRow) {
    const PlanRule rule{.token_budget = 1, .max_rows = 1, .window = 1};
    EXPECT_TRUE(plan({}, rule).batches.empty());
    EXPECT_EQ(plan({3}, rule).batches, (std::vector<Batch>{{{0}, 3}}));
}

TEST(PlanBatches, RefusesImpossibleRulesAndLengths) {
    const PlanRule good{.token_budget = 8, .max_rows = 8, .window = 8};
    for (Index PlanRule::* field :
         {&PlanRule::token_budget, &PlanRule::max_rows, &PlanRule::window, &PlanRule::width_multiple}) {
        PlanRule rule = good;
        rule.*field = 0;
        expect_refused("at least 1", [&] { plan({1}, rule); });
    }
    expect_refused("a row of 0 tokens", [&] { plan({1, 0}, good); });
    expect_refused("a row of -3 tokens", [&] { plan({-3}, good); });
    std::vector<Index> order(2), bounds(2), widths(2);
    const std::vector<Index> lengths = {1, 2};
    expect_refused("n + 1", [&] { cascade::plan_batches(lengths, good, order, bounds, widths); });
}

TEST(PlanBatches, EqualsTheNaivePlanAndKeepsItsPromises) {
    for (std::uint64_t seed = 0; seed < 2000; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const std::vector<Index> lengths = random.integers(random.size(0, 40), 1, random.flip() ? 6 : 200);
        const PlanRule rule{.token_budget = random.between(1, 400),
                            .max_rows = random.between(1, 12),
                            .window = random.between(1, 50),
                            .width_multiple = random.between(1, 9),
                            .layout = random.flip() ? Layout::padded : Layout::packed};
        const Plan result = plan(lengths, rule);
        ASSERT_EQ(result.batches, naive::plan_batches(lengths, rule));
        std::multiset<Index> seen;
        Index tokens = 0;
        for (const Batch& batch : result.batches) {
            seen.insert(batch.rows.begin(), batch.rows.end());
            const Index cost = naive::cost(batch.rows, lengths, rule);
            EXPECT_TRUE(batch.rows.size() == 1 || cost <= rule.token_budget);
            tokens += cost;
        }
        EXPECT_EQ(result.tokens, tokens);
        ASSERT_EQ(seen.size(), lengths.size());
        for (std::size_t i = 0; i < lengths.size(); ++i) {
            EXPECT_EQ(seen.count(static_cast<Index>(i)), 1U);
        }
    }
}

}  // namespace
