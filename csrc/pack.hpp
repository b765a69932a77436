// Packing: token sequences -> micro-batches. Three steps, so that the caller can allocate between them:
// sequence_lengths() says how long each row will be, plan_batches() which rows run together, fill_batches() writes the
// tensors. Every reorder is returned as a permutation; Pool::collect is the only code that inverts it.
#pragma once

#include "types.hpp"

#include <span>

namespace cascade {

// Entries of a template that stand for a text; every other entry is a token id.
inline constexpr TokenId kQuery = -1;
inline constexpr TokenId kDocument = -2;

// One input row, e.g. [CLS] kQuery [SEP] kDocument [SEP]. `segments` has one entry per part, or none when the graph has
// no token_type_ids. A single text (encoders) is a template with kDocument alone.
struct Template {
    std::span<const TokenId> parts;
    std::span<const Index> segments;
    TokenId pad = 0;
    Index position_offset = 0;  // first position id; RoBERTa-type models start at pad + 1
    Index max_length = 0;       // tokens of one row, special tokens included
};

// Ragged token ids: text r is ids[cu_seqlens[r], cu_seqlens[r + 1]).
struct Ragged {
    std::span<const TokenId> ids;
    std::span<const Index> cu_seqlens;
};

struct PlanRule {
    Index token_budget = 0;    // tokens of one micro-batch, pads included when padded
    Index max_rows = 0;        // rows of one micro-batch
    Index window = 0;          // rows are sorted by length inside windows of this many; best-first across windows
    Index width_multiple = 1;  // padded widths are rounded up to it (shape buckets)
    Layout layout = Layout::padded;
};

struct PlanSize {
    Index batches = 0;
    Index tokens = 0;  // elements of each tensor buffer that fill_batches writes, pads included
};

struct Truncation {
    Index texts = 0;   // documents that lost tokens
    Index tokens = 0;  // tokens they lost
};

// The offsets start at 0, never decrease and end at ids.size(); throws std::invalid_argument otherwise.
void check_ragged(const Ragged& texts);

// Row length of each documents[rows[i]] in the template, the document cut to what max_length leaves; the query is never
// cut. lengths: [rows.size()]. Throws when query and special tokens alone leave no room for one document token.
Truncation sequence_lengths(const Ragged& documents, std::span<const Index> rows, Index query_length,
                            const Template& form, std::span<Index> lengths);

// order: [n] positions 0..n-1 as laid out; bounds: [n + 1], micro-batch b holds order[bounds[b], bounds[b + 1]);
// widths: [n], width of micro-batch b. A row over the budget travels alone. Ties keep arrival order.
PlanSize plan_batches(std::span<const Index> lengths, const PlanRule& rule, std::span<Index> order,
                      std::span<Index> bounds, std::span<Index> widths);

// Writes all micro-batches one after another, each row-major [rows, width] or, packed, its rows end to end. The last
// three outputs may be empty when the graph lacks that input. Every element is written, pads included.
void fill_batches(std::span<const TokenId> query, const Ragged& documents, std::span<const Index> rows,
                  std::span<const Index> lengths, const Template& form, std::span<const Index> order,
                  std::span<const Index> bounds, std::span<const Index> widths, std::span<TokenId> input_ids,
                  std::span<Index> attention_mask, std::span<Index> token_type_ids, std::span<Index> position_ids,
                  Layout layout = Layout::padded);

}  // namespace cascade
