// bytes -> a rule and a text, UTF-8 or not: the tokenizer gives the naive twin's ids, or refuses what is not UTF-8;
// with any number of threads.
#include "naive_wordpiece.hpp"
#include "small_vocabulary.hpp"
#include "wordpiece.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using cascade::Index;
using Ids = std::vector<cascade::TokenId>;

void check(bool holds, const char* what) {
    if (!holds) {
        throw std::logic_error(what);
    }
}

// Half of the inputs are taken as they are; the other bytes choose among characters that matter.
std::string text_of(const std::uint8_t* data, std::size_t size, bool raw) {
    static constexpr char32_t kPoints[] = {0x301,  0x130,    0x307,   0x345,  0x34F,  0x1D15E, 0x1D165, 0x302E,
                                           0xD55C, 0x4E2D,   0xF900,  0x3000, 0x2026, 0xFFFD,  0xAD,    0xE9,
                                           0x3A3,  0x10FFFF, 0x1F600, 0x1FEF, 0x37E,  0x0,     0x1,     0x85};
    std::string out;
    for (std::size_t i = 0; i < size; ++i) {
        if (raw || data[i] < 0x80) {
            out.push_back(static_cast<char>(data[i]));
        } else {
            cascade::unicode::append(out, kPoints[data[i] % std::size(kPoints)]);
        }
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) {
        return 0;
    }
    static const SmallVocabulary kSmall(small_entries());
    static const cascade::Trie kTrie = kSmall.trie();
    SmallVocabulary small = kSmall;
    const int switches = data[0];
    small.naive.rule = {(switches & 1) != 0, (switches & 2) != 0, (switches & 4) != 0, (switches & 8) != 0};
    small.naive.max_characters = data[1] % 16U + 1;
    const std::string text = text_of(data + 2, size - 2, (switches & 16) != 0);
    const auto expected = small.naive.encode(text);
    const cascade::WordPiece tokenizer(kTrie, small.rule());
    // Twice, between others: what one text leaves behind must not show in the next.
    const std::vector<std::string_view> texts = {"un", text, text, "abc"};
    Ids ids(2 * text.size() + 5);
    std::vector<Index> cu_seqlens(5);
    Index count = 0;
    try {
        count = cascade::encode_texts(tokenizer, texts, switches / 32 + 1, ids, cu_seqlens);
    } catch (const std::invalid_argument&) {
        check(!expected, "refused a text that is UTF-8");
        return 0;
    }
    check(expected.has_value(), "accepted a text that is not UTF-8");
    Ids both = *expected;
    both.insert(both.end(), expected->begin(), expected->end());
    check(count == cu_seqlens[4] && cu_seqlens[3] - cu_seqlens[1] == static_cast<Index>(both.size()), "offsets");
    check(Ids(ids.begin() + cu_seqlens[1], ids.begin() + cu_seqlens[3]) == both, "ids");
    return 0;
}
