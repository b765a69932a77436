// Late interaction: every query token looks for its best match among a document's tokens.
#pragma once

#include "dispatch.hpp"
#include "stored.hpp"
#include "types.hpp"

#include <span>

namespace cascade {

// The token vectors of many documents, end to end: document d's are tokens[cu_seqlens[d] : cu_seqlens[d + 1]].
struct TokenMatrix {
    VectorRows tokens;                  // [T, dimension], as a store keeps them; summed in fp32
    std::span<const Index> mask;        // [T], 0 or 1, or empty: every token counts
    std::span<const Index> cu_seqlens;  // [documents + 1]
};

// out[i] = sum over unmasked query tokens of the largest dot product with an unmasked token of document rows[i]
// (Khattab and Zaharia, ColBERT, SIGIR 2020), for query [Q, dimension], query_mask [Q], rows [n], out [n].
//
// A largest product may be negative: a maximum starts from the document's first token, never from 0. Dot products are
// fp32 chains over the dimension, their sum is double; both depend on the pair alone, so padding a document with masked
// tokens changes no bit. length_normalize divides by the number of unmasked query tokens, which bounds the score by 1
// for unit vectors.
//
// Throws std::invalid_argument: sizes that disagree, a mask value other than 0 and 1, a query without an unmasked
// token, and, naming the place in `rows`, a row out of range, offsets of that row outside the tokens, a document
// without an unmasked token, a dot product that is not finite. Offsets of other rows are not read: a store has
// millions. `out` is unspecified after an error.
void maxsim(std::span<const float> query, std::span<const Index> query_mask, const TokenMatrix& documents,
            std::span<const Index> rows, Index dimension, bool length_normalize, std::span<float> out);

// The same with the instructions of `target`, which this machine must support: for tests.
void maxsim_on(Target target, std::span<const float> query, std::span<const Index> query_mask,
               const TokenMatrix& documents, std::span<const Index> rows, Index dimension, bool length_normalize,
               std::span<float> out);

}  // namespace cascade
