#include "expect.hpp"
#include "maxsim.hpp"
#include "stored.hpp"
#include "vectors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace {

using cascade::Half;
using cascade::Index;
using cascade::Target;
using Bytes = std::vector<std::int8_t>;
using Floats = std::vector<float>;
using Halves = std::vector<Half>;
using Indices = std::vector<Index>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// IEEE 754 binary16 by its definition.
double value_of(Half half) {
    const int exponent = (half >> 10) & 31;
    const int fraction = half & 1023;
    const double sign = (half & 0x8000) != 0 ? -1.0 : 1.0;
    if (exponent == 31) {
        return fraction != 0 ? std::numeric_limits<double>::quiet_NaN()
                             : sign * std::numeric_limits<double>::infinity();
    }
    return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

Floats widened(Target target, const Halves& halves) {
    Floats out(halves.size());
    const float* values = cascade::widen_rows(target, std::span<const Half>(halves), 0, 1, halves.size(), out);
    return {values, values + halves.size()};
}

TEST(Widen, EveryHalfIsItsValueOnEveryTarget) {
    Halves all(1U << 16U);
    for (std::size_t bits = 0; bits < all.size(); ++bits) {
        all[bits] = static_cast<Half>(bits);
    }
    for (const Target target : supported_targets()) {
        const Floats out = widened(target, all);
        for (std::size_t bits = 0; bits < all.size(); ++bits) {
            const double expected = value_of(all[bits]);
            if (std::isnan(expected)) {
                EXPECT_TRUE(std::isnan(out[bits])) << bits;
            } else {
                EXPECT_EQ(static_cast<double>(out[bits]), expected) << bits;
                EXPECT_EQ(std::signbit(out[bits]), std::signbit(expected)) << bits;
            }
        }
    }
}

// Halves of magnitude up to 2, the smallest ones among them.
Halves random_halves(Random& random, std::size_t count) {
    Halves values(count);
    for (Half& value : values) {
        value = static_cast<Half>(random.between(0, 0x4000) | (random.flip() ? 0x8000 : 0));
    }
    return values;
}

Bytes random_bytes(Random& random, std::size_t count) {
    Bytes values(count);
    for (std::int8_t& value : values) {
        value = static_cast<std::int8_t>(random.between(-128, 127));
    }
    return values;
}

TEST(DotRowsFp16, EqualsTheNaiveTwinOnEveryTarget) {
    for (const Target target : supported_targets()) {
        for (std::uint64_t seed = 0; seed < 300; ++seed) {
            SCOPED_TRACE(seed);
            Random random(seed);
            const std::size_t dimension = random.size(1, 200);
            const Floats query = random.reals(dimension);
            const Index count = random.between(1, 12);
            const Halves matrix = random_halves(random, static_cast<std::size_t>(count) * dimension);
            const Indices rows = random.integers(random.size(0, 20), 0, count - 1);
            Floats out(rows.size(), -99.0F);
            cascade::dot_rows_on(target, query, matrix, rows, out);
            for (std::size_t i = 0; i < rows.size(); ++i) {
                double expected = 0.0;
                for (std::size_t h = 0; h < dimension; ++h) {
                    expected += static_cast<double>(query[h]) *
                                value_of(matrix[static_cast<std::size_t>(rows[i]) * dimension + h]);
                }
                EXPECT_NEAR(static_cast<double>(out[i]), expected, 4e-5);  // up to 200 products below 2 in fp32
            }
        }
    }
}

// The contract in plain words: the query in steps of its largest magnitude / 32767, then exact integers.
double int8_score(const Floats& query, const std::int8_t* row, float scale) {
    double largest = 0.0;
    for (const float value : query) {
        largest = std::max(largest, std::fabs(static_cast<double>(value)));
    }
    const double step = largest / 32767.0;
    std::int64_t sum = 0;
    for (std::size_t h = 0; h < query.size(); ++h) {
        sum += (largest > 0.0 ? std::lrint(static_cast<double>(query[h]) / step) : 0) * row[h];
    }
    return static_cast<double>(sum) * step * static_cast<double>(scale);
}

TEST(DotRowsInt8, IsExactAndTheSameOnEveryTarget) {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const std::size_t dimension = random.size(1, random.flip() ? 70 : 5000);
        const Floats query = random.reals(dimension);
        const Index count = random.between(1, 6);
        const Bytes matrix = random_bytes(random, static_cast<std::size_t>(count) * dimension);
        const Floats scales = random.reals(static_cast<std::size_t>(count));
        const Indices rows = random.integers(random.size(1, 9), 0, count - 1);
        for (const Target target : supported_targets()) {
            Floats out(rows.size(), -99.0F);
            cascade::dot_rows_on(target, query, cascade::Int8Rows{matrix, scales}, rows, out);
            for (std::size_t i = 0; i < rows.size(); ++i) {
                const auto row = static_cast<std::size_t>(rows[i]);
                EXPECT_EQ(out[i], static_cast<float>(int8_score(query, matrix.data() + row * dimension, scales[row])));
            }
        }
    }
}

