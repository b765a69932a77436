// A double-array trie over the bytes of a vocabulary: one look-up per byte, and one walk finds the longest entry that a
// text starts with.
#pragma once

#include "types.hpp"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace cascade {

class Trie {
  public:
    // Where the entries that go on after the bytes read so far are looked up.
    using Place = std::uint32_t;

    struct Step {
        bool known;   // some entry goes on (or ends) with this byte; nothing else holds otherwise
        Place place;  // after this byte
        TokenId id;   // of the entry that ends here, -1 where none does
    };

    static constexpr TokenId kMaxId = (1 << 23) - 2;  // an id shares 32 bits with a label

    // Entry i is pieces[cu_pieces[i], cu_pieces[i + 1]) and has the id ids[i]. Throws std::invalid_argument for offsets
    // that are none, for an id out of range, for an empty entry and for one that is there twice.
    Trie(std::string_view pieces, std::span<const Index> cu_pieces, std::span<const TokenId> ids);

    Place root() const { return root_; }

    // What a byte is compared by: never 0, which marks an element that is not used.
    static constexpr std::uint32_t label(unsigned char byte) { return 0x100U | byte; }

    Step step(Place place, std::uint32_t label) const {
        const Element element = elements_[place + (label & 0xFFU)];
        return {(element.value & 0x1FFU) == label, element.children, static_cast<TokenId>(element.value >> 9) - 1};
    }

    // The id of an entry, -1 where there is none.
    TokenId find(std::string_view entry) const { return walk(entry).id; }

    // The place after all bytes of `prefix`; a place where nothing goes on, if no entry starts with it.
    Place after(std::string_view prefix) const { return walk(prefix).place; }

  private:
    // Element p + b is the child by byte b of the node whose children lie at p. No two nodes have the same p, so the
    // label alone tells whose child an element is. `value` is (id + 1) << 9 | label.
    struct Element {
        Place children = 0;
        std::uint32_t value = 0;
    };

    class Builder;

    Step walk(std::string_view text) const;

    std::vector<Element> elements_;
    Place root_ = 0;
    Place nowhere_ = 0;  // 256 elements that are not used
};

}  // namespace cascade
