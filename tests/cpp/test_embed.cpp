#include "embed.hpp"
#include "expect.hpp"
#include "vectors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace {

using cascade::HiddenShape;
using cascade::Index;
using cascade::Pooling;
using Floats = std::vector<float>;
using Indices = std::vector<Index>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Floats pooled(const Floats& hidden, const Indices& mask, const HiddenShape& shape, Pooling pooling, bool normalize) {
    Floats out(static_cast<std::size_t>(shape.rows * shape.dimension), -99.0F);
    cascade::pool_embeddings(hidden, mask, shape, pooling, normalize, out);
    return out;
}

// Row 0 is padded on the right, row 1 on the left; what stands on a pad must not matter, NaN included.
const Floats kHidden = {1, 2, 3, 6, kNan, kNan, kInfinity, 0, 5, -1, 7, -7};
const Indices kMask = {1, 1, 0, 0, 1, 1};
constexpr HiddenShape kShape = {2, 3, 2};

TEST(PoolEmbeddings, ReadsAttendedTokensAloneOnEitherSide) {
    EXPECT_EQ(pooled(kHidden, kMask, kShape, Pooling::cls, false), (Floats{1, 2, 5, -1}));
    EXPECT_EQ(pooled(kHidden, kMask, kShape, Pooling::last_token, false), (Floats{3, 6, 7, -7}));
    EXPECT_EQ(pooled(kHidden, kMask, kShape, Pooling::mean, false), (Floats{2, 4, 6, -4}));
}

TEST(PoolEmbeddings, NormalisesAndLeavesZeroAlone) {
    const Floats out = pooled({3, 4, 0, 0}, {1, 1}, {2, 1, 2}, Pooling::cls, true);
    EXPECT_EQ(out, (Floats{0.6F, 0.8F, 0, 0}));
    // Squares of the smallest floats vanish in fp32 but not in double.
    EXPECT_EQ(pooled({3e-30F, 4e-30F}, {1}, {1, 1, 2}, Pooling::mean, true), (Floats{0.6F, 0.8F}));
    EXPECT_EQ(pooled({3e38F, 0, 3e38F, 0}, {1, 1}, {1, 2, 2}, Pooling::mean, false), (Floats{3e38F, 0}));
}

TEST(PoolEmbeddings, NoRowsGiveNothing) {
    EXPECT_TRUE(pooled({}, {}, {0, 5, 3}, Pooling::mean, true).empty());
}

TEST(PoolEmbeddings, NamesTheRowItRefuses) {
    expect_refused("row 1 has no attended token", [] { pooled({1, 2}, {1, 0}, {2, 1, 1}, Pooling::mean, false); });
    expect_refused("row 0 has no attended token", [] { pooled({}, {}, {1, 0, 4}, Pooling::cls, false); });
    for (const float bad : {kNan, kInfinity, -kInfinity}) {
        for (const Pooling pooling : {Pooling::cls, Pooling::mean, Pooling::last_token}) {
            expect_refused("row 1 of hidden", [&] { pooled({1, bad}, {1, 1}, {2, 1, 1}, pooling, true); });
        }
    }
    expect_refused("row 1", [] {
        pooled({1, 2, 3, kInfinity, -kInfinity, 1}, {1, 1, 1, 1, 1, 1}, {2, 3, 1}, Pooling::mean, false);
    });
    expect_refused("mask row 1, position 0 is 2", [] { pooled({1, 2}, {1, 2}, {2, 1, 1}, Pooling::mean, false); });
}

TEST(PoolEmbeddings, RefusesSizesThatDisagree) {
    Floats out(2);
    const auto call = [&](const Floats& hidden, const Indices& mask, const HiddenShape& shape) {
        cascade::pool_embeddings(hidden, mask, shape, Pooling::mean, false, out);
    };
    expect_refused("hidden holds 3", [&] { call({1, 2, 3}, {1}, {1, 1, 2}); });
    expect_refused("mask holds 2", [&] { call({1, 2}, {1, 1}, {1, 1, 2}); });
    expect_refused("out holds 2", [&] { call({1, 2, 3}, {1}, {1, 1, 3}); });
    expect_refused("dimension 0", [&] { call({}, {1}, {1, 1, 0}); });
    expect_refused("negative", [&] { call({}, {}, {-1, 1, 1}); });
    expect_refused("too large", [&] { call({}, {}, {Index{1} << 40, Index{1} << 40, 2}); });
}

