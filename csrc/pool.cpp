#include "pool.hpp"

#include "check.hpp"
#include "collect.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace cascade {

void Pool::reset(Index size, std::span<const Score> first_scores, Index stages, const Fusion& fusion) {
    require(size >= 0 && stages >= 0, "a pool of ", size, " candidates and ", stages, " stages");
    require(first_scores.empty() || static_cast<Index>(first_scores.size()) == size, "first pass has ",
            first_scores.size(), " scores for ", size, " candidates");
    for (std::size_t i = 0; i < first_scores.size(); ++i) {
        require(std::isfinite(first_scores[i]), "first-pass score ", first_scores[i], " of candidate ", i);
    }
    const auto count = static_cast<std::size_t>(size);
    stages_ = stages;
    alive_ = size;
    last_pruned_ = -1;
    fusion_ = fusion;
    order_.resize(count);
    std::iota(order_.begin(), order_.end(), Index{0});
    reached_.assign(count, Index{-1});
    value_.assign(count, 0.0);
    previous_.resize(count);
    std::iota(previous_.begin(), previous_.end(), Index{0});
    first_.assign(first_scores.begin(), first_scores.end());
    logits_.assign(count * static_cast<std::size_t>(stages), std::numeric_limits<Score>::quiet_NaN());
    ran_.assign(static_cast<std::size_t>(stages), std::uint8_t{0});
    tails_.clear();
    if (!first_.empty()) {
        order_first_pass();
    }
}

void Pool::order_first_pass() {
    entries_.resize(order_.size());
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        value_[i] = static_cast<double>(first_[i]);
        entries_[i] = {value_[i], static_cast<Index>(i), static_cast<Index>(i)};
    }
    std::sort(entries_.begin(), entries_.end(), ranks_before);
    std::transform(entries_.begin(), entries_.end(), order_.begin(), [](const Ranked& e) { return e.candidate; });
}

std::span<const Score> Pool::column(Index stage) const {
    require(stage >= 0 && stage < stages_, "stage ", stage, " of ", stages_);
    return std::span(logits_).subspan(static_cast<std::size_t>(stage) * order_.size(), order_.size());
}

std::span<Score> Pool::column(Index stage) {
    require(stage >= 0 && stage < stages_, "stage ", stage, " of ", stages_);
    return std::span(logits_).subspan(static_cast<std::size_t>(stage) * order_.size(), order_.size());
}

void Pool::collect(Index stage, std::span<const Index> positions, std::span<const Score> outputs, Index columns) {
    require(stage > last_pruned_, "stage ", stage, " is collected after stage ", last_pruned_, " was pruned");
    unscored_.resize(positions.size());
    for (std::size_t row = 0; row < positions.size(); ++row) {
        require(positions[row] >= 0 && positions[row] < alive_, "position ", positions[row], " of ", alive_,
                " candidates alive");
        unscored_[row] = order_[static_cast<std::size_t>(positions[row])];
    }
    collect_logits(outputs, columns, unscored_, column(stage));
    ran_[static_cast<std::size_t>(stage)] = 1;
}

// Gives every entry in entries_ (in their previous order) its value; what `stage` has not scored gets the largest
// logit.
void Pool::fuse_entries(Index stage) {
    fused_.resize(entries_.size());
    sources_.resize(static_cast<std::size_t>(stages_) + 1);
    std::vector<Source> present;
    const auto add = [&](std::size_t index, std::span<const Score> scores) {
        std::vector<double>& values = sources_[index];
        values.resize(entries_.size());
        std::transform(entries_.begin(), entries_.end(), values.begin(), [&](const Ranked& entry) {
            const Score score = scores[static_cast<std::size_t>(entry.candidate)];
            return static_cast<double>(std::isnan(score) ? std::numeric_limits<Score>::max() : score);
        });
        present.push_back({index, values});
    };
    if (fusion_.kind != FusionKind::last) {
        if (!first_.empty()) {
            add(0, first_);
        }
        for (Index before = 0; before < stage; ++before) {
            if (ran_[static_cast<std::size_t>(before)] != 0) {
                add(static_cast<std::size_t>(before) + 1, column(before));
            }
        }
    }
    add(static_cast<std::size_t>(stage) + 1, column(stage));
    fuse(fusion_, present, fused_);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        entries_[i].value = fused_[i];
    }
}

