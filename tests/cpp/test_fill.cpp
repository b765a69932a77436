#include "expect.hpp"
#include "pack.hpp"
#include "random.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace {

using cascade::Index;
using cascade::TokenId;
using Values = std::vector<Index>;

constexpr TokenId kCls = 101;
constexpr TokenId kSep = 102;

// A packed request: everything that the three steps allocate.
struct Packed {
    cascade::Truncation lost;
    cascade::PlanSize size;
    Values lengths, order, bounds, widths, ids, mask, types, positions;
};

struct Request {
    Values query = {7, 8};
    Values ids;
    Values cu_seqlens = {0};
    Values rows;
    Values parts = {kCls, cascade::kQuery, kSep, cascade::kDocument, kSep};
    Values segments = {0, 0, 0, 1, 1};
    Index pad = 0;
    Index position_offset = 0;
    Index max_length = 512;
    cascade::PlanRule rule = {.token_budget = 64, .max_rows = 8, .window = 100};

    void add(const Values& document) {
        ids.insert(ids.end(), document.begin(), document.end());
        cu_seqlens.push_back(static_cast<Index>(ids.size()));
        rows.push_back(static_cast<Index>(rows.size()));
    }
    cascade::Template form() const { return {parts, segments, pad, position_offset, max_length}; }
    cascade::Ragged documents() const { return {ids, cu_seqlens}; }

    Packed plan() const {
        Packed out;
        const std::size_t n = rows.size();
        out.lengths.assign(n, -1);
        out.order.assign(n, -1);
        out.bounds.assign(n + 1, -1);
        out.widths.assign(n, -1);
        out.lost = cascade::sequence_lengths(documents(), rows, static_cast<Index>(query.size()), form(), out.lengths);
        out.size = cascade::plan_batches(out.lengths, rule, out.order, out.bounds, out.widths);
        out.bounds.resize(static_cast<std::size_t>(out.size.batches) + 1);
        out.widths.resize(static_cast<std::size_t>(out.size.batches));
        for (Values* tensor : {&out.ids, &out.mask, &out.types, &out.positions}) {
            tensor->assign(static_cast<std::size_t>(out.size.tokens), -99);  // every element must be overwritten
        }
        return out;
    }
    void fill(Packed& out) const {
        cascade::fill_batches(query, documents(), rows, out.lengths, form(), out.order, out.bounds, out.widths, out.ids,
                              out.mask, out.types, out.positions);
    }
    Packed run() const {
        Packed out = plan();
        fill(out);
        return out;
    }
};

TEST(FillBatches, WritesTheExactTensors) {
    Request request;
    request.add({11});
    request.add({21, 22, 23});
    request.pad = 9;
    request.position_offset = 2;
    const Packed out = request.run();
    EXPECT_EQ(out.order, (Values{1, 0}));
    EXPECT_EQ(out.widths, (Values{8}));
    EXPECT_EQ(out.ids, (Values{kCls, 7, 8, kSep, 21, 22, 23, kSep, kCls, 7, 8, kSep, 11, kSep, 9, 9}));
    EXPECT_EQ(out.mask, (Values{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0}));
    EXPECT_EQ(out.types, (Values{0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0}));
    EXPECT_EQ(out.positions, (Values{2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6, 7, 2, 2}));
}

TEST(FillBatches, CutsTheDocumentAloneAndCountsIt) {
    Request request;
    request.max_length = 7;
    request.add({11, 12, 13, 14});
    request.add({21, 22});
    request.add({});
    const Packed out = request.run();
    EXPECT_EQ(out.lost.texts, 1);
    EXPECT_EQ(out.lost.tokens, 2);
    EXPECT_EQ(out.lengths, (Values{7, 7, 5}));
    EXPECT_EQ((Values{out.ids.begin(), out.ids.begin() + 7}), (Values{kCls, 7, 8, kSep, 11, 12, kSep}));
}

TEST(FillBatches, AnEncoderTemplateTakesNoQuery) {
    Request request;
    request.query = {};
    request.parts = {kCls, cascade::kDocument, kSep};
    request.segments = {0, 0, 0};
    request.add({11, 12});
    EXPECT_EQ(request.run().ids, (Values{kCls, 11, 12, kSep}));
}

TEST(FillBatches, NoRowsGiveNoTensors) {
    Request request;
    const Packed out = request.run();
    EXPECT_EQ(out.size.batches, 0);
    EXPECT_TRUE(out.ids.empty());
}

