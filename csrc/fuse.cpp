#include "fuse.hpp"

#include "check.hpp"
#include "prune.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace cascade {
namespace {

void add_reciprocal_ranks(std::span<const double> scores, double rrf_k, double weight, std::span<double> values) {
    std::vector<Ranked> entries(scores.size());
    for (std::size_t i = 0; i < scores.size(); ++i) {
        entries[i] = {scores[i], static_cast<Index>(i), static_cast<Index>(i)};
    }
    std::sort(entries.begin(), entries.end(), ranks_before);
    for (std::size_t place = 0; place < entries.size(); ++place) {
        const double rank = static_cast<double>(place + 1);
        values[static_cast<std::size_t>(entries[place].candidate)] += weight / (rrf_k + rank);
    }
}

void add_normalised(std::span<const double> scores, Normalisation how, double weight, std::span<double> values) {
    const auto count = static_cast<double>(scores.size());
    double centre = 0.0;
    double spread = 0.0;
    if (how == Normalisation::z_score) {
        centre = std::accumulate(scores.begin(), scores.end(), 0.0) / count;
        double squares = 0.0;
        for (const double score : scores) {
            squares += (score - centre) * (score - centre);
        }
        spread = std::sqrt(squares / count);
    } else {
        const auto [low, high] = std::minmax_element(scores.begin(), scores.end());
        centre = *low;
        spread = *high - *low;
    }
    // Equal scores must stay equal: rounding in the mean can leave a spread of some ulps, which would be blown up to
    // whole units. Anything below float32 resolution of the values themselves counts as no spread.
    const double largest = std::abs(
        *std::max_element(scores.begin(), scores.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }));
    if (spread <= largest * 1e-12) {
        return;
    }
    for (std::size_t i = 0; i < scores.size(); ++i) {
        values[i] += weight * (scores[i] - centre) / spread;
    }
}

}  // namespace

void fuse(const Fusion& fusion, std::span<const Source> sources, std::span<double> values) {
    require(!sources.empty(), "fusion needs at least one source");
    for (const Source& source : sources) {
        require(source.scores.size() == values.size(), "source ", source.index, " has ", source.scores.size(),
                " scores for ", values.size(), " candidates");
        require(
            std::all_of(source.scores.begin(), source.scores.end(), [](double score) { return std::isfinite(score); }),
            "source ", source.index, " has no finite score for a candidate that is being ordered");
    }
    if (values.empty()) {
        return;
    }
    if (fusion.kind == FusionKind::last) {
        std::copy(sources.back().scores.begin(), sources.back().scores.end(), values.begin());
        return;
    }
    double total = 0.0;
    for (const Source& source : sources) {
        require(source.index < fusion.weights.size(), "source ", source.index, " has no weight");
        total += fusion.weights[source.index];
    }
    require(total >= 0.0, "the weights of the sources at hand add up to ", total, "; expected at least 0");
    std::fill(values.begin(), values.end(), 0.0);
    if (total == 0.0) {
        return;  // stages that only cut: all values are equal, so the previous order stands
    }
    for (const Source& source : sources) {
        const double weight = fusion.weights[source.index] / total;
        if (weight == 0.0) {
            continue;
        }
        if (fusion.kind == FusionKind::rrf) {
            add_reciprocal_ranks(source.scores, fusion.rrf_k, weight, values);
        } else if (fusion.kind == FusionKind::convex) {
            add_normalised(source.scores, fusion.normalisation, weight, values);
        } else {
            require(source.index < fusion.calibrations.size(), "source ", source.index, " has no calibration");
            const Calibration& map = fusion.calibrations[source.index];
            for (std::size_t i = 0; i < values.size(); ++i) {
                values[i] += weight * log_odds(map, source.scores[i]);
            }
        }
    }
}

}  // namespace cascade
