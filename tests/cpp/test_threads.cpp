// Many threads over the same read-only inputs, each with its own pool and outputs: the same bytes as one thread gives,
// and nothing for the thread sanitizer to report.
#include "embed.hpp"
#include "maxsim.hpp"
#include "pack.hpp"
#include "pool.hpp"
#include "prune.hpp"
#include "random.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace {

using cascade::Index;
using Floats = std::vector<float>;
using Indices = std::vector<Index>;

constexpr std::size_t kDimension = 48;

struct Shared {
    explicit Shared(std::uint64_t seed) {
        Random random(seed);
        query = random.reals(8 * kDimension);
        query_mask.assign(8, 1);
        for (Index d = 0; d < 40; ++d) {
            cu_seqlens.push_back(cu_seqlens.back() + random.between(1, 30));
            lengths.push_back(cu_seqlens.back() - cu_seqlens[cu_seqlens.size() - 2]);
            rows.push_back(d);
        }
        tokens = random.reals(static_cast<std::size_t>(cu_seqlens.back()) * kDimension);
        first = random.tied_scores(rows.size());
        ids = random.integers(static_cast<std::size_t>(cu_seqlens.back()), 1, 999);
    }
    Floats query;
    Indices query_mask;
    Indices cu_seqlens = {0};
    Indices lengths;
    Indices rows;
    Floats tokens;
    Floats first;
    Indices ids;
};

// One request through every kernel; returns everything it computed.
struct Answer {
    Floats late, vectors, dots;
    Indices order, batches, tensor, best;
    friend bool operator==(const Answer&, const Answer&) = default;
};

Answer request(const Shared& in, cascade::Pool& pool) {
    const std::size_t n = in.rows.size();
    Answer out;
    out.late.resize(n);
    cascade::maxsim(in.query, in.query_mask, {in.tokens, {}, in.cu_seqlens}, in.rows, kDimension, true, out.late);
    out.vectors.resize(kDimension);
    cascade::pool_embeddings(in.query, in.query_mask, {1, 8, kDimension}, cascade::Pooling::mean, true, out.vectors);
    out.dots.resize(n);
    cascade::dot_rows(out.vectors, in.tokens, in.rows, out.dots);
    out.best.resize(5);
    cascade::topk(in.first, out.best);

    pool.reset(static_cast<Index>(n), in.first, 2, {.kind = cascade::FusionKind::convex, .weights = {1, 2, 3}});
    pool.collect(0, in.rows, out.dots, 1);
    pool.prune(0, {.keep = 10});
    Indices positions(10);
    Floats logits(10);
    for (std::size_t place = 0; place < 10; ++place) {
        positions[place] = static_cast<Index>(place);
        logits[place] = out.late[static_cast<std::size_t>(pool.alive()[place])];
    }
    pool.collect(1, positions, logits, 1);
    pool.prune(1, {.keep = 4});
    pool.finish(pool.size());
    out.order.assign(pool.order().begin(), pool.order().end());

    Indices widths(n);
    Indices bounds(n + 1);
    out.batches.resize(n);
    const cascade::PlanRule rule{.token_budget = 64, .max_rows = 8, .window = 16};
    const cascade::PlanSize size = cascade::plan_batches(in.lengths, rule, out.batches, bounds, widths);
    out.tensor.resize(static_cast<std::size_t>(size.tokens));
    const Indices parts = {cascade::kDocument};
    const auto batches = static_cast<std::size_t>(size.batches);
    cascade::fill_batches({}, {in.ids, in.cu_seqlens}, in.rows, in.lengths, {.parts = parts, .segments = {}},
                          out.batches, std::span(bounds).first(batches + 1), std::span(widths).first(batches),
                          out.tensor, {}, {}, {});
    return out;
}

TEST(Threads, AnyNumberGivesTheSameBytes) {
    const Shared shared(7);
    cascade::Pool pool;
    const Answer expected = request(shared, pool);
    for (const std::size_t count : {1U, 4U, 7U}) {
        std::vector<Answer> answers(count * 25);
        std::vector<std::thread> threads;
        for (std::size_t t = 0; t < count; ++t) {
            threads.emplace_back([&, t] {
                cascade::Pool own;
                for (std::size_t round = 0; round < 25; ++round) {
                    answers[t * 25 + round] = request(shared, own);
                }
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        for (const Answer& answer : answers) {
            EXPECT_TRUE(answer == expected);
        }
    }
}

}  // namespace
