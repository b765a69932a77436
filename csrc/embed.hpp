// Embeddings: from a model's token vectors to one vector per row, and dot products with stored vectors.
#pragma once

#include "dispatch.hpp"
#include "types.hpp"

#include <span>

namespace cascade {

enum class Pooling { cls, mean, last_token };

// Shape of a model's output `hidden`: [rows, length, dimension]. Its mask is [rows, length].
struct HiddenShape {
    Index rows;
    Index length;
    Index dimension;
};

// One vector per row of `hidden` [rows, length, dimension] into `out` [rows, dimension].
//   mask     [rows, length], 0 or 1; positions with 0 are never read, whatever they hold
//   cls      the first attended token; last_token: the last attended one; both hold for left and right padding
//   mean     over the attended tokens, summed in double
//   normalize  divides by the L2 norm (summed in double); a zero vector stays zero
// Throws std::invalid_argument, naming the row: sizes that disagree, a mask value other than 0 and 1, a row with no
// attended token, a value that is not finite among those read. `out` is unspecified after an error.
void pool_embeddings(std::span<const float> hidden, std::span<const Index> mask, const HiddenShape& shape,
                     Pooling pooling, bool normalize, std::span<float> out);

// Divides each row of `matrix` [rows, dimension] by its L2 norm, in place; zero rows stay zero.
// Throws std::invalid_argument, naming the row, when a value is not finite; `matrix` is then unchanged.
void normalize_rows(std::span<float> matrix, Index dimension);

// out[i] = query . matrix[rows[i]], for query [dimension], matrix [any number, dimension], rows [n], out [n].
// A sum depends on the row alone, not on its alignment or its neighbours. A row may be asked for twice.
// Throws std::invalid_argument, naming the place in `rows`: a row out of range, a dot product that is not finite.
void dot_rows(std::span<const float> query, std::span<const float> matrix, std::span<const Index> rows,
              std::span<float> out);

// The same with the instructions of `target`, which this machine must support: for tests.
void dot_rows_on(Target target, std::span<const float> query, std::span<const float> matrix,
                 std::span<const Index> rows, std::span<float> out);

// The kept token vectors of `hidden` [rows, length, dimension], end to end: the documents of late interaction.
//   keep     [rows, length], 0 or 1; other positions are never read
//   out      [sum of keep, dimension]
//   cu_out   [rows + 1]; row i's vectors are out[cu_out[i] : cu_out[i + 1]], none at all when it keeps none
// Throws std::invalid_argument, naming the row: sizes that disagree, a value of `keep` other than 0 and 1, a value that
// is not finite among those kept. `out` and `cu_out` are unspecified after an error.
void gather_tokens(std::span<const float> hidden, std::span<const Index> keep, const HiddenShape& shape, bool normalize,
                   std::span<float> out, std::span<Index> cu_out);

}  // namespace cascade
