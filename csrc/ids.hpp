// Ids of stored documents -> rows, through a hash table that lies in a file: nothing is built when a store is opened.
#pragma once

#include "types.hpp"

#include <cstdint>
#include <span>

namespace cascade {

// Byte strings end to end: string i is bytes[cu_bytes[i] : cu_bytes[i + 1]].
struct Strings {
    std::span<const std::uint8_t> bytes;
    std::span<const Index> cu_bytes;  // [strings + 1], from 0, never decreasing, to bytes.size()
};

// Slots of the table of `count` ids: a power of two, at most half of it used.
Index id_table_size(Index count);

// Fills `table` [id_table_size(ids)]: open addressing with linear probing, -1 in a free slot, else the row in the low
// 40 bits and 23 bits of the id's hash above them, so that a probe reads another id's bytes only once in 8 million.
// Throws std::invalid_argument: sizes and offsets that disagree, an id that occurs twice (both rows are named).
void index_ids(const Strings& ids, std::span<Index> table);

// out[i] = the row of wanted string i, -1 where `ids` lacks it. Reads `ids` and `table` where they lie.
// Throws std::invalid_argument when the table's size is not that of `ids`, or when a slot names a row that does not
// exist: the file is damaged. Offsets are checked where they are used.
void find_ids(const Strings& ids, std::span<const Index> table, const Strings& wanted, std::span<Index> out);

}  // namespace cascade
