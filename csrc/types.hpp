// The words every kernel shares. Two element types cross the boundary: int64 for ids, lengths and offsets (the exported
// encoders take int64, so it is written once), float32 for scores.
#pragma once

#include <cstdint>
#include <span>

namespace cascade {

using TokenId = std::int64_t;
using Index = std::int64_t;
using Score = float;

// What a micro-batch is charged for: the padded tensor (longest row times rows) or, with rows end to end, their sum.
enum class Layout { padded, packed };

}  // namespace cascade
