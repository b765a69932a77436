#include "wordpiece.hpp"

#include "check.hpp"
#include "unicode/unicode.hpp"

#include <utility>

namespace cascade {
namespace {

constexpr std::uint16_t kEnds = 0x200;  // white space, punctuation, or the start of a character that is not ASCII
constexpr std::uint32_t kLabel = 0x1FF;

unsigned char byte(char letter) {
    return static_cast<unsigned char>(letter);
}

}  // namespace

WordPiece::WordPiece(Trie vocabulary, const WordPieceRule& rule)
    : vocabulary_(std::move(vocabulary)),
      root_(vocabulary_.root()),
      continuation_(vocabulary_.after(rule.continuation)),
      unknown_(rule.unknown),
      max_characters_(rule.max_characters),
      normalizer_(rule.normalizer) {
    require(max_characters_ >= 1, "max_characters ", max_characters_, ": must be at least 1");
    for (std::size_t i = 0; i < folded_.size(); ++i) {
        const auto letter = static_cast<unsigned char>(i);
        const bool upper = rule.normalizer.lowercase && letter >= 'A' && letter <= 'Z';
        const auto label = Trie::label(static_cast<unsigned char>(upper ? letter - 'A' + 'a' : letter));
        const bool ends =
            letter >= 0x80 || (unicode::character(letter).flags & (unicode::kSpace | unicode::kPunctuation)) != 0;
        folded_[i] = static_cast<std::uint16_t>(ends ? label | kEnds : label);
    }
}

TokenId* WordPiece::encode(std::string_view text, std::string& scratch, TokenId* out) const {
    if (needs_normalizing(text)) {
        normalize(text, normalizer_, scratch);
        text = scratch;
    }
    return split(text, out);
}

// White space separates words and is gone; a punctuation character is a word.
TokenId* WordPiece::split(std::string_view text, TokenId* out) const {
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at != end) {
        if ((folded_[byte(*at)] & kEnds) == 0) {
            at = word(at, end, out);
            continue;
        }
        auto next = static_cast<std::size_t>(at - text.data());
        const std::uint8_t flags = unicode::character(unicode::decode(text, next)).flags;
        if ((flags & (unicode::kSpace | unicode::kPunctuation)) == 0) {
            at = word(at, end, out);
            continue;
        }
        const char* const behind = text.data() + next;
        if ((flags & unicode::kPunctuation) != 0) {
            out = pieces({at, behind}, out);
        }
        at = behind;
    }
    return out;
}

// One word that starts at `begin`: its ids go to `out`; returns where it ends. Most words are ASCII and entries of the
// vocabulary: one walk finds end and id together.
const char* WordPiece::word(const char* begin, const char* end, TokenId*& out) const {
    Trie::Step found{true, root_, -1};
    const char* at = begin;
    std::uint16_t label = 0;
    while (at != end && ((label = folded_[byte(*at)]) & kEnds) == 0) {
        found = vocabulary_.step(found.place, label);
        if (!found.known) {
            break;
        }
        ++at;
    }
    const bool ascii_end = at == end || ((label & kEnds) != 0 && byte(*at) < 0x80);
    if (found.known && found.id >= 0 && ascii_end && at - begin <= max_characters_) {
        *out++ = found.id;
        return at;
    }
    Index characters = at - begin;
    while (at != end) {
        if (byte(*at) < 0x80) {
            if ((folded_[byte(*at)] & kEnds) != 0) {
                break;
            }
            ++at;
        } else {
            const std::string_view rest(at, end);
            std::size_t length = 0;
            const std::uint8_t flags = unicode::character(unicode::decode(rest, length)).flags;
            if ((flags & (unicode::kSpace | unicode::kPunctuation)) != 0) {
                break;
            }
            at += length;
        }
        ++characters;
    }
    if (characters > max_characters_) {
        *out++ = unknown_;
    } else {
        out = pieces({begin, at}, out);
    }
    return at;
}

// Longest entry first, from left to right; a word that cannot be spelt to its end is unknown as a whole.
TokenId* WordPiece::pieces(std::string_view word, TokenId* out) const {
    TokenId* const first = out;
    Trie::Place place = root_;
    const char* at = word.data();
    const char* const end = at + word.size();
    while (at != end) {
        TokenId longest = -1;
        const char* longest_end = at;
        for (const char* next = at; next != end;) {
            const Trie::Step found = vocabulary_.step(place, folded_[byte(*next)] & kLabel);
            if (!found.known) {
                break;
            }
            ++next;
            place = found.place;
            if (found.id >= 0) {
                longest = found.id;
                longest_end = next;
            }
        }
        if (longest < 0) {
            *first = unknown_;
            return first + 1;
        }
        *out++ = longest;
        at = longest_end;
        place = continuation_;
    }
    return out;
}

}  // namespace cascade
