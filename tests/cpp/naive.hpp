// The slow, obvious twin of every kernel: full sorts, no buffers reused, one loop per sentence of the header. Shares
// the core's plain types and none of its code. Tests and the fuzz target compare the core against it.
#pragma once

#include "embed.hpp"
#include "fuse.hpp"
#include "maxsim.hpp"
#include "pack.hpp"
#include "types.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <vector>

namespace naive {

using cascade::Index;
using cascade::Score;
using cascade::TokenId;

struct Batch {
    std::vector<Index> rows;  // positions in the caller's order
    Index width = 0;

    friend bool operator==(const Batch&, const Batch&) = default;
};

inline Index rounded_up(Index value, Index multiple) {
    while (value % multiple != 0) {
        ++value;
    }
    return value;
}

// What a micro-batch of these rows costs, from scratch.
inline Index cost(const std::vector<Index>& rows, const std::vector<Index>& lengths, const cascade::PlanRule& rule) {
    Index longest = 0;
    Index sum = 0;
    for (const Index row : rows) {
        longest = std::max(longest, lengths[static_cast<std::size_t>(row)]);
        sum += lengths[static_cast<std::size_t>(row)];
    }
    const Index padded = rounded_up(longest, rule.width_multiple) * static_cast<Index>(rows.size());
    return rule.layout == cascade::Layout::padded ? padded : sum;
}

inline std::vector<Batch> plan_batches(const std::vector<Index>& lengths, const cascade::PlanRule& rule) {
    std::vector<Batch> batches;
    for (std::size_t start = 0; start < lengths.size(); start += static_cast<std::size_t>(rule.window)) {
        const std::size_t stop = std::min(lengths.size(), start + static_cast<std::size_t>(rule.window));
        std::vector<Index> window(stop - start);
        std::iota(window.begin(), window.end(), static_cast<Index>(start));
        std::stable_sort(window.begin(), window.end(), [&](Index a, Index b) {
            return lengths[static_cast<std::size_t>(a)] > lengths[static_cast<std::size_t>(b)];
        });
        std::vector<Index> open;
        for (const Index row : window) {
            std::vector<Index> with_row = open;
            with_row.push_back(row);
            const bool fits = static_cast<Index>(with_row.size()) <= rule.max_rows &&
                              cost(with_row, lengths, rule) <= rule.token_budget;
            if (!open.empty() && !fits) {
                batches.push_back({open, 0});
                open = {row};
            } else {
                open = with_row;
            }
        }
        batches.push_back({open, 0});
    }
    for (Batch& batch : batches) {
        Index longest = 0;
        for (const Index row : batch.rows) {
            longest = std::max(longest, lengths[static_cast<std::size_t>(row)]);
        }
        batch.width = rounded_up(longest, rule.width_multiple);
    }
    return batches;
}

inline std::vector<Index> topk(const std::vector<Score>& scores, std::size_t k) {
    std::vector<Index> order(scores.size());
    std::iota(order.begin(), order.end(), Index{0});
    std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) {
        return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
    });
    order.resize(std::min(k, order.size()));
    return order;
}

// 1-based ranks: one more than the number of candidates that stand before.
inline std::vector<double> ranks(const std::vector<double>& scores) {
    std::vector<double> ranks(scores.size(), 1.0);
    for (std::size_t i = 0; i < scores.size(); ++i) {
        for (std::size_t j = 0; j < scores.size(); ++j) {
            if (scores[j] > scores[i] || (scores[j] == scores[i] && j < i)) {
                ranks[i] += 1.0;
            }
        }
    }
    return ranks;
}

inline std::vector<double> normalised(const std::vector<double>& scores, cascade::Normalisation how) {
    const auto count = static_cast<double>(scores.size());
    const double low = *std::min_element(scores.begin(), scores.end());
    const double high = *std::max_element(scores.begin(), scores.end());
    double centre = low;
    double spread = high - low;
    if (how == cascade::Normalisation::z_score) {
        centre = 0.0;
        for (const double score : scores) {
            centre += score / count;
        }
        double variance = 0.0;
        for (const double score : scores) {
            variance += (score - centre) * (score - centre) / count;
        }
        spread = std::sqrt(variance);
    }
    std::vector<double> out(scores.size(), 0.0);
    for (std::size_t i = 0; i < scores.size() && high > low; ++i) {
        out[i] = (scores[i] - centre) / spread;
    }
    return out;
}

// By the formula, which is exact enough for logits of a few units.
inline double calibrated(const cascade::Calibration& map, double logit) {
    if (map.logits.empty()) {
        const double relevant = -std::log(1.0 + std::exp(-logit));
        const double other = -std::log(1.0 + std::exp(logit));
        return map.low * relevant - map.high * other + map.offset;
    }
    double value = map.log_odds.front();
    for (std::size_t i = 0; i < map.logits.size(); ++i) {
        if (map.logits[i] <= logit) {
            value = map.log_odds[i];
            if (i + 1 < map.logits.size()) {
                const double share = (logit - map.logits[i]) / (map.logits[i + 1] - map.logits[i]);
                value = (1.0 - share) * map.log_odds[i] + share * map.log_odds[i + 1];
            }
        }
    }
    return value + cascade::kPlateauSlope * logit;
}

// sources[s] has scores for every candidate; weights and calibrations stand at the same places.
inline std::vector<double> fuse(const cascade::Fusion& fusion, const std::vector<std::vector<double>>& sources) {
    if (fusion.kind == cascade::FusionKind::last) {
        return sources.back();
    }
    double total = 0.0;
    for (std::size_t s = 0; s < sources.size(); ++s) {
        total += fusion.weights[s];
    }
    std::vector<double> values(sources.front().size(), 0.0);
    for (std::size_t s = 0; s < sources.size() && !values.empty(); ++s) {
        std::vector<double> part(values.size());
        if (fusion.kind == cascade::FusionKind::rrf) {
            const std::vector<double> places = ranks(sources[s]);
            for (std::size_t i = 0; i < part.size(); ++i) {
                part[i] = 1.0 / (fusion.rrf_k + places[i]);
            }
        } else if (fusion.kind == cascade::FusionKind::convex) {
            part = normalised(sources[s], fusion.normalisation);
        } else {
            for (std::size_t i = 0; i < part.size(); ++i) {
                const cascade::Calibration& map = fusion.calibrations[s];
                part[i] = calibrated(map, sources[s][i]);
            }
        }
        for (std::size_t i = 0; i < part.size(); ++i) {
            values[i] += fusion.weights[s] / total * part[i];
        }
    }
    return values;
}

}  // namespace naive
