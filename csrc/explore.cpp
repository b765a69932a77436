#include "explore.hpp"

#include "check.hpp"
#include "prune.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace cascade {
namespace {

std::size_t at(Index index) {
    return static_cast<std::size_t>(index);
}

// The limits of one stage in one choice.
PruneRule rule_of(const Choices& choices, std::size_t place, std::size_t stage) {
    PruneRule rule;
    rule.keep = choices.keeps[place];
    if (!std::isnan(choices.min_logits[place])) {
        rule.min_logit = static_cast<double>(choices.min_logits[place]);
    }
    if (!std::isnan(choices.margins[place])) {
        rule.margin = static_cast<double>(choices.margins[place]);
    }
    if (!std::isnan(choices.masses[place])) {
        rule.dynamic =
            Dynamic{static_cast<double>(choices.masses[place]), static_cast<double>(choices.temperatures[stage])};
    }
    return rule;
}

bool same_limits(const PruneRule& a, const PruneRule& b) {
    return a.min_logit == b.min_logit && a.margin == b.margin;
}

bool same(const PruneRule& a, const PruneRule& b) {
    const auto dynamic = [](const PruneRule& rule) { return rule.dynamic ? rule.dynamic->mass : -1.0; };
    return a.keep == b.keep && same_limits(a, b) && dynamic(a) == dynamic(b);
}

// All candidates of a query after a stage ordered and before it cuts: first `passed` within the limits, then the rest
// of those it scored, then who was cut before.
struct Ordered {
    std::vector<Index> order;
    std::vector<double> weights;  // softmax weights of the first `passed`, where the rule is dynamic
    double total = 0.0;
    std::size_t passed = 0;
    std::size_t scored = 0;
    double ms = 0.0;
};

class Query {
  public:
    Query(const ScoreTable& table, const Fusion& fusion, std::size_t query)
        : table_(table),
          fusion_(fusion),
          begin_(at(table.cu_candidates[query])),
          size_(at(table.cu_candidates[query + 1]) - begin_),
          ideal_(static_cast<double>(table.ideal[query])),
          after_(at(table.stages)) {
        start_.order.resize(size_);
        std::iota(start_.order.begin(), start_.order.end(), Index{0});
        if (!table.first.empty()) {
            entries_.resize(size_);
            for (std::size_t i = 0; i < size_; ++i) {
                entries_[i] = {static_cast<double>(table.first[begin_ + i]), static_cast<Index>(i),
                               static_cast<Index>(i)};
            }
            std::sort(entries_.begin(), entries_.end(), ranks_before);
            std::transform(entries_.begin(), entries_.end(), start_.order.begin(),
                           [](const Ranked& entry) { return entry.candidate; });
        }
        relevant_ = count_relevant(start_.order);
    }

    // `changed` is the first stage whose choice differs from the one before; its order is still good when only the
    // cut-off changed (`sorted`).
    void run(std::span<const PruneRule> rules, std::size_t changed, bool sorted) {
        last_ = &start_;
        alive_ = size_;
        std::vector<std::size_t>& ran = ran_;
        ran.clear();
        for (std::size_t stage = 0; stage < rules.size(); ++stage) {
            if (rules[stage].keep == 0 || alive_ == 0) {
                after_[stage].scored = 0;
                continue;
            }
            if (stage > changed || (stage == changed && !sorted)) {
                order(stage, rules[stage]);
            }
            ran.push_back(stage);
            last_ = &after_[stage];
            alive_ = cut(*last_, rules[stage]);
        }
    }

    double ndcg(Index depth) const {
        double sum = 0.0;
        const std::size_t count = std::min(at(depth), size_);
        for (std::size_t place = 0; place < count; ++place) {
            sum += gain(last_->order[place]) / std::log2(static_cast<double>(place) + 2.0);
        }
        return ideal_ > 0.0 ? std::min(sum / ideal_, 1.0) : 0.0;
    }

    double recall() const {
        const std::size_t kept = count_relevant(std::span(last_->order).first(alive_));
        return relevant_ == 0 ? std::numeric_limits<double>::quiet_NaN()
                              : static_cast<double>(kept) / static_cast<double>(relevant_);
    }

    double ms() const { return last_->ms; }
    Index scored(std::size_t stage) const {
        return std::find(ran_.begin(), ran_.end(), stage) == ran_.end() ? 0 : static_cast<Index>(after_[stage].scored);
    }

