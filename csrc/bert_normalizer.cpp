#include "bert_normalizer.hpp"

#include "unicode/unicode.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace cascade {
namespace {

// ASCII that every rule leaves as it is: all but the control characters.
constexpr bool plain(unsigned char byte) {
    return byte >= 0x20 && byte < 0x7F;
}

class Normalizer {
  public:
    Normalizer(const NormalizerRule& rule, std::string& out) : rule_(rule), out_(out) {}

    // Text without combining marks: it ends the run that waits, and is copied.
    void ascii(std::string_view run) {
        flush();
        out_.append(run);
    }

    void point(char32_t point) {
        const unicode::Character& known = unicode::character(point);
        if (rule_.clean_text && (known.flags & (unicode::kDropped | unicode::kCleaned)) != 0) {
            if ((known.flags & unicode::kCleaned) != 0) {
                ascii(" ");
            }
            return;
        }
        const bool spaced = rule_.handle_chinese_chars && (known.flags & unicode::kIdeograph) != 0;
        if (spaced) {
            ascii(" ");
        }
        if (rule_.strip_accents) {
            strip(point, known);
        } else {
            lower(point, known);
        }
        if (spaced) {
            ascii(" ");
        }
    }

    // Canonical ordering: characters between two of class 0 are sorted by class, equal ones keep their order. Few
    // characters with a class outlive strip_accents, so the list is nearly always empty.
    void flush() {
        if (waiting_.empty()) {
            return;
        }
        const auto by_class = [](const auto& a, const auto& b) { return a.first < b.first; };
        std::stable_sort(waiting_.begin(), waiting_.end(), by_class);
        for (const auto& [order, point] : waiting_) {
            lower(point, unicode::character(point));
        }
        waiting_.clear();
    }

  private:
    void strip(char32_t point, const unicode::Character& known) {
        if ((known.flags & unicode::kMark) != 0) {
            if (known.order == 0) {
                flush();
            }
        } else if ((known.flags & unicode::kSequence) != 0) {
            for (const char32_t part : unicode::sequence(known)) {
                if (part != 0) {
                    ordered(part, unicode::character(part));
                }
            }
        } else if (point >= unicode::kHangulFirst && point <= unicode::kHangulLast) {
            hangul(point - unicode::kHangulFirst);
        } else if (known.stripped != 0) {
            const auto bare = static_cast<char32_t>(static_cast<std::int32_t>(point) + known.stripped);
            ordered(bare, unicode::character(bare));
        } else {
            ordered(point, known);
        }
    }

    // A syllable is a leading consonant, a vowel and, but for one in 28, a trailing consonant.
    void hangul(char32_t index) {
        flush();
        unicode::append(out_, 0x1100 + index / 588);
        unicode::append(out_, 0x1161 + index % 588 / 28);
        if (index % 28 != 0) {
            unicode::append(out_, 0x11A7 + index % 28);
        }
    }

    void ordered(char32_t point, const unicode::Character& known) {
        if (known.order != 0) {
            waiting_.emplace_back(known.order, point);
            return;
        }
        flush();
        lower(point, known);
    }

    void lower(char32_t point, const unicode::Character& known) {
        if (!rule_.lowercase) {
            unicode::append(out_, point);
        } else if (point == unicode::kDottedI) {
            unicode::append(out_, U'i');
            unicode::append(out_, unicode::kDotAbove);
        } else {
            unicode::append(out_, static_cast<char32_t>(static_cast<std::int32_t>(point) + known.lowered));
        }
    }

    const NormalizerRule& rule_;
    std::string& out_;
    std::vector<std::pair<std::uint8_t, char32_t>> waiting_;
};

}  // namespace

bool needs_normalizing(std::string_view text) {
    unsigned found = 0;
    for (const char letter : text) {  // no early exit: the compiler makes vector code of it
        const auto byte = static_cast<unsigned char>(letter);
        const bool line = byte == '\t' || byte == '\n' || byte == '\r';
        found |= static_cast<unsigned>(byte >= 0x7F) | static_cast<unsigned>(byte < 0x20 && !line);
    }
    return found != 0;
}

void normalize(std::string_view text, const NormalizerRule& rule, std::string& out) {
    out.clear();
    Normalizer normalizer(rule, out);
    std::size_t at = 0;
    while (at < text.size()) {
        std::size_t end = at;
        while (end < text.size() && plain(static_cast<unsigned char>(text[end]))) {
            ++end;
        }
        if (end > at) {
            normalizer.ascii(text.substr(at, end - at));
            at = end;
        } else {
            normalizer.point(unicode::decode(text, at));
        }
    }
    normalizer.flush();
}

}  // namespace cascade
