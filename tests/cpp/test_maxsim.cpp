#include "expect.hpp"
#include "maxsim.hpp"
#include "vectors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

using cascade::Index;
using cascade::Target;
using Floats = std::vector<float>;
using Indices = std::vector<Index>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Input {
    Floats query;
    Indices query_mask;
    Floats documents;
    Indices document_mask;
    Indices cu_seqlens;
    Indices rows;
    Index dimension = 1;
    bool length_normalize = false;
};

Floats maxsim(const Input& in, Target target = cascade::best_target()) {
    Floats out(in.rows.size(), -99.0F);
    cascade::maxsim_on(target, in.query, in.query_mask, {in.documents, in.document_mask, in.cu_seqlens}, in.rows,
                       in.dimension, in.length_normalize, out);
    return out;
}

// Two query tokens, documents of 2, 1 and 0 tokens.
const Input kSmall = {.query = {1, -1},
                      .query_mask = {1, 1},
                      .documents = {2, 3, -4},
                      .document_mask = {},
                      .cu_seqlens = {0, 2, 3, 3},
                      .rows = {1, 0, 1}};

TEST(MaxSim, SumsTheBestMatchOfEachQueryToken) {
    for (const Target target : supported_targets()) {
        EXPECT_EQ(maxsim(kSmall, target), (Floats{0, 1, 0}));  // -4 + 4, 3 + -2
        Input half = kSmall;
        half.length_normalize = true;
        EXPECT_EQ(maxsim(half, target), (Floats{0, 0.5F, 0}));
    }
}

TEST(MaxSim, ANegativeMaximumStaysNegative) {
    Input in = kSmall;
    in.query = {1.0F};
    in.query_mask = {1};
    in.documents = {-0.2F, -0.2F, 5.0F};
    in.document_mask = {1, 1, 0};
    in.cu_seqlens = {0, 3};
    in.rows = {0};
    for (const Target target : supported_targets()) {
        EXPECT_EQ(maxsim(in, target), (Floats{-0.2F}));
    }
}

TEST(MaxSim, MaskedQueryTokensDoNotCount) {
    Input in = kSmall;
    in.query_mask = {0, 1};
    in.length_normalize = true;
    EXPECT_EQ(maxsim(in), (Floats{4, -2, 4}));
}

TEST(MaxSim, NoRowsGiveNothing) {
    Input in = kSmall;
    in.rows = {};
    EXPECT_TRUE(maxsim(in).empty());
}

TEST(MaxSim, NamesThePlaceItRefuses) {
    const auto refused = [](const std::string& part, auto&& change) {
        for (const Target target : supported_targets()) {
            Input in = kSmall;
            change(in);
            expect_refused(part, [&] { maxsim(in, target); });
        }
    };
    refused("rows[1] = 2: the document has no unmasked token", [](Input& in) { in.rows = {0, 2}; });
    refused("rows[0] = 1: the document has no unmasked token", [](Input& in) { in.document_mask = {1, 1, 0}; });
    refused("rows[0] is 3; there are 3", [](Input& in) { in.rows = {3}; });
    refused("rows[0] is -1", [](Input& in) { in.rows = {-1}; });
    refused("no unmasked token", [](Input& in) { in.query_mask = {0, 0}; });
    refused("query_mask[1] is 3", [](Input& in) { in.query_mask = {0, 3}; });
    refused("document_mask[2] is 7", [](Input& in) { in.document_mask = {1, 1, 7}; });
    refused("document_mask holds 1", [](Input& in) { in.document_mask = {1}; });
    refused("query holds 2", [](Input& in) { in.query_mask = {1}; });
    refused("query token 1", [](Input& in) { in.query[1] = kNan; });
    refused("not a multiple", [](Input& in) { in.dimension = 2; });
    refused("dimension is 0", [](Input& in) { in.dimension = 0; });
    refused("cu_seqlens is empty", [](Input& in) { in.cu_seqlens = {}; });
    refused("rows[0] = 1: cu_seqlens gives it tokens 3 to 2 of 3", [](Input& in) { in.cu_seqlens = {0, 3, 2, 3}; });
    refused("rows[0] = 1: cu_seqlens gives it tokens 2 to 4 of 3", [](Input& in) { in.cu_seqlens = {0, 2, 4, 4}; });
    refused("rows[1] = 0: cu_seqlens gives it tokens -1 to 2", [](Input& in) { in.cu_seqlens = {-1, 2, 3, 3}; });
}

TEST(MaxSim, ANonFiniteTokenIsNeverHiddenByAMaximum) {
    for (const Target target : supported_targets()) {
        for (const float bad : {kNan, kInfinity, -kInfinity, 3e38F}) {
            for (std::size_t place = 0; place < 3; ++place) {
                Input in = kSmall;
                in.query = {3.0F, 1.0F};
                in.cu_seqlens = {0, 0, 3, 3};
                in.rows = {1};
                in.documents[place] = bad;
                expect_refused("rows[0] = 1: a dot product", [&] { maxsim(in, target); });
            }
        }
    }
}

// Random documents, masks and lengths on both sides of the kernel's blocks, every target. Padding a document with
// masked tokens, or scoring it among others, must not change one bit.
TEST(MaxSim, EqualsTheNaiveTwinWhateverThePadding) {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const std::size_t dimension = random.size(1, 70);
        const naive::Matrix query = random_matrix(random, random.size(1, 40), dimension);
        Input in{.query = flat(query), .query_mask = random.integers(query.size(), 0, 1), .cu_seqlens = {0}};
        in.query_mask[random.size(0, static_cast<Index>(query.size()) - 1)] = 1;
        in.dimension = static_cast<Index>(dimension);
        Input padded = in;
        naive::Matrix asked;
        for (std::size_t q = 0; q < query.size(); ++q) {
            if (in.query_mask[q] == 1) {
                asked.push_back(query[q]);
            }
        }
        std::vector<double> expected;
        for (Index d = random.between(1, 6); d > 0; --d) {
            const naive::Matrix document = random_matrix(random, random.size(1, 20), dimension);
            expected.push_back(naive::maxsim(asked, document));
            const Floats values = flat(document);
            for (Input* input : {&in, &padded}) {
                input->documents.insert(input->documents.end(), values.begin(), values.end());
                input->document_mask.insert(input->document_mask.end(), document.size(), 1);
                const std::size_t pads = input == &padded ? random.size(0, 9) : 0;
                input->documents.insert(input->documents.end(), pads * dimension, kNan);
                input->document_mask.insert(input->document_mask.end(), pads, 0);
                input->cu_seqlens.push_back(static_cast<Index>(input->document_mask.size()));
                input->rows.push_back(static_cast<Index>(input->rows.size()));
            }
        }
        for (const Target target : supported_targets()) {
            const Floats scores = maxsim(in, target);
            EXPECT_EQ(maxsim(padded, target), scores);
            Input unmasked = in;
            unmasked.document_mask = {};
            EXPECT_EQ(maxsim(unmasked, target), scores);
            Input alone = in;
            alone.rows = {in.rows.back()};
            EXPECT_EQ(maxsim(alone, target).back(), scores.back());
            for (std::size_t i = 0; i < scores.size(); ++i) {
                // Each maximum is off by at most 70 * 2^-24, 40 of them are added.
                EXPECT_NEAR(static_cast<double>(scores[i]), expected[i], 2e-4);
            }
        }
    }
}

}  // namespace
