#include "expect.hpp"
#include "explore.hpp"
#include "pool.hpp"
#include "random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

namespace {

using cascade::Choices;
using cascade::Explored;
using cascade::Fusion;
using cascade::FusionKind;
using cascade::Index;
using cascade::Pool;
using cascade::PruneRule;
using cascade::Score;
using cascade::ScoreTable;
using Indices = std::vector<Index>;
using Scores = std::vector<Score>;

constexpr Score kNone = std::numeric_limits<Score>::quiet_NaN();

// A table of `queries` queries with `size` candidates each, and rows of choices, all owned.
struct Case {
    Index stages;
    Indices cu_candidates;
    Scores first, logits, gains, ideal, cost, fixed;
    Indices keeps;
    Scores low, margins, masses, temperatures;
    Scores ndcg, recall, ms;
    Indices pairs;
    Score least_gain = 1;

    ScoreTable table() const { return {cu_candidates, first, logits, gains, ideal, cost, fixed, stages, least_gain}; }
    Choices choices() const { return {keeps, low, margins, masses, temperatures}; }
    void run(const Fusion& fusion) {
        const std::size_t cells = keeps.size() / static_cast<std::size_t>(stages) * (cu_candidates.size() - 1);
        ndcg.assign(cells, kNone);
        recall.assign(cells, kNone);
        ms.assign(cells, kNone);
        pairs.assign(cells * static_cast<std::size_t>(stages), -1);
        cascade::explore(table(), fusion, 10, choices(), Explored{ndcg, recall, ms, pairs});
    }
};

Case make_case(Random& random, Index queries, Index size, Index stages, std::size_t rows) {
    Case made;
    made.stages = stages;
    const auto count = static_cast<std::size_t>(queries * size);
    for (Index query = 0; query <= queries; ++query) {
        made.cu_candidates.push_back(query * size);
    }
    made.first = random.tied_scores(count);
    made.logits = random.tied_scores(count * static_cast<std::size_t>(stages));
    made.gains.resize(count);
    std::generate(made.gains.begin(), made.gains.end(), [&] { return random.between(0, 3) == 0 ? 1.0F : 0.0F; });
    made.ideal.assign(static_cast<std::size_t>(queries), 2.0F);
    made.cost.assign(count * static_cast<std::size_t>(stages), 0.5F);
    made.fixed.assign(static_cast<std::size_t>(stages), 4.0F);
    const std::size_t cells = rows * static_cast<std::size_t>(stages);
    made.keeps = random.integers(cells, 0, size);
    made.low.assign(cells, kNone);
    made.margins.assign(cells, kNone);
    made.masses.assign(cells, kNone);
    for (std::size_t cell = 0; cell < cells; ++cell) {
        made.margins[cell] = random.flip() ? kNone : 3.0F;
        made.masses[cell] = random.flip() ? kNone : 0.75F;
    }
    made.temperatures.assign(static_cast<std::size_t>(stages), 2.0F);
    return made;
}

TEST(Explore, ByHand) {
    Case made;
    made.stages = 2;
    made.cu_candidates = {0, 3};
    made.first = {3, 2, 1};
    made.logits = {1, 2, 3, /* second stage */ 5, 9, 0};
    made.gains = {1, 0, 0};
    made.ideal = {1};
    made.cost = {1, 1, 1, 10, 20, 30};
    made.fixed = {100, 1000};
    made.keeps = {0, 0, 0, 3, 2, 0, 2, 1, 3, 3};
    made.low = made.margins = made.masses = Scores(10, kNone);
    made.temperatures = {1, 1};
    made.run({});
    const auto second = static_cast<Score>(1.0 / std::log2(3.0));
    EXPECT_EQ(made.recall, (Scores{1, 1, 0, 0, 1}));
    EXPECT_EQ(made.ms, (Scores{0, 1060, 103, 1153, 1163}));
    EXPECT_EQ(made.pairs, (Indices{0, 0, 0, 3, 3, 0, 3, 2, 3, 3}));
    EXPECT_EQ(made.ndcg, (Scores{1, second, 0.5F, 0.5F, second}));
}

TEST(Explore, RecallCountsFromTheLeastGain) {
    Case made;
    made.stages = 1;
    made.cu_candidates = {0, 3, 5};
    made.logits = {3, 2, 1, 0, 0};
    made.gains = {1, 3, 7, 1, 1};
    made.ideal = {1, 1};
    made.cost = Scores(5, 1);
    made.fixed = {0};
    made.keeps = {1, 2};
    made.low = made.margins = made.masses = Scores(2, kNone);
    made.temperatures = {1};
    made.run({});
    EXPECT_EQ(made.recall, (Scores{1.0F / 3, 0.5F, 2.0F / 3, 1.0F}));
    made.least_gain = 3;
    made.run({});
    EXPECT_EQ(made.recall[0], 0.0F);
    EXPECT_EQ(made.recall[2], 0.5F);
    EXPECT_TRUE(std::isnan(made.recall[1]));
    EXPECT_TRUE(std::isnan(made.recall[3]));
    made.least_gain = 0;
    EXPECT_THROW(made.run({}), std::invalid_argument);
}

TEST(Explore, EqualsThePoolWhateverCameBefore) {
    for (std::uint64_t round = 0; round < 200; ++round) {
        SCOPED_TRACE(round);
        Random random(round);
        const Index size = random.between(1, 12);
        const Index stages = random.between(1, 3);
        Case made = make_case(random, 2, size, stages, 6);
        Fusion fusion;
        fusion.kind = random.flip() ? FusionKind::last : FusionKind::convex;
        fusion.weights.assign(static_cast<std::size_t>(stages) + 1, 1.0);
        made.run(fusion);
        const auto width = static_cast<std::size_t>(stages);
        for (std::size_t cell = 0; cell < made.recall.size(); ++cell) {
            const std::size_t choice = cell / 2;
            const std::size_t begin = (cell % 2) * static_cast<std::size_t>(size);
            Pool pool;
            pool.reset(size, std::span(made.first).subspan(begin, static_cast<std::size_t>(size)), stages, fusion);
            for (Index stage = 0; stage < stages; ++stage) {
                const std::size_t place = choice * width + static_cast<std::size_t>(stage);
                const Indices alive(pool.alive().begin(), pool.alive().end());
                if (made.keeps[place] == 0 || alive.empty()) {
                    EXPECT_EQ(made.pairs[cell * width + static_cast<std::size_t>(stage)], 0);
                    continue;
                }
                Indices positions;
                Scores outputs;
                for (std::size_t row = 0; row < alive.size(); ++row) {
                    positions.push_back(static_cast<Index>(row));
                    outputs.push_back(made.logits[static_cast<std::size_t>(stage) * made.gains.size() + begin +
                                                  static_cast<std::size_t>(alive[row])]);
                }
                pool.collect(stage, positions, outputs, 1);
                PruneRule rule{made.keeps[place], {}, {}, {}};
                if (!std::isnan(made.margins[place])) rule.margin = made.margins[place];
                if (!std::isnan(made.masses[place])) rule.dynamic = cascade::Dynamic{made.masses[place], 2.0};
                pool.prune(stage, rule);
                EXPECT_EQ(made.pairs[cell * width + static_cast<std::size_t>(stage)], static_cast<Index>(alive.size()));
            }
            double kept = 0.0;
            double all = 0.0;
            for (const Index candidate : pool.alive())
                kept += made.gains[begin + static_cast<std::size_t>(candidate)];
            for (Index i = 0; i < size; ++i)
                all += made.gains[begin + static_cast<std::size_t>(i)];
            if (all == 0.0) {
                EXPECT_TRUE(std::isnan(made.recall[cell]));
            } else {
                EXPECT_FLOAT_EQ(made.recall[cell], static_cast<Score>(kept / all));
            }
            pool.finish(size);
            double sum = 0.0;
            for (std::size_t place = 0; place < std::min<std::size_t>(10, static_cast<std::size_t>(size)); ++place) {
                sum += made.gains[begin + static_cast<std::size_t>(pool.order()[place])] /
                       std::log2(static_cast<double>(place) + 2.0);
            }
            EXPECT_FLOAT_EQ(made.ndcg[cell], static_cast<Score>(std::min(sum / 2.0, 1.0)));
        }
    }
}

TEST(Explore, RefusesWhatDoesNotFit) {
    Random random(1);
    const Case good = make_case(random, 2, 4, 2, 3);
    Case made = good;
    made.run({});
    made.keeps[1] = -1;
    EXPECT_THROW(made.run({}), std::invalid_argument);
    made = good;
    made.cu_candidates.back() += 1;
    EXPECT_THROW(made.run({}), std::invalid_argument);
    made = good;
    made.logits[3] = kNone;
    EXPECT_THROW(made.run({}), std::invalid_argument);
    made = good;
    made.fixed.pop_back();
    EXPECT_THROW(made.run({}), std::invalid_argument);
    made = good;
    made.keeps[0] = 1;
    made.masses[0] = 1.5F;
    EXPECT_THROW(made.run({}), std::invalid_argument);
}

}  // namespace
