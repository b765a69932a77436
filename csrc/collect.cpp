#include "collect.hpp"

#include "check.hpp"

#include <cmath>

namespace cascade {

NonFiniteScore::NonFiniteScore(Index candidate, double value)
    : std::runtime_error(message("candidate ", candidate, ": the model's output is ", value, ", not a finite number")),
      candidate_(candidate),
      value_(value) {}

void collect_logits(std::span<const Score> outputs, Index columns, std::span<const Index> candidates,
                    std::span<Score> logits) {
    require(columns == 1 || columns == 2, "columns is ", columns, "; a cross-encoder has 1 or 2");
    require(outputs.size() == candidates.size() * static_cast<std::size_t>(columns), "outputs has ", outputs.size(),
            " values for ", candidates.size(), " rows of ", columns);
    for (std::size_t row = 0; row < candidates.size(); ++row) {
        const Index candidate = candidates[row];
        require(candidate >= 0 && candidate < static_cast<Index>(logits.size()), "candidate ", candidate, " of ",
                logits.size());
        const Score logit = columns == 1 ? outputs[row] : outputs[2 * row + 1] - outputs[2 * row];
        if (!std::isfinite(logit)) [[unlikely]] {
            throw NonFiniteScore(candidate, static_cast<double>(logit));
        }
        Score& slot = logits[static_cast<std::size_t>(candidate)];
        internal_check(std::isnan(slot), "candidate ", candidate, " was scored twice by one stage");
        slot = logit;
    }
}

}  // namespace cascade
