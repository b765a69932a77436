// bytes -> lengths, budgets, k: the core must plan, fill, collect and prune exactly as the naive twin does, or refuse
// exactly what the headers say it refuses.
#include "collect.hpp"
#include "naive.hpp"
#include "pack.hpp"
#include "prune.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

namespace {

using cascade::Index;
using cascade::Score;

// Reads numbers off the input; zeros once it is used up.
class Bytes {
  public:
    Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

    std::uint8_t byte() { return at_ < size_ ? data_[at_++] : std::uint8_t{0}; }
    bool left() const { return at_ < size_; }
    // 0..65535, small more often than not.
    Index number() {
        const Index low = byte();
        return low < 250 ? low : low * 256 + byte();
    }

  private:
    const std::uint8_t* data_;
    std::size_t size_;
    std::size_t at_ = 0;
};

// Not assert(): the check must hold in every build type. A fuzzer and a test both see an uncaught exception.
void check(bool holds, const char* what) {
    if (!holds) {
        throw std::logic_error(what);
    }
}

// One token per text, repeated: a filled tensor then tells which text each element came from.
void check_fill(const std::vector<Index>& lengths, const std::vector<Index>& order, std::vector<Index> bounds,
                std::vector<Index> widths, const cascade::PlanSize& size) {
    std::vector<Index> ids;
    std::vector<Index> cu_seqlens = {0};
    std::vector<Index> rows;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
        ids.insert(ids.end(), static_cast<std::size_t>(lengths[i]), static_cast<Index>(i) + 1);
        cu_seqlens.push_back(static_cast<Index>(ids.size()));
        rows.push_back(static_cast<Index>(i));
    }
    bounds.resize(static_cast<std::size_t>(size.batches) + 1);
    widths.resize(static_cast<std::size_t>(size.batches));
    std::vector<Index> input_ids(static_cast<std::size_t>(size.tokens), -1);
    std::vector<Index> mask(input_ids.size(), -1);
    const std::vector<Index> parts = {cascade::kDocument};
    cascade::fill_batches({}, {ids, cu_seqlens}, rows, lengths, {.parts = parts, .segments = {}, .pad = 0}, order,
                          bounds, widths, input_ids, mask, {}, {});

    std::vector<Score> logits(lengths.size(), std::numeric_limits<Score>::quiet_NaN());
    std::size_t at = 0;
    for (std::size_t b = 0; b < widths.size(); ++b) {
        std::vector<Index> candidates;
        std::vector<Score> outputs;
        for (Index place = bounds[b]; place < bounds[b + 1]; ++place) {
            const Index candidate = order[static_cast<std::size_t>(place)];
            candidates.push_back(candidate);
            Index sum = 0;
            for (Index i = 0; i < widths[b]; ++i, ++at) {
                const bool token = i < lengths[static_cast<std::size_t>(candidate)];
                check(mask[at] == (token ? 1 : 0), "mask");
                check(input_ids[at] == (token ? candidate + 1 : 0), "input_ids");
                sum += mask[at];
            }
            outputs.push_back(static_cast<Score>(sum));
        }
        cascade::collect_logits(outputs, 1, candidates, logits);
    }
    for (std::size_t i = 0; i < lengths.size(); ++i) {
        check(logits[i] == static_cast<Score>(lengths[i]), "collect inverts pack");
    }
}

void check_plan(Bytes& bytes) {
    const cascade::PlanRule rule{.token_budget = bytes.number(),
                                 .max_rows = bytes.number(),
                                 .window = bytes.number(),
                                 .width_multiple = bytes.number(),
                                 .layout = bytes.byte() % 2 == 0 ? cascade::Layout::padded : cascade::Layout::packed};
    std::vector<Index> lengths(bytes.byte() % 48);
    bool valid = rule.token_budget > 0 && rule.max_rows > 0 && rule.window > 0 && rule.width_multiple > 0;
    for (Index& length : lengths) {
        length = bytes.number() % 1024;
        valid = valid && length > 0;
    }
    std::vector<Index> order(lengths.size());
    std::vector<Index> bounds(lengths.size() + 1);
    std::vector<Index> widths(lengths.size());
    cascade::PlanSize size;
    try {
        size = cascade::plan_batches(lengths, rule, order, bounds, widths);
    } catch (const std::invalid_argument&) {
        check(!valid, "refused a valid plan");
        return;
    }
    check(valid, "accepted an impossible rule or length");
    const std::vector<naive::Batch> expected = naive::plan_batches(lengths, rule);
    check(size.batches == static_cast<Index>(expected.size()), "number of micro-batches");
    Index tokens = 0;
    for (std::size_t b = 0; b < expected.size(); ++b) {
        check(naive::Batch{{order.begin() + bounds[b], order.begin() + bounds[b + 1]}, widths[b]} == expected[b],
              "batch");
        tokens += naive::cost(expected[b].rows, lengths, rule);
    }
    check(size.tokens == tokens, "tokens");
    if (rule.layout == cascade::Layout::padded && tokens < 200'000) {
        check_fill(lengths, order, bounds, widths, size);
    }
}

void check_topk(Bytes& bytes) {
    const std::size_t asked = bytes.byte();
    std::vector<Score> scores;
    // Repeated, so that short inputs reach the sizes where topk works differently.
    const std::size_t repeats = bytes.byte() % 32;
    while (bytes.left() && scores.size() < 4096) {
        const int value = bytes.byte();
        scores.insert(scores.end(), repeats + 1, value == 255 ? -0.0F : static_cast<Score>(value - 128) / 3.0F);
    }
    std::vector<Index> best(std::min(asked, scores.size()));
    cascade::topk(scores, best);
    check(best == naive::topk(scores, asked), "topk");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Bytes bytes(data, size);
    check_plan(bytes);
    check_topk(bytes);
    return 0;
}
