// A slow, obvious twin of the WordPiece tokenizer: whole texts as code points, one step after another, a std::map for
// the vocabulary. It shares the Unicode tables with the core (those are judged against the tokenizers library from
// Python) and nothing else.
#pragma once

#include "bert_normalizer.hpp"
#include "types.hpp"
#include "unicode/unicode.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace naive {

using Points = std::u32string;

inline std::string utf8(const Points& points) {
    std::string out;
    for (const char32_t point : points) {
        cascade::unicode::append(out, point);
    }
    return out;
}

// None where the bytes are not UTF-8: a sequence is right if writing its code point gives the same bytes.
inline std::optional<Points> code_points(std::string_view text) {
    Points out;
    while (!text.empty()) {
        const auto lead = static_cast<unsigned char>(text[0]);
        const std::size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        if (text.size() < size) {
            return std::nullopt;
        }
        char32_t point = size == 1 ? lead : lead & (0xFFU >> (size + 1));
        for (std::size_t i = 1; i < size; ++i) {
            point = point * 64 + (static_cast<unsigned char>(text[i]) & 0x3FU);
        }
        if (point > 0x10FFFF || (point >= 0xD800 && point < 0xE000) || utf8({point}) != text.substr(0, size)) {
            return std::nullopt;
        }
        out.push_back(point);
        text.remove_prefix(size);
    }
    return out;
}

inline bool has(char32_t point, int flags) {
    return (cascade::unicode::character(point).flags & flags) != 0;
}

inline Points without_accents(const Points& text) {
    Points out;
    for (const char32_t point : text) {
        const auto& known = cascade::unicode::character(point);
        if (has(point, cascade::unicode::kSequence)) {
            for (const char32_t part : cascade::unicode::sequence(known)) {
                if (part != 0) {
                    out.push_back(part);
                }
            }
        } else if (point >= cascade::unicode::kHangulFirst && point <= cascade::unicode::kHangulLast) {
            const char32_t index = point - cascade::unicode::kHangulFirst;
            out += {0x1100 + index / (21 * 28), 0x1161 + index / 28 % 21};
            if (index % 28 > 0) {
                out.push_back(0x11A7 + index % 28);
            }
        } else {
            out.push_back(static_cast<char32_t>(static_cast<int>(point) + known.stripped));
        }
    }
    const auto order = [](char32_t point) { return cascade::unicode::character(point).order; };
    for (std::size_t begin = 0; begin < out.size(); ++begin) {
        std::size_t end = begin;
        while (end < out.size() && order(out[end]) != 0) {
            ++end;
        }
        // Bubble sort: neighbours change places while the first has the higher class.
        for (std::size_t round = begin; round < end; ++round) {
            for (std::size_t i = begin; i + 1 < end; ++i) {
                if (order(out[i]) > order(out[i + 1])) {
                    std::swap(out[i], out[i + 1]);
                }
            }
        }
        begin = end;
    }
    std::erase_if(out, [](char32_t point) { return has(point, cascade::unicode::kMark); });
    return out;
}

inline Points normalize(Points text, const cascade::NormalizerRule& rule) {
    using namespace cascade::unicode;
    Points out;
    for (const char32_t point : text) {
        if (rule.clean_text && has(point, kDropped | kCleaned)) {
            out += has(point, kCleaned) ? U" " : U"";
        } else {
            out += point;
        }
    }
    if (rule.handle_chinese_chars) {
        text = std::exchange(out, {});
        for (const char32_t point : text) {
            out += has(point, kIdeograph) ? Points{U' ', point, U' '} : Points{point};
        }
    }
    if (rule.strip_accents) {
        out = without_accents(out);
    }
    if (rule.lowercase) {
        text = std::exchange(out, {});
        for (const char32_t point : text) {
            if (point == kDottedI) {
                out += U"i\u0307";
            } else {
                out += static_cast<char32_t>(static_cast<int>(point) + character(point).lowered);
            }
        }
    }
    return out;
}

struct WordPiece {
    std::map<std::string, cascade::TokenId> vocabulary;
    cascade::TokenId unknown = 0;
    std::string continuation = "##";
    std::size_t max_characters = 100;
    cascade::NormalizerRule rule;

    void word(const Points& word, std::vector<cascade::TokenId>& out) const {
        std::vector<cascade::TokenId> found;
        std::size_t begin = 0;
        while (begin < word.size() && word.size() <= max_characters) {
            std::size_t end = word.size();
            const auto entry = [&] {
                return vocabulary.find((begin > 0 ? continuation : "") + utf8(word.substr(begin, end - begin)));
            };
            while (end > begin && entry() == vocabulary.end()) {
                --end;
            }
            if (end == begin) {
                break;
            }
            found.push_back(entry()->second);
            begin = end;
        }
        if (begin < word.size()) {
            found = {unknown};
        }
        out.insert(out.end(), found.begin(), found.end());
    }

    // None for a text that is not UTF-8.
    std::optional<std::vector<cascade::TokenId>> encode(std::string_view text) const {
        const auto points = code_points(text);
        if (!points) {
            return std::nullopt;
        }
        std::vector<cascade::TokenId> out;
        Points waiting;
        for (const char32_t point : normalize(*points, rule)) {
            const bool alone = has(point, cascade::unicode::kPunctuation);
            if (!alone && !has(point, cascade::unicode::kSpace)) {
                waiting += point;
                continue;
            }
            word(std::exchange(waiting, {}), out);
            if (alone) {
                word({point}, out);
            }
        }
        word(waiting, out);
        return out;
    }
};

}  // namespace naive