  private:
    double gain(Index candidate) const { return static_cast<double>(table_.gains[begin_ + at(candidate)]); }

    double logit(std::size_t stage, Index candidate) const {
        return static_cast<double>(table_.logits[stage * table_.gains.size() + begin_ + at(candidate)]);
    }

    std::size_t count_relevant(std::span<const Index> candidates) const {
        const auto least = static_cast<double>(table_.least_gain);
        return static_cast<std::size_t>(std::count_if(candidates.begin(), candidates.end(),
                                                      [&](Index candidate) { return gain(candidate) >= least; }));
    }

    std::size_t cut(Ordered& here, const PruneRule& rule) const {
        const std::size_t kept = std::min(here.passed, at(rule.keep));
        return rule.dynamic ? dynamic_count(std::span(here.weights).first(kept), here.total, *rule.dynamic) : kept;
    }

    void order(std::size_t stage, const PruneRule& rule) {
        Ordered& here = after_[stage];
        here.order = last_->order;
        here.scored = alive_;
        here.ms = last_->ms + static_cast<double>(table_.fixed[stage]);
        entries_.resize(alive_);
        double best = -std::numeric_limits<double>::infinity();
        for (std::size_t place = 0; place < alive_; ++place) {
            const Index candidate = here.order[place];
            entries_[place] = {0.0, static_cast<Index>(place), candidate};
            best = std::max(best, logit(stage, candidate));
            here.ms += static_cast<double>(table_.cost[stage * table_.gains.size() + begin_ + at(candidate)]);
        }
        fuse_entries(stage);
        const auto passes = [&](const Ranked& entry) {
            const double value = logit(stage, entry.candidate);
            return (!rule.min_logit || value >= *rule.min_logit) && (!rule.margin || value >= best - *rule.margin);
        };
        here.total = 0.0;
        if (rule.dynamic) {
            for (const Ranked& entry : entries_) {
                here.total += passes(entry) ? softmax_weight(logit(stage, entry.candidate), best, *rule.dynamic) : 0.0;
            }
        }
        const auto failed = std::partition(entries_.begin(), entries_.end(), passes);
        here.passed = static_cast<std::size_t>(failed - entries_.begin());
        std::sort(entries_.begin(), failed, ranks_before);
        std::sort(failed, entries_.end(), ranks_before);
        for (std::size_t place = 0; place < alive_; ++place) {
            here.order[place] = entries_[place].candidate;
        }
        here.weights.resize(rule.dynamic ? here.passed : 0);
        for (std::size_t place = 0; place < here.weights.size(); ++place) {
            here.weights[place] = softmax_weight(logit(stage, here.order[place]), best, *rule.dynamic);
        }
    }

    // The values that order entries_ (in their previous order): as Pool::fuse_scored, from the table's columns.
    void fuse_entries(std::size_t stage) {
        std::vector<Source> present;
        sources_.resize(after_.size() + 1);
        const auto add = [&](std::size_t source, std::span<const Score> scores) {
            std::vector<double>& values = sources_[source];
            values.resize(entries_.size());
            std::transform(entries_.begin(), entries_.end(), values.begin(), [&](const Ranked& entry) {
                return static_cast<double>(scores[begin_ + at(entry.candidate)]);
            });
            present.push_back({source, values});
        };
        if (fusion_.kind != FusionKind::last) {
            if (!table_.first.empty()) {
                add(0, table_.first);
            }
            for (const std::size_t before : ran_) {
                add(before + 1, column(before));
            }
        }
        add(stage + 1, column(stage));
        fused_.resize(entries_.size());
        fuse(fusion_, present, fused_);
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            entries_[i].value = fused_[i];
        }
    }

    std::span<const Score> column(std::size_t stage) const {
        return table_.logits.subspan(stage * table_.gains.size(), table_.gains.size());
    }

    const ScoreTable& table_;
    const Fusion& fusion_;
    std::size_t begin_;
    std::size_t size_;
    double ideal_;
    std::size_t relevant_ = 0;
    Ordered start_;
    std::vector<Ordered> after_;
    Ordered* last_ = nullptr;
    std::size_t alive_ = 0;
    std::vector<std::size_t> ran_;
    std::vector<Ranked> entries_;               // scratch
    std::vector<std::vector<double>> sources_;  // scratch
    std::vector<double> fused_;                 // scratch
};