TEST(DotRowsInt8, TheLargestSumsDoNotOverflow) {
    for (const std::size_t dimension : {4096U, 4097U, 20000U}) {
        const Floats query(dimension, -1.0F);
        const Bytes matrix(dimension, -128);
        for (const Target target : supported_targets()) {
            Floats out(1);
            cascade::dot_rows_on(target, query, cascade::Int8Rows{matrix, Floats{1.0F}}, Indices{0}, out);
            EXPECT_EQ(out[0], 128.0F * static_cast<float>(dimension));
        }
    }
}

TEST(StoredRows, NameWhatTheyRefuse) {
    Floats out(1);
    const Halves infinite = {0x7C00};
    expect_refused("rows[0] = 0: the dot product is not finite",
                   [&] { cascade::dot_rows(Floats{1}, infinite, Indices{0}, out); });
    expect_refused("rows[0] is 1; matrix has 1 rows", [&] { cascade::dot_rows(Floats{1}, infinite, Indices{1}, out); });
    expect_refused("query is empty", [&] { cascade::dot_rows(Floats{}, infinite, Indices{0}, out); });
    expect_refused("not a multiple of dimension 2",
                   [&] { cascade::dot_rows(Floats{1, 2}, infinite, Indices{0}, out); });
    const Bytes bytes = {1, 2};
    const auto dot = [&](const Floats& query, const Floats& scales) {
        cascade::dot_rows(query, cascade::Int8Rows{bytes, scales}, Indices{0}, out);
    };
    expect_refused("query[1] is not finite", [&] { dot({1, kNan}, {1}); });
    expect_refused("the dot product is not finite", [&] { dot({1, 1}, {kNan}); });
    expect_refused("scales holds 2 values, expected 1", [&] { dot({1, 1}, {1, 1}); });
    dot({0, 0}, {1});
    EXPECT_EQ(out[0], 0.0F);
}

TEST(GatherIds, WidensTheRowsAskedForAndLooksAtNoOthers) {
    const std::vector<std::uint16_t> narrow = {7, 65535, 9, 1};
    const std::vector<std::int32_t> wide = {7, 1 << 30, 9, 1};
    // Row 2's offsets are damaged; whoever does not ask for it does not notice.
    const Indices offsets = {0, 2, 3, -5};
    std::vector<cascade::TokenId> out(5);
    cascade::gather_ids(narrow, offsets, Indices{1, 0, 0}, out);
    EXPECT_EQ(out, (std::vector<cascade::TokenId>{9, 7, 65535, 7, 65535}));
    cascade::gather_ids(wide, offsets, Indices{1, 0, 0}, out);
    EXPECT_EQ(out, (std::vector<cascade::TokenId>{9, 7, 1 << 30, 7, 1 << 30}));
    expect_refused("rows[0] = 2: cu_seqlens gives it ids 3 to -5 of 4",
                   [&] { cascade::gather_ids(narrow, offsets, Indices{2}, out); });
    expect_refused("rows[1] is 3", [&] { cascade::gather_ids(narrow, offsets, Indices{0, 3}, out); });
    expect_refused("the rows have more", [&] { cascade::gather_ids(narrow, offsets, Indices{0, 0, 0}, out); });
    expect_refused("the rows have 2", [&] { cascade::gather_ids(narrow, offsets, Indices{0}, out); });
    expect_refused("cu_seqlens is empty", [&] { cascade::gather_ids(narrow, {}, Indices{}, out); });
}

TEST(MaxSimStored, EqualsMaxSimOfTheWidenedVectors) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const std::size_t dimension = random.size(1, 40);
        const std::size_t tokens = random.size(2, 20);
        const Floats query = random.reals(3 * dimension);
        const Halves halves = random_halves(random, tokens * dimension);
        const Bytes bytes = random_bytes(random, tokens * dimension);
        const Floats scales = random.reals(tokens);
        const Indices offsets = {0, 1, static_cast<Index>(tokens)};
        Floats from_bytes(bytes.size());
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            from_bytes[i] = scales[i / dimension] * static_cast<float>(bytes[i]);
        }
        for (const Target target : supported_targets()) {
            const Floats from_halves = widened(target, halves);
            const auto score = [&](const cascade::VectorRows& documents) {
                Floats out(3);
                cascade::maxsim_on(target, query, Indices{1, 1, 1}, {documents, {}, offsets}, Indices{1, 0, 1},
                                   static_cast<Index>(dimension), false, out);
                return out;
            };
            EXPECT_EQ(score(std::span<const Half>(halves)), score(std::span<const float>(from_halves)));
            EXPECT_EQ(score(cascade::Int8Rows{bytes, scales}), score(std::span<const float>(from_bytes)));
        }
    }
}

}  // namespace
