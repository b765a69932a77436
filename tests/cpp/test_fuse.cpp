#include "expect.hpp"
#include "fuse.hpp"
#include "naive.hpp"
#include "random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace {

using cascade::Fusion;
using cascade::FusionKind;
using cascade::Normalisation;
using Scores = std::vector<double>;

Scores fuse(const Fusion& fusion, const std::vector<Scores>& scores) {
    std::vector<cascade::Source> sources;
    for (std::size_t s = 0; s < scores.size(); ++s) {
        sources.push_back({s, scores[s]});
    }
    Scores values(scores.empty() ? 0 : scores.front().size(), -99.0);
    cascade::fuse(fusion, sources, values);
    return values;
}

TEST(Fuse, LastIsTheLastSource) {
    EXPECT_EQ(fuse({.kind = FusionKind::last}, {{1.0, 2.0}, {0.5, -0.5}}), (Scores{0.5, -0.5}));
}

TEST(Fuse, ReciprocalRanksCountFromOneAndBreakTiesByPlace) {
    const Fusion fusion{.kind = FusionKind::rrf, .weights = {1.0, 1.0}};
    const Scores values = fuse(fusion, {{5.0, 5.0, 1.0}, {0.0, 2.0, -0.0}});
    EXPECT_DOUBLE_EQ(values[0], 0.5 / 61 + 0.5 / 62);
    EXPECT_DOUBLE_EQ(values[1], 0.5 / 62 + 0.5 / 61);
    EXPECT_DOUBLE_EQ(values[2], 0.5 / 63 + 0.5 / 63);
}

TEST(Fuse, ConvexUsesTheSpreadWithinTheQuery) {
    Fusion fusion{.kind = FusionKind::convex, .normalisation = Normalisation::min_max, .weights = {1.0, 3.0}};
    const Scores values = fuse(fusion, {{0.0, 10.0, 5.0}, {2.0, 2.0, 4.0}});
    EXPECT_DOUBLE_EQ(values[0], 0.0);
    EXPECT_DOUBLE_EQ(values[1], 0.25);
    EXPECT_DOUBLE_EQ(values[2], 0.125 + 0.75);
    fusion.normalisation = Normalisation::z_score;
    const Scores z = fuse(fusion, {{1.0, 3.0}, {0.0, 0.0}});
    EXPECT_DOUBLE_EQ(z[0], -0.25);
    EXPECT_DOUBLE_EQ(z[1], 0.25);
}

TEST(Fuse, ASourceWithoutSpreadAddsNothingEvenWhenItsMeanRounds) {
    for (const Normalisation how : {Normalisation::z_score, Normalisation::min_max}) {
        const Fusion fusion{.kind = FusionKind::convex, .normalisation = how, .weights = {1.0}};
        EXPECT_EQ(fuse(fusion, {Scores(7, 0.1)}), Scores(7, 0.0));
        EXPECT_EQ(fuse(fusion, {Scores(1, -3.0)}), Scores(1, 0.0));
    }
}

TEST(Fuse, WeightedAddsCalibratedLogOdds) {
    const Fusion fusion{
        .kind = FusionKind::weighted, .weights = {1.0, 3.0}, .calibrations = {{0.5, 0.5, 1.0}, {2.0, 2.0, -1.0}}};
    const Scores values = fuse(fusion, {{2.0, -2.0}, {0.5, 1000.0}});
    EXPECT_DOUBLE_EQ(values[0], 0.25 * 2.0 + 0.75 * 0.0);
    EXPECT_DOUBLE_EQ(values[1], 0.25 * 0.0 + 0.75 * 1999.0);
}

TEST(Fuse, EmptyCandidatesAreFine) {
    EXPECT_TRUE(fuse({.kind = FusionKind::rrf, .weights = {1.0}}, {{}}).empty());
}

TEST(Fuse, WeightsOfNothingGiveEverybodyNothing) {
    for (const FusionKind kind : {FusionKind::rrf, FusionKind::convex, FusionKind::weighted}) {
        EXPECT_EQ(fuse({.kind = kind, .weights = {0.0, 0.0}}, {{1.0, 2.0}, {3.0, -4.0}}), (Scores{0.0, 0.0}));
    }
}

TEST(Fuse, RefusesMissingSourcesWeightsAndCalibrations) {
    expect_refused("at least one source", [] { fuse({}, {}); });
    expect_refused("1 scores for 2", [] { fuse({}, {{1.0, 2.0}, {1.0}}); });
    expect_refused("source 1 has no weight", [] { fuse({.kind = FusionKind::rrf, .weights = {1.0}}, {{1.0}, {2.0}}); });
    expect_refused("expected at least 0", [] { fuse({.kind = FusionKind::rrf, .weights = {std::nan("")}}, {{1.0}}); });
    expect_refused("no calibration", [] { fuse({.kind = FusionKind::weighted, .weights = {1.0}}, {{1.0}}); });
}

TEST(Fuse, EqualsTheNaiveFusion) {
    for (std::uint64_t seed = 0; seed < 1000; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        Fusion fusion;
        fusion.kind = static_cast<FusionKind>(random.between(0, 3));
        fusion.normalisation = random.flip() ? Normalisation::z_score : Normalisation::min_max;
        fusion.rrf_k = static_cast<double>(random.between(1, 100));
        const std::size_t count = random.size(0, 25);
        std::vector<Scores> sources;
        for (std::size_t s = random.size(1, 4); s > 0; --s) {
            const std::vector<float> raw = random.flip() ? random.tied_scores(count) : random.reals(count);
            sources.emplace_back(raw.begin(), raw.end());
            fusion.weights.push_back(static_cast<double>(random.between(1, 10)));
            const double slope = 0.25 + 0.25 * static_cast<double>(random.between(0, 8));
            fusion.calibrations.push_back({slope, random.flip() ? slope : 1.5, static_cast<double>(random.real())});
        }
        const Scores values = fuse(fusion, sources);
        const Scores expected = naive::fuse(fusion, sources);
        ASSERT_EQ(values.size(), expected.size());
        for (std::size_t i = 0; i < values.size(); ++i) {
            // Both are sums of a few doubles of order one, added in different orders.
            EXPECT_NEAR(values[i], expected[i], 1e-12);
        }
    }
}

}  // namespace