TEST(FillBatches, RefusesBrokenOffsetsRowsAndTemplates) {
    Request request;
    request.add({11, 12});
    Request broken = request;
    broken.cu_seqlens = {0, 1};
    expect_refused("ends at 1", [&] { broken.plan(); });
    broken.cu_seqlens = {0, 3, 2};
    expect_refused("must not decrease", [&] { broken.plan(); });
    broken.cu_seqlens = {1, 2};
    expect_refused("start at 0", [&] { broken.plan(); });
    broken = request;
    broken.rows = {1};
    expect_refused("row 1 of 1", [&] { broken.plan(); });
    broken.rows = {-1};
    expect_refused("row -1 of 1", [&] { broken.plan(); });
    broken = request;
    broken.max_length = 5;
    expect_refused("leave no room", [&] { broken.plan(); });
    broken = request;
    broken.parts = {kCls, cascade::kQuery};
    expect_refused("one document", [&] { broken.plan(); });
    broken.parts = {kCls, -7, cascade::kDocument};
    expect_refused("template part -7", [&] { broken.plan(); });
    broken = request;
    broken.segments = {0, 1};
    expect_refused("segments", [&] { broken.plan(); });
}

TEST(FillBatches, RefusesAPlanThatIsNotOne) {
    Request request;
    request.add({11, 12});
    request.add({21});
    const Packed good = request.plan();
    const auto refused = [&](const std::string& part, auto&& change) {
        Packed plan = good;
        change(plan);
        expect_refused(part, [&] { request.fill(plan); });
    };
    refused("not a plan", [](Packed& p) { p.bounds.back() = 1; });
    refused("position 2", [](Packed& p) { p.order[0] = 2; });
    refused("does not fit", [](Packed& p) { p.widths[0] = 3; });
    refused("does not fit", [](Packed& p) { p.lengths[0] = 99; });
    refused("smaller than the plan", [](Packed& p) {
        for (Values* tensor : {&p.ids, &p.mask, &p.types, &p.positions}) {
            tensor->pop_back();
        }
    });
    refused("differ in size", [](Packed& p) { p.mask.pop_back(); });
    // The middle bound points past the rows although the last is right: read only after it has been checked.
    refused("", [](Packed& p) {
        p.bounds = {0, 100, 2};
        p.widths = {7, 7};
        for (Values* tensor : {&p.ids, &p.mask, &p.types, &p.positions}) {
            tensor->resize(7 * 101);
        }
    });
}

TEST(FillBatches, EveryRowCarriesItsTokensAndNothingElse) {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        Request request;
        request.query = random.integers(random.size(0, 5), 1000, 1999);
        request.max_length = random.between(10, 40);
        request.pad = random.between(0, 3);
        request.rule.token_budget = random.between(1, 120);
        request.rule.width_multiple = random.between(1, 8);
        for (Index d = random.between(0, 12); d > 0; --d) {
            request.add(random.integers(random.size(0, 45), 2000, 2999));
        }
        const Packed out = request.run();
        std::size_t at = 0;
        for (std::size_t b = 0; b < out.widths.size(); ++b) {
            for (Index place = out.bounds[b]; place < out.bounds[b + 1]; ++place) {
                const auto row = static_cast<std::size_t>(out.order[static_cast<std::size_t>(place)]);
                Values expected = {kCls};
                expected.insert(expected.end(), request.query.begin(), request.query.end());
                expected.push_back(kSep);
                const std::size_t head = expected.size();
                const auto room = request.max_length - static_cast<Index>(head) - 1;
                const Index kept = std::min(room, request.cu_seqlens[row + 1] - request.cu_seqlens[row]);
                const auto first = request.ids.begin() + request.cu_seqlens[row];
                expected.insert(expected.end(), first, first + kept);
                expected.push_back(kSep);
                const std::size_t length = expected.size();
                for (std::size_t i = 0; i < static_cast<std::size_t>(out.widths[b]); ++i, ++at) {
                    ASSERT_EQ(out.ids[at], i < length ? expected[i] : request.pad);
                    ASSERT_EQ(out.mask[at], i < length ? 1 : 0);
                    ASSERT_EQ(out.types[at], i >= head && i < length ? 1 : 0);
                    ASSERT_EQ(out.positions[at], i < length ? static_cast<Index>(i) : 0);
                }
            }
        }
        EXPECT_EQ(at, out.ids.size());
    }
}

}  // namespace