TEST(PoolEmbeddings, EqualsTheNaiveTwin) {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const std::size_t dimension = random.size(1, 40);
        const std::size_t length = random.size(1, 12);
        const naive::Matrix tokens = random_matrix(random, length, dimension);
        Indices mask = random.integers(length, 0, 1);
        mask[random.size(0, static_cast<Index>(length) - 1)] = 1;
        const auto pooling = static_cast<Pooling>(random.between(0, 2));
        const bool normalize = random.flip();
        const HiddenShape shape{1, static_cast<Index>(length), static_cast<Index>(dimension)};
        const Floats out = pooled(flat(tokens), mask, shape, pooling, normalize);
        std::vector<double> expected = naive::pool(tokens, mask, pooling);
        if (normalize) {
            expected = naive::unit(expected);
        }
        for (std::size_t h = 0; h < dimension; ++h) {
            EXPECT_NEAR(static_cast<double>(out[h]), expected[h], 1e-7);  // one rounding of values below 1
        }
    }
}

TEST(NormalizeRows, DividesByTheNormAndChangesNothingOnError) {
    Floats matrix = {3, 4, 0, 0, -5, 0};
    cascade::normalize_rows(matrix, 2);
    EXPECT_EQ(matrix, (Floats{0.6F, 0.8F, 0, 0, -1, 0}));
    Floats broken = {3, 4, 1, kNan};
    expect_refused("row 1", [&] { cascade::normalize_rows(broken, 2); });
    EXPECT_EQ(broken[0], 3.0F);
    expect_refused("not a multiple", [&] { cascade::normalize_rows(matrix, 4); });
    expect_refused("dimension is 0", [&] { cascade::normalize_rows(matrix, 0); });
    Floats none;
    cascade::normalize_rows(none, 7);
}

Floats dots(cascade::Target target, const Floats& query, const Floats& matrix, const Indices& rows) {
    Floats out(rows.size(), -99.0F);
    cascade::dot_rows_on(target, query, matrix, rows, out);
    return out;
}

TEST(DotRows, EqualsTheNaiveTwinOnEveryTarget) {
    for (const cascade::Target target : supported_targets()) {
        for (std::uint64_t seed = 0; seed < 300; ++seed) {
            SCOPED_TRACE(seed);
            Random random(seed);
            const std::size_t dimension = random.size(1, 200);
            const naive::Vector query = random.reals(dimension);
            const naive::Matrix matrix = random_matrix(random, random.size(1, 12), dimension);
            const Indices rows = random.integers(random.size(0, 20), 0, static_cast<Index>(matrix.size()) - 1);
            const Floats out = dots(target, query, flat(matrix), rows);
            for (std::size_t i = 0; i < rows.size(); ++i) {
                const naive::Vector& row = matrix[static_cast<std::size_t>(rows[i])];
                // fp32 sums of up to 200 products below 1: 200 * 2^-24 bounds the error, with room for the tree.
                EXPECT_NEAR(static_cast<double>(out[i]), naive::dot(query, row), 2e-5);
            }
        }
    }
}

TEST(DotRows, ASumDependsOnTheRowAloneNotOnAlignmentOrNeighbours) {
    Random random(1);
    for (const cascade::Target target : supported_targets()) {
        for (const std::size_t dimension : {1U, 31U, 32U, 33U, 100U, 384U}) {
            const Floats query = random.reals(dimension);
            const Floats row = random.reals(dimension);
            const float alone = dots(target, query, row, {0})[0];
            for (std::size_t shift = 0; shift < 17; ++shift) {
                Floats storage = random.reals(shift + 3 * dimension);
                std::copy(row.begin(), row.end(), storage.begin() + static_cast<std::ptrdiff_t>(shift + dimension));
                const std::span<const float> matrix = std::span(storage).subspan(shift);
                const Indices rows = {0, 1, 2, 1, 1};
                Floats out(rows.size());
                cascade::dot_rows_on(target, query, matrix, rows, out);
                EXPECT_EQ(out[1], alone);
                EXPECT_EQ(out[3], alone);
                EXPECT_EQ(out[4], alone);
            }
        }
    }
}

TEST(DotRows, NamesThePlaceItRefuses) {
    const cascade::Target target = cascade::best_target();
    expect_refused("rows[1] is 2", [&] { dots(target, {1}, {1, 2}, {0, 2}); });
    expect_refused("rows[0] is -1", [&] { dots(target, {1}, {1, 2}, {-1}); });
    expect_refused("rows[1] = 1", [&] { dots(target, {1}, {1, kNan}, {0, 1}); });
    expect_refused("rows[0] = 0", [&] { dots(target, {3e38F}, {3e38F}, {0}); });
    expect_refused("query is empty", [&] { dots(target, {}, {}, {}); });
    expect_refused("not a multiple", [&] { dots(target, {1, 2}, {1, 2, 3}, {0}); });
    Floats out(2);
    expect_refused("out holds 2", [&] { cascade::dot_rows(Floats{1}, Floats{1}, Indices{0}, out); });
    EXPECT_TRUE(dots(target, {1}, {}, {}).empty());
}

}  // namespace
