#include "calibrate.hpp"
#include "expect.hpp"
#include "naive.hpp"
#include "random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

using cascade::Calibration;
using cascade::first_logit;
using cascade::log_odds;

Calibration random_map(Random& random) {
    if (random.flip()) {
        const double slope = 0.25 * static_cast<double>(random.between(1, 8));
        return {slope, random.flip() ? slope : 0.75, static_cast<double>(random.real())};
    }
    Calibration map;
    double logit = -3.0;
    double value = -2.0;
    for (std::size_t knot = random.size(1, 6); knot > 0; --knot) {
        map.logits.push_back(logit);
        map.log_odds.push_back(value);
        logit += 0.5 * static_cast<double>(random.between(1, 4));
        value += 0.5 * static_cast<double>(random.between(0, 2));  // plateaus too
    }
    return map;
}

TEST(Calibrate, PlattIsALineWhateverTheSizeOfTheLogit) {
    const Calibration map{2.0, 2.0, -1.0};
    EXPECT_EQ(log_odds(map, 3.0), 5.0);
    EXPECT_EQ(log_odds(map, -1e30), -2e30);
}

TEST(Calibrate, BetaHasOneSlopeOnEachSide) {
    const Calibration map{0.5, 2.0, 1.0};
    EXPECT_NEAR(log_odds(map, 1000.0), 2001.0, 1e-9);
    EXPECT_NEAR(log_odds(map, -1000.0), -499.0, 1e-9);
    EXPECT_NEAR(log_odds(map, 0.0), 1.5 * std::log(2.0) + 1.0, 1e-12);
}

TEST(Calibrate, ATableInterpolatesAndKeepsTheOrderOnPlateaus) {
    const Calibration map{.logits = {-1.0, 0.0, 2.0, 3.0}, .log_odds = {-2.0, 1.0, 1.0, 4.0}};
    EXPECT_NEAR(log_odds(map, -0.5), -0.5, 1e-5);
    EXPECT_NEAR(log_odds(map, 2.5), 2.5, 1e-5);
    EXPECT_NEAR(log_odds(map, -50.0), -2.0, 1e-4);
    EXPECT_NEAR(log_odds(map, 50.0), 4.0, 1e-4);
    EXPECT_LT(log_odds(map, 0.5), log_odds(map, 1.5));
    EXPECT_LT(log_odds(map, 50.0), log_odds(map, 51.0));
    EXPECT_EQ(log_odds(map, 1e30), 4.01);  // bounded
}

TEST(Calibrate, EqualsTheFormulaAndNeverDecreases) {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const Calibration map = random_map(random);
        cascade::check(map);
        double before = -std::numeric_limits<double>::infinity();
        for (double logit = -8.0; logit <= 8.0; logit += 0.125) {
            const double value = log_odds(map, logit);
            EXPECT_NEAR(value, naive::calibrated(map, logit), 1e-9);
            EXPECT_GT(value, before);
            before = value;
        }
    }
}

TEST(Calibrate, TheFirstLogitIsTheLeastThatPasses) {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const Calibration map = random_map(random);
        const double limit = static_cast<double>(random.real());
        const double found = first_logit(map, limit);
        if (log_odds(map, 1e30) < limit || log_odds(map, -1e30) >= limit) {
            EXPECT_TRUE(std::isinf(found));  // a table does not reach so far
            continue;
        }
        EXPECT_GE(log_odds(map, found), limit);
        EXPECT_LT(log_odds(map, std::nextafter(found, -std::numeric_limits<double>::infinity())), limit);
    }
    const Calibration line{1.0, 1.0, 0.0};
    EXPECT_EQ(first_logit(line, -1e300), -std::numeric_limits<double>::infinity());
    EXPECT_EQ(first_logit(line, 1e300), std::numeric_limits<double>::infinity());
    expect_refused("not a number", [&] { first_logit(line, std::nan("")); });
}

TEST(Calibrate, RefusesWhatWouldNotKeepTheOrder) {
    expect_refused("keeps the order", [] { cascade::check({0.0, 1.0, 0.0}); });
    expect_refused("keeps the order", [] { cascade::check({1.0, -1.0, 0.0}); });
    expect_refused("not finite", [] { cascade::check({1.0, 1.0, std::nan("")}); });
    expect_refused("do not increase at 1", [] { cascade::check({.logits = {0.0, 0.0}, .log_odds = {0.0, 1.0}}); });
    expect_refused("decrease at 1", [] { cascade::check({.logits = {0.0, 1.0}, .log_odds = {1.0, 0.0}}); });
    expect_refused("2 knots with 1", [] { cascade::check({.logits = {0.0, 1.0}, .log_odds = {1.0}}); });
    std::vector<double> out(1);
    expect_refused("out has 1", [&] { log_odds({}, std::vector<cascade::Score>(2), out); });
}

}  // namespace
