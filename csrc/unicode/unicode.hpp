// What the WordPiece tokenizer knows of a code point, and UTF-8. The tables are generated: make_tables.py.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cascade::unicode {

// Bits of Character::flags; make_tables.py has the same.
enum Flag : std::uint8_t {
    kDropped = 1,      // clean_text removes it
    kCleaned = 2,      // clean_text makes it a space
    kSpace = 4,        // white space to the pre-tokenizer
    kPunctuation = 8,  // a word of its own to the pre-tokenizer
    kIdeograph = 16,   // handle_chinese_chars puts spaces around it
    kMark = 32,        // strip_accents removes it
    kSequence = 64,    // strip_accents makes several characters of it
};

struct Character {
    std::int32_t stripped;  // strip_accents: difference to the one character that stays, or index of the sequence
    std::int32_t lowered;   // difference to the lower case, where that is one character
    std::uint8_t flags;
    std::uint8_t order;  // canonical combining class; 0 ends the run of characters that are sorted by it
};

inline constexpr char32_t kDottedI = 0x130;  // the one character whose lower case is two: i and kDotAbove
inline constexpr char32_t kDotAbove = 0x307;

// Precomposed Hangul syllables: decomposed by arithmetic.
inline constexpr char32_t kHangulFirst = 0xAC00;
inline constexpr char32_t kHangulLast = 0xD7A3;

// `point` is a code point, below 0x110000.
const Character& character(char32_t point);

// The up to three characters (0: none) that strip_accents leaves of a kSequence character.
const std::array<char32_t, 3>& sequence(const Character& of);

// One code point of text[at, text.size()), `at` moved behind it; throws std::invalid_argument where the bytes are not
// UTF-8. `at` is inside the text.
char32_t decode(std::string_view text, std::size_t& at);

inline void append(std::string& out, char32_t point) {
    const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(static_cast<unsigned char>(byte))); };
    if (point < 0x80) {
        put(point);
        return;
    }
    if (point < 0x800) {
        put(0xC0 | point >> 6);
    } else {
        if (point < 0x10000) {
            put(0xE0 | point >> 12);
        } else {
            put(0xF0 | point >> 18);
            put(0x80 | (point >> 12 & 0x3F));
        }
        put(0x80 | (point >> 6 & 0x3F));
    }
    put(0x80 | (point & 0x3F));
}

}  // namespace cascade::unicode
