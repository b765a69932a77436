#include "prune.hpp"

#include "check.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace cascade {

std::size_t select_best(std::span<Ranked> entries, std::size_t count) {
    const std::size_t best = std::min(count, entries.size());
    const auto middle = entries.begin() + static_cast<std::ptrdiff_t>(best);
    if (best < entries.size()) {
        std::nth_element(entries.begin(), middle, entries.end(), ranks_before);
    }
    std::sort(entries.begin(), middle, ranks_before);
    return best;
}

void topk(std::span<const Score> scores, std::span<Index> out) {
    require(out.size() <= scores.size(), "k = ", out.size(), " of ", scores.size(), " scores");
    // ranks_before on one integer: the score's bits mapped to an order-preserving key, inverted so that larger comes
    // first, above the index. Comparing integers is what makes this several times faster than comparing structs.
    std::vector<std::uint64_t> keys(scores.size());
    bool finite = true;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        const auto bits = std::bit_cast<std::uint32_t>(scores[i] + 0.0F);  // -0.0 becomes 0.0
        finite = finite && std::isfinite(scores[i]);
        const std::uint32_t ascending = (bits & 0x80000000U) != 0U ? ~bits : bits | 0x80000000U;
        keys[i] = (static_cast<std::uint64_t>(~ascending) << 32U) | static_cast<std::uint64_t>(i);
    }
    require(finite, "a score is not finite");
    require(scores.size() <= 0xFFFFFFFFULL, "more than 2^32 - 1 scores");
    const auto middle = keys.begin() + static_cast<std::ptrdiff_t>(out.size());
    if (out.size() < keys.size()) {
        std::nth_element(keys.begin(), middle, keys.end());
    }
    std::sort(keys.begin(), middle);
    std::transform(keys.begin(), middle, out.begin(),
                   [](std::uint64_t key) { return static_cast<Index>(key & 0xFFFFFFFFULL); });
}

}  // namespace cascade
