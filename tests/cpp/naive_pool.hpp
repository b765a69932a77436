// The slow, obvious twin of Pool: every cut sorts everything, every stage keeps its own map. The fused values come from
// the core's fuse(), which has a twin of its own; what is checked here is who stands where.
#pragma once

#include "fuse.hpp"
#include "prune.hpp"
#include "types.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <vector>

namespace naive {

class Pool {
  public:
    Pool(cascade::Index size, std::vector<cascade::Score> first_scores, cascade::Fusion fusion)
        : order(static_cast<std::size_t>(size)), first_(std::move(first_scores)), fusion_(std::move(fusion)) {
        std::iota(order.begin(), order.end(), cascade::Index{0});
        if (!first_.empty()) {
            std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return first(a) > first(b); });
        }
        alive = order;
        for (const cascade::Index candidate : order) {
            reached[candidate] = -1;
        }
    }

    void collect(cascade::Index stage, cascade::Index candidate, cascade::Score logit) {
        logits[stage][candidate] = logit;
    }

    void prune(cascade::Index stage, const cascade::PruneRule& rule) {
        std::vector<cascade::Index> scored;
        std::vector<cascade::Index> unscored;
        for (const cascade::Index candidate : alive) {
            (logits[stage].contains(candidate) ? scored : unscored).push_back(candidate);
        }
        const std::map<cascade::Index, double> value = fused(stage, scored);
        std::stable_sort(scored.begin(), scored.end(), [&](auto a, auto b) { return value.at(a) > value.at(b); });
        double best = -1e300;
        for (const cascade::Index candidate : scored) {
            best = std::max(best, static_cast<double>(logits[stage][candidate]));
            reached[candidate] = stage;
        }
        std::vector<cascade::Index> passed;
        std::vector<cascade::Index> below;
        for (const cascade::Index candidate : scored) {
            const auto logit = static_cast<double>(logits[stage][candidate]);
            const bool fails =
                (rule.min_logit && logit < *rule.min_logit) || (rule.margin && logit < best - *rule.margin);
            (fails ? below : passed).push_back(candidate);
        }
        std::vector<cascade::Index> next = passed;
        next.insert(next.end(), below.begin(), below.end());
        next.insert(next.end(), unscored.begin(), unscored.end());
        next.insert(next.end(), order.begin() + static_cast<std::ptrdiff_t>(alive.size()), order.end());
        order = next;
        passed.resize(std::min(passed.size(), static_cast<std::size_t>(rule.keep)));
        alive = passed;
    }

    std::vector<cascade::Index> order;
    std::vector<cascade::Index> alive;
    std::map<cascade::Index, cascade::Index> reached;
    std::map<cascade::Index, std::map<cascade::Index, cascade::Score>> logits;

  private:
    double first(cascade::Index candidate) const {
        return static_cast<double>(first_[static_cast<std::size_t>(candidate)]);
    }

    std::map<cascade::Index, double> fused(cascade::Index stage, const std::vector<cascade::Index>& scored) {
        std::vector<std::size_t> indices;
        std::vector<std::vector<double>> scores;
        if (!first_.empty() && fusion_.kind != cascade::FusionKind::last) {
            indices.push_back(0);
            scores.emplace_back();
            for (const cascade::Index candidate : scored) {
                scores.back().push_back(first(candidate));
            }
        }
        for (cascade::Index before = 0; before <= stage; ++before) {
            if (before == stage || !logits[before].empty()) {
                indices.push_back(static_cast<std::size_t>(before) + 1);
                scores.emplace_back();
                for (const cascade::Index candidate : scored) {
                    scores.back().push_back(static_cast<double>(logits[before].at(candidate)));
                }
            }
        }
        std::vector<cascade::Source> sources;
        for (std::size_t s = 0; s < indices.size(); ++s) {
            sources.push_back({indices[s], scores[s]});
        }
        std::vector<double> values(scored.size());
        if (!scored.empty()) {
            cascade::fuse(fusion_, sources, values);
        }
        std::map<cascade::Index, double> result;
        for (std::size_t i = 0; i < scored.size(); ++i) {
            result[scored[i]] = values[i];
        }
        return result;
    }

    std::vector<cascade::Score> first_;
    cascade::Fusion fusion_;
};

}  // namespace naive
