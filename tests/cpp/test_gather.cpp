#include "embed.hpp"
#include "expect.hpp"
#include "vectors.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace {

using cascade::HiddenShape;
using cascade::Index;
using Floats = std::vector<float>;
using Indices = std::vector<Index>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(GatherTokens, PutsKeptVectorsEndToEnd) {
    Floats out(6);
    Indices cu(4);
    const Floats hidden = {3, 4, kNan, 0, 0, 0, kNan, kNan, 0, -2, 6, 8};
    cascade::gather_tokens(hidden, Indices{1, 0, 0, 0, 1, 1}, {3, 2, 2}, true, out, cu);
    EXPECT_EQ(out, (Floats{0.6F, 0.8F, 0, -1, 0.6F, 0.8F}));
    EXPECT_EQ(cu, (Indices{0, 1, 1, 3}));
}

TEST(GatherTokens, EqualsTheNaiveTwin) {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const HiddenShape shape{random.between(0, 5), random.between(0, 8), random.between(1, 20)};
        const auto length = static_cast<std::size_t>(shape.length);
        const auto positions = static_cast<std::size_t>(shape.rows) * length;
        const naive::Matrix tokens = random_matrix(random, positions, static_cast<std::size_t>(shape.dimension));
        const Indices keep = random.integers(positions, 0, 1);
        naive::Matrix expected;
        Indices expected_cu = {0};
        for (std::size_t row = 0; row < static_cast<std::size_t>(shape.rows); ++row) {
            for (std::size_t i = row * length; i < (row + 1) * length; ++i) {
                if (keep[i] == 1) {
                    expected.push_back(tokens[i]);
                }
            }
            expected_cu.push_back(static_cast<Index>(expected.size()));
        }
        Floats out(expected.size() * static_cast<std::size_t>(shape.dimension));
        Indices cu(expected_cu.size());
        cascade::gather_tokens(flat(tokens), keep, shape, false, out, cu);
        EXPECT_EQ(out, flat(expected));
        EXPECT_EQ(cu, expected_cu);
    }
}

TEST(GatherTokens, NamesTheRowItRefuses) {
    Floats out(2);
    Indices cu(3);
    const auto call = [&](const Floats& hidden, const Indices& keep) {
        cascade::gather_tokens(hidden, keep, {2, 2, 1}, false, out, cu);
    };
    expect_refused("row 1, position 0", [&] { call({1, 2, kNan, 4}, {1, 0, 1, 0}); });
    expect_refused("keep row 0, position 1 is -1", [&] { call({1, 2, 3, 4}, {1, -1, 1, 1}); });
    expect_refused("for 3 kept tokens", [&] { call({1, 2, 3, 4}, {1, 0, 1, 1}); });
    expect_refused("keep holds 3", [&] { call({1, 2, 3, 4}, {1, 0, 1}); });
    cu.pop_back();
    expect_refused("cu_out holds 2", [&] { call({1, 2, 3, 4}, {1, 0, 1, 0}); });
}

}  // namespace
