#include "ids.hpp"

#include "check.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

namespace cascade {

namespace {

constexpr unsigned kRowBits = 40;
constexpr Index kRowMask = (Index{1} << kRowBits) - 1;

using Bytes = std::span<const std::uint8_t>;

// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): every input bit reaches every output bit.
std::uint64_t mix(std::uint64_t value) {
    value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9U;
    value = (value ^ (value >> 27U)) * 0x94D049BB133111EBU;
    return value ^ (value >> 31U);
}

// Part of the file format: another function cannot read the tables that this one filled.
std::uint64_t hash_of(Bytes bytes) {
    std::uint64_t hash = 0x9E3779B97F4A7C15U ^ bytes.size();
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, std::min(sizeof word, bytes.size() - at));
        hash = mix(hash ^ word);
    }
    return hash;
}

Index slot_of(std::uint64_t hash, Index row) {
    return static_cast<Index>((hash >> (kRowBits + 1)) << kRowBits) | row;
}

Bytes string_at(const Strings& strings, std::size_t i, const char* name) {
    const Index begin = strings.cu_bytes[i];
    const Index end = strings.cu_bytes[i + 1];
    require(begin >= 0 && begin <= end && static_cast<std::size_t>(end) <= strings.bytes.size(), name, "[", i,
            "] has bytes ", begin, " to ", end, " of ", strings.bytes.size(), "; the offsets are damaged");
    return strings.bytes.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

bool equal(Bytes a, Bytes b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

std::size_t count_of(const Strings& strings, const char* name) {
    require(!strings.cu_bytes.empty(), name, ": no offsets; even no string has one");
    return strings.cu_bytes.size() - 1;
}

void check_table(std::size_t slots, std::size_t count) {
    const Index expected = id_table_size(static_cast<Index>(count));
    require(slots == static_cast<std::size_t>(expected), "table has ", slots, " slots, expected ", expected, " for ",
            count, " ids");
}

}  // namespace

Index id_table_size(Index count) {
    require(count >= 0 && count <= kRowMask, "count is ", count, "; 0 to ", kRowMask, " ids are allowed");
    return static_cast<Index>(std::bit_ceil(static_cast<std::uint64_t>(count) * 2 + 1));
}

void index_ids(const Strings& ids, std::span<Index> table) {
    const std::size_t count = count_of(ids, "ids");
    check_table(table.size(), count);
    for (Index& slot : table) {
        slot = -1;
    }
    for (std::size_t row = 0; row < count; ++row) {
        const Bytes id = string_at(ids, row, "ids");
        const std::uint64_t hash = hash_of(id);
        const Index wanted = slot_of(hash, static_cast<Index>(row));
        std::size_t place = hash & (table.size() - 1);
        for (; table[place] >= 0; place = (place + 1) & (table.size() - 1)) {
            const Index other = table[place] & kRowMask;
            require((table[place] >> kRowBits) != (wanted >> kRowBits) ||
                        !equal(string_at(ids, static_cast<std::size_t>(other), "ids"), id),
                    "ids[", row, "] repeats ids[", other, "]");
        }
        table[place] = wanted;
    }
}

void find_ids(const Strings& ids, std::span<const Index> table, const Strings& wanted, std::span<Index> out) {
    const std::size_t count = count_of(ids, "ids");
    check_table(table.size(), count);
    require(out.size() == count_of(wanted, "wanted"), "out holds ", out.size(), " rows, expected ",
            wanted.cu_bytes.size() - 1);
    for (std::size_t i = 0; i < out.size(); ++i) {
        const Bytes id = string_at(wanted, i, "wanted");
        const std::uint64_t hash = hash_of(id);
        const Index tag = slot_of(hash, 0) >> kRowBits;
        out[i] = -1;
        std::size_t place = hash & (table.size() - 1);
        // Counted: a damaged table may have no free slot to stop at.
        for (std::size_t probes = 0; probes < table.size() && table[place] != -1; ++probes) {
            const Index row = table[place] & kRowMask;
            if ((table[place] >> kRowBits) == tag) {
                require(static_cast<std::size_t>(row) < count, "table slot ", place, " names row ", row, " of ", count,
                        "; the table is damaged");
                if (equal(string_at(ids, static_cast<std::size_t>(row), "ids"), id)) {
                    out[i] = row;
                    break;
                }
            }
            place = (place + 1) & (table.size() - 1);
        }
    }
}

}  // namespace cascade