bool Pool::decided(Index stage, Index count) {
    require(stage > last_pruned_, "stage ", stage, " was pruned already");
    require(count >= 1, "count is ", count, "; at least one place must be asked about");
    const std::span<const Score> logits = column(stage);
    require(fusion_.kind == FusionKind::weighted, "only a weighted sum can be decided early");
    entries_.clear();
    for (Index place = 0; place < alive_; ++place) {
        entries_.push_back({0.0, place, order_[static_cast<std::size_t>(place)]});
    }
    if (entries_.empty()) {
        return true;
    }
    fuse_entries(stage);
    const auto unscored = std::partition(entries_.begin(), entries_.end(), [&](const Ranked& entry) {
        return !std::isnan(logits[static_cast<std::size_t>(entry.candidate)]);
    });
    if (unscored == entries_.end()) {
        return true;
    }
    if (unscored - entries_.begin() < count) {
        return false;
    }
    const auto last = entries_.begin() + (count - 1);
    std::nth_element(entries_.begin(), last, unscored, ranks_before);
    return std::all_of(unscored, entries_.end(), [&](const Ranked& entry) { return ranks_before(*last, entry); });
}

PruneCounts Pool::prune(Index stage, const PruneRule& rule) {
    const std::span<const Score> logits = column(stage);
    require(stage > last_pruned_, "stage ", stage, " is pruned after stage ", last_pruned_);
    check_rule(rule);
    last_pruned_ = stage;

    entries_.clear();
    unscored_.clear();
    double best = -std::numeric_limits<double>::infinity();
    for (Index place = 0; place < alive_; ++place) {
        const Index candidate = order_[static_cast<std::size_t>(place)];
        const Score logit = logits[static_cast<std::size_t>(candidate)];
        if (std::isnan(logit)) {
            unscored_.push_back(candidate);
            continue;
        }
        best = std::max(best, static_cast<double>(logit));
        reached_[static_cast<std::size_t>(candidate)] = stage;
        previous_[static_cast<std::size_t>(candidate)] = place;
        entries_.push_back({0.0, place, candidate});
    }
    if (!entries_.empty()) {
        fuse_entries(stage);
    }
    for (const Ranked& entry : entries_) {
        value_[static_cast<std::size_t>(entry.candidate)] = entry.value;
    }

    const auto passes = [&](const Ranked& entry) {
        const auto logit = static_cast<double>(logits[static_cast<std::size_t>(entry.candidate)]);
        return (!rule.min_logit || logit >= *rule.min_logit) && (!rule.margin || logit >= best - *rule.margin);
    };
    const auto weight = [&](const Ranked& entry) {
        return softmax_weight(logits[static_cast<std::size_t>(entry.candidate)], best, *rule.dynamic);
    };
    double total = 0.0;  // added up in the previous order, so that the sum does not depend on how the rest is sorted
    if (rule.dynamic) {
        for (const Ranked& entry : entries_) {
            total += passes(entry) ? weight(entry) : 0.0;
        }
    }
    const auto failed = std::partition(entries_.begin(), entries_.end(), passes);
    const auto passed = static_cast<std::size_t>(failed - entries_.begin());
    std::size_t kept = select_best(std::span(entries_).first(passed), static_cast<std::size_t>(rule.keep));
    if (rule.dynamic) {
        fused_.resize(kept);
        std::transform(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(kept), fused_.begin(), weight);
        kept = dynamic_count(fused_, total, *rule.dynamic);
    }

    // Alive, then cut by keep, then below the minimum, then unscored in their previous order.
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        order_[i] = entries_[i].candidate;
    }
    std::copy(unscored_.begin(), unscored_.end(), order_.begin() + static_cast<std::ptrdiff_t>(entries_.size()));
    for (const Tail tail : {Tail{kept, passed}, Tail{passed, entries_.size()}}) {
        if (tail.end - tail.begin > 1) {
            tails_.push_back(tail);
        }
    }
    alive_ = static_cast<Index>(kept);
    return {static_cast<Index>(entries_.size()), alive_, static_cast<Index>(entries_.size() - passed)};
}

void Pool::finish(Index count) {
    require(count >= 0 && count <= size(), "finish ", count, " of ", size(), " candidates");
    std::erase_if(tails_, [&](const Tail& tail) {
        if (tail.begin >= static_cast<std::size_t>(count)) {
            return false;
        }
        entries_.resize(tail.end - tail.begin);
        for (std::size_t i = tail.begin; i < tail.end; ++i) {
            const auto candidate = static_cast<std::size_t>(order_[i]);
            entries_[i - tail.begin] = {value_[candidate], previous_[candidate], order_[i]};
        }
        std::sort(entries_.begin(), entries_.end(), ranks_before);
        for (std::size_t i = tail.begin; i < tail.end; ++i) {
            order_[i] = entries_[i - tail.begin].candidate;
        }
        return true;
    });
}

}  // namespace cascade
