#include "prune.hpp"

#include "check.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>

namespace cascade {

void check_rule(const PruneRule& rule) {
    require(rule.keep >= 1, "keep is ", rule.keep, "; at least one candidate must be allowed to go on");
    require(!rule.min_logit || !std::isnan(*rule.min_logit), "min_logit is not a number");
    require(!rule.margin || *rule.margin >= 0.0, "margin is ", rule.margin.value_or(0.0), "; expected at least 0");
    require(!rule.dynamic || (rule.dynamic->mass > 0.0 && rule.dynamic->mass <= 1.0), "dynamic mass is ",
            rule.dynamic.value_or(Dynamic{}).mass, "; expected above 0 and at most 1");
    require(!rule.dynamic || (rule.dynamic->temperature > 0.0 && std::isfinite(rule.dynamic->temperature)),
            "dynamic temperature is ", rule.dynamic.value_or(Dynamic{}).temperature, "; expected above 0");
}

double softmax_weight(double logit, double best, const Dynamic& dynamic) {
    return std::exp((logit - best) / dynamic.temperature);
}

std::size_t dynamic_count(std::span<const double> weights, double total, const Dynamic& dynamic) {
    double sum = 0.0;
    for (std::size_t count = 0; count < weights.size(); ++count) {
        sum += weights[count];
        if (sum >= dynamic.mass * total) {
            return count + 1;
        }
    }
    return weights.size();
}

std::size_t select_best(std::span<Ranked> entries, std::size_t count) {
    const std::size_t best = std::min(count, entries.size());
    const auto middle = entries.begin() + static_cast<std::ptrdiff_t>(best);
    if (best < entries.size()) {
        std::nth_element(entries.begin(), middle, entries.end(), ranks_before);
    }
    std::sort(entries.begin(), middle, ranks_before);
    return best;
}

namespace {

// Keys that cannot be among the best `k` go in one branch-free pass below a pivot taken from a strided sample. Returns
// how many keys are left, at the front; all of them when the sample misled (correct whatever it holds).
std::size_t drop_hopeless(std::span<std::uint64_t> keys, std::size_t k) {
    constexpr std::size_t kSample = 64;
    if (keys.size() < 4 * kSample || 2 * k >= keys.size()) {
        return keys.size();
    }
    std::array<std::uint64_t, kSample> sample;
    const std::size_t step = keys.size() / kSample;
    for (std::size_t i = 0; i < kSample; ++i) {
        sample[i] = keys[i * step];
    }
    // One and a half times the share that is wanted, and a little more: few samples fall short of k survivors.
    const std::size_t place = std::min(kSample - 1, 3 * k * kSample / (2 * keys.size()) + 4);
    std::nth_element(sample.begin(), sample.begin() + static_cast<std::ptrdiff_t>(place), sample.end());
    const std::uint64_t pivot = sample[place];
    const auto survives = [pivot](std::uint64_t key) { return key <= pivot; };
    const auto count = static_cast<std::size_t>(std::count_if(keys.begin(), keys.end(), survives));
    if (count < k) {
        return keys.size();
    }
    std::size_t kept = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const std::uint64_t key = keys[i];
        keys[kept] = key;
        kept += static_cast<std::size_t>(survives(key));
    }
    return count;
}

}  // namespace

void topk(std::span<const Score> scores, std::span<Index> out) {
    require(out.size() <= scores.size(), "k = ", out.size(), " of ", scores.size(), " scores");
    require(scores.size() <= 0xFFFFFFFFULL, "more than 2^32 - 1 scores");
    // ranks_before on one integer: the score's bits mapped to an order-preserving key, inverted so that larger comes
    // first, above the index. Comparing integers is what makes this several times faster than comparing structs.
    const auto buffer = std::make_unique_for_overwrite<std::uint64_t[]>(scores.size());
    const std::span keys(buffer.get(), scores.size());
    std::uint32_t bad = 0;  // an integer: with a bool the loop does not vectorise
    for (std::size_t i = 0; i < scores.size(); ++i) {
        const auto bits = std::bit_cast<std::uint32_t>(scores[i] + 0.0F);        // -0.0 becomes 0.0
        bad |= static_cast<std::uint32_t>((bits & 0x7F800000U) == 0x7F800000U);  // NaN or Inf
        const auto negative = static_cast<std::uint32_t>(static_cast<std::int32_t>(bits) >> 31);
        const std::uint32_t ascending = bits ^ (negative | 0x80000000U);
        keys[i] = (static_cast<std::uint64_t>(~ascending) << 32U) | static_cast<std::uint64_t>(i);
    }
    if (bad != 0) [[unlikely]] {
        const auto where =
            std::find_if(scores.begin(), scores.end(), [](Score score) { return !std::isfinite(score); });
        require(false, "score ", *where, " at index ", where - scores.begin(), " is not finite");
    }
    const auto left = keys.first(drop_hopeless(keys, out.size()));
    const auto middle = left.begin() + static_cast<std::ptrdiff_t>(out.size());
    if (out.size() < left.size()) {
        std::nth_element(left.begin(), middle, left.end());
    }
    std::sort(left.begin(), middle);
    std::transform(left.begin(), middle, out.begin(),
                   [](std::uint64_t key) { return static_cast<Index>(key & 0xFFFFFFFFULL); });
}

}  // namespace cascade
