// Tokens and vectors as a store keeps them, in fewer bits than models take, read where they lie: in a mapped file,
// never copied whole. Only the rows asked for are looked at, so a call costs what it returns, not what the store holds.
#pragma once

#include "dispatch.hpp"
#include "types.hpp"

#include <cstdint>
#include <span>
#include <variant>

namespace cascade {

// The bits of an IEEE 754 binary16 number.
using Half = std::uint16_t;

// Row r stands for scales[r] * values[r * dimension ...]; a scale per row, because one long vector must not cost all
// others their precision.
struct Int8Rows {
    std::span<const std::int8_t> values;  // [any number, dimension]
    std::span<const float> scales;        // [any number]
};

// Rows of any of the three kinds.
using VectorRows = std::variant<std::span<const float>, std::span<const Half>, Int8Rows>;

// How many values there are. Throws std::invalid_argument when they are not a multiple of `dimension`, or when there
// is not one scale per row; `name` names the rows in the message.
std::size_t check_vectors(const VectorRows& vectors, std::size_t dimension, const char* name);

// out[i] = query . row rows[i], for query [dimension], rows [n], out [n].
//   fp16   rows are widened, products and sums are fp32, in the order that dot_rows of embed.hpp sums in
//   int8   the query is rounded to 16 bits (its largest magnitude becomes 32767), products and their sum are exact
//          integers, so a score is the same on every machine; the rounding of the query is 1/258 of that of the rows
// A sum depends on the row alone. A row may be asked for twice.
// Throws std::invalid_argument: sizes that disagree, and, naming the place in `rows`, a row out of range, a product
// that is not finite.
void dot_rows(std::span<const float> query, std::span<const Half> matrix, std::span<const Index> rows,
              std::span<float> out);
void dot_rows(std::span<const float> query, const Int8Rows& matrix, std::span<const Index> rows, std::span<float> out);

// The token ids of each rows[i], end to end, widened. Text r is ids[cu_seqlens[r] : cu_seqlens[r + 1]]; vocabularies of
// up to 65536 tokens are kept in 16 bits. out: as many tokens as those rows hold. Throws std::invalid_argument, naming
// the place in `rows`: a row out of range, offsets of that row outside the ids; and when `out` has another size.
void gather_ids(std::span<const std::uint16_t> ids, std::span<const Index> cu_seqlens, std::span<const Index> rows,
                std::span<TokenId> out);
void gather_ids(std::span<const std::int32_t> ids, std::span<const Index> cu_seqlens, std::span<const Index> rows,
                std::span<TokenId> out);

// The values of rows [first, last) in fp32: a view where they are kept so, else written to the start of `scratch`,
// which must hold them. Rows must exist.
const float* widen_rows(Target target, const VectorRows& vectors, std::size_t first, std::size_t last,
                        std::size_t dimension, std::span<float> scratch);

// The same with the instructions of `target`, which this machine must support: for tests.
void dot_rows_on(Target target, std::span<const float> query, std::span<const Half> matrix, std::span<const Index> rows,
                 std::span<float> out);
void dot_rows_on(Target target, std::span<const float> query, const Int8Rows& matrix, std::span<const Index> rows,
                 std::span<float> out);

}  // namespace cascade
