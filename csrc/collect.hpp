// Score collection: a micro-batch's output -> one logit per candidate.
#pragma once

#include "types.hpp"

#include <span>
#include <stdexcept>

namespace cascade {

// A model's output that cannot be ordered. Carries the candidate so that the caller can name the pair.
class NonFiniteScore : public std::runtime_error {
  public:
    NonFiniteScore(Index candidate, double value);
    Index candidate() const { return candidate_; }
    double value() const { return value_; }

  private:
    Index candidate_;
    double value_;
};

// outputs: row-major [rows, columns], columns 1 or 2. Two columns mean (no, yes): the logit is their difference, whose
// sigmoid is softmax[1]. Row r belongs to candidates[r]; logits is indexed by candidate. A slot that is not NaN was
// written before: an error of ours, so it throws std::logic_error. Throws NonFiniteScore for NaN and Inf.
void collect_logits(std::span<const Score> outputs, Index columns, std::span<const Index> candidates,
                    std::span<Score> logits);

}  // namespace cascade