std::size_t check_sizes(const ScoreTable& table, Index depth, const Choices& choices, const Explored& out) {
    require(table.stages >= 1, "explore: no stages");
    require(depth >= 1, "depth is ", depth, "; expected at least 1");
    require(table.least_gain > 0.0F, "least_gain is ", table.least_gain, "; expected more than 0, that of grade 0");
    require(!table.cu_candidates.empty() && table.cu_candidates.front() == 0, "cu_candidates must start at 0");
    for (std::size_t i = 1; i < table.cu_candidates.size(); ++i) {
        require(table.cu_candidates[i] >= table.cu_candidates[i - 1], "cu_candidates decreases at ", i);
    }
    const auto stages = at(table.stages);
    const std::size_t size = table.gains.size();
    const std::size_t queries = table.cu_candidates.size() - 1;
    require(at(table.cu_candidates.back()) == size, "cu_candidates ends at ", table.cu_candidates.back(),
            ", gains has ", size);
    require(table.first.empty() || table.first.size() == size, "first_scores has ", table.first.size(), " entries for ",
            size, " candidates");
    require(table.logits.size() == stages * size && table.cost.size() == stages * size,
            "logits and cost: expected stages x candidates, ", stages * size, " entries");
    require(table.ideal.size() == queries && table.fixed.size() == stages && choices.temperatures.size() == stages,
            "ideal has one entry per query, fixed and temperatures one per stage");
    const std::size_t count = choices.keeps.size() / stages;
    require(choices.keeps.size() == count * stages && choices.min_logits.size() == count * stages &&
                choices.margins.size() == count * stages && choices.masses.size() == count * stages,
            "keeps, min_logits, margins and masses: expected choices x stages entries each");
    require(out.ndcg.size() == count * queries && out.recall.size() == count * queries &&
                out.ms.size() == count * queries && out.pairs.size() == count * queries * stages,
            "outputs: expected ", count, " choices x ", queries, " queries");
    const auto finite = [](Score value) { return std::isfinite(value); };
    require(std::all_of(table.logits.begin(), table.logits.end(), finite) &&
                std::all_of(table.first.begin(), table.first.end(), finite),
            "the table holds a score that is not finite");
    return count;
}

}  // namespace

void explore(const ScoreTable& table, const Fusion& fusion, Index depth, const Choices& choices, const Explored& out) {
    const std::size_t count = check_sizes(table, depth, choices, out);
    const auto stages = at(table.stages);
    const std::size_t queries = table.cu_candidates.size() - 1;
    std::vector<PruneRule> rules(count * stages);
    for (std::size_t place = 0; place < rules.size(); ++place) {
        rules[place] = rule_of(choices, place, place % stages);
        require(rules[place].keep >= 0, "keep is ", rules[place].keep, "; expected 1 or more, or 0 to leave it out");
        if (rules[place].keep > 0) {
            check_rule(rules[place]);
        }
    }
    for (std::size_t query = 0; query < queries; ++query) {
        Query run(table, fusion, query);
        for (std::size_t choice = 0; choice < count; ++choice) {
            const auto chosen = std::span(rules).subspan(choice * stages, stages);
            std::size_t changed = 0;
            bool sorted = false;
            if (choice > 0) {
                const auto before = std::span(rules).subspan((choice - 1) * stages, stages);
                while (changed < stages && same(chosen[changed], before[changed])) {
                    ++changed;
                }
                sorted =
                    changed == stages || (chosen[changed].keep > 0 && before[changed].keep > 0 &&
                                          same_limits(chosen[changed], before[changed]) &&
                                          chosen[changed].dynamic.has_value() == before[changed].dynamic.has_value());
            }
            run.run(chosen, changed, sorted);
            const std::size_t cell = choice * queries + query;
            out.ndcg[cell] = static_cast<Score>(run.ndcg(depth));
            out.recall[cell] = static_cast<Score>(run.recall());
            out.ms[cell] = static_cast<Score>(run.ms());
            for (std::size_t stage = 0; stage < stages; ++stage) {
                out.pairs[cell * stages + stage] = run.scored(stage);
            }
        }
    }
}

}  // namespace cascade
