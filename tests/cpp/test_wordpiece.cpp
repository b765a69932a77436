// The trie, the normaliser and the tokenizer by hand, and against the naive twin.
#include "expect.hpp"
#include "naive_wordpiece.hpp"
#include "random.hpp"
#include "small_vocabulary.hpp"
#include "wordpiece.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

using cascade::Index;
using cascade::TokenId;
using Ids = std::vector<TokenId>;

struct Encoded {
    Ids ids;
    std::vector<Index> cu_seqlens;
    friend bool operator==(const Encoded&, const Encoded&) = default;
};

Encoded encode(const cascade::WordPiece& tokenizer, const std::vector<std::string>& texts, Index threads = 1) {
    std::vector<std::string_view> views(texts.begin(), texts.end());
    std::size_t bytes = 0;
    for (const std::string_view view : views) {
        bytes += view.size();
    }
    Encoded out{Ids(bytes, -7), std::vector<Index>(texts.size() + 1, -7)};
    out.ids.resize(static_cast<std::size_t>(cascade::encode_texts(tokenizer, views, threads, out.ids, out.cu_seqlens)));
    return out;
}

std::string normalized(std::string_view text, const cascade::NormalizerRule& rule = {}) {
    std::string out = "left over";
    cascade::normalize(text, rule, out);
    return out;
}

// Letters, spaces and marks of the small vocabulary more often than anything else.
std::string random_text(Random& random) {
    static constexpr char32_t kFew[] = {U'u',    U'n',    U'a',  U'b',   U'c',  U'e',   U'f',   U'A',   U' ',
                                        U'!',    U'.',    U'[',  0x1,    0x0,   U'\t',  0x85,   0xE9,   0x301,
                                        0x130,   0x307,   0x3C3, 0x3A3,  0x416, 0x4E2D, 0x6587, 0xD55C, 0x302E,
                                        0x1D15E, 0x1D165, 0x34F, 0xFFFD, 0xAD,  0x2026, 0x3002, 0x3000, 0xF900};
    std::string out;
    for (Index left = random.between(0, 40); left > 0; --left) {
        auto point = kFew[random.size(0, static_cast<Index>(std::size(kFew)) - 1)];
        if (random.between(0, 9) == 0) {
            point = static_cast<char32_t>(random.between(0, 0x10FFFF));
        }
        if (point < 0xD800 || point > 0xDFFF) {
            cascade::unicode::append(out, point);
        }
    }
    return out;
}

TEST(Trie, FindsWhatItHoldsAndNothingElse) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        std::map<std::string, TokenId> held;
        for (Index left = random.between(0, 400); left > 0; --left) {
            std::string entry(random.size(1, 6), ' ');
            for (char& letter : entry) {  // few letters, so that entries share beginnings; and every byte there is
                letter = static_cast<char>(random.flip() ? random.between('a', 'c') : random.between(0, 255));
            }
            held[entry] = random.between(0, cascade::Trie::kMaxId);
        }
        std::string pieces;
        std::vector<Index> cu_pieces = {0};
        Ids ids;
        for (const auto& [entry, id] : held) {
            pieces += entry;
            cu_pieces.push_back(static_cast<Index>(pieces.size()));
            ids.push_back(id);
        }
        const cascade::Trie trie(pieces, cu_pieces, ids);
        for (const auto& [entry, id] : held) {
            EXPECT_EQ(trie.find(entry), id);
            for (const std::string& other : {entry + "a", entry.substr(1), entry.substr(0, entry.size() - 1)}) {
                const auto known = held.find(other);
                EXPECT_EQ(trie.find(other), known == held.end() ? -1 : known->second);
            }
        }
        EXPECT_EQ(trie.find(""), -1);
    }
}

TEST(Trie, RefusesWhatIsNoVocabulary) {
    const auto refused = [](const std::string& part, std::string_view pieces, std::vector<Index> cu, Ids ids) {
        expect_refused(part, [&] { cascade::Trie(pieces, cu, ids); });
    };
    refused("3 entries for 1 ids", "ab", {0, 1, 2}, {1});
    refused("start at 0", "ab", {1, 2}, {1});
    refused("ends at 1", "ab", {0, 1}, {1});
    refused("must not be empty", "ab", {0, 2, 2}, {1, 2});
    refused("must not be empty", "ab", {0, 3, 2}, {1, 2});
    refused("entry 0 is -1", "ab", {0, 2}, {-1});
    refused("allowed are 0 to", "ab", {0, 2}, {cascade::Trie::kMaxId + 1});
    refused("'a' is there twice", "aa", {0, 1, 2}, {1, 2});
}

TEST(Normalizer, EachStepByHand) {
    const cascade::NormalizerRule none{false, false, false, false};
    const auto with = [&](bool cascade::NormalizerRule::* step) {
        cascade::NormalizerRule rule = none;
        rule.*step = true;
        return rule;
    };
    const std::string all = "a\x01\u0085\uFFFD\u2003É中\u0130한\n";
    EXPECT_EQ(normalized(all, none), all);
    EXPECT_EQ(normalized(all, with(&cascade::NormalizerRule::clean_text)), "a É中\u0130한 ");
    EXPECT_EQ(normalized("É中a", with(&cascade::NormalizerRule::handle_chinese_chars)), "É 中 a");
    EXPECT_EQ(normalized("É\u0130한e\u0301", with(&cascade::NormalizerRule::strip_accents)), "EI\u1112\u1161\u11ABe");
    EXPECT_EQ(normalized("É\u0130ΣΣẞ", with(&cascade::NormalizerRule::lowercase)), "éi\u0307σσß");
    // Classes 224 and 216 change places, but not over a mark of class 0 (which is gone) or a letter.
    EXPECT_EQ(normalized("\u302E\U0001D165"), "\U0001D165\u302E");
    EXPECT_EQ(normalized("\u302E\u0301\U0001D165"), "\U0001D165\u302E");
    EXPECT_EQ(normalized("\u302E\u034F\U0001D165"), "\u302E\U0001D165");
    EXPECT_EQ(normalized("\u302Ea\U0001D165"), "\u302Ea\U0001D165");
}

TEST(Normalizer, IsNotNeededForPlainAscii) {
    EXPECT_FALSE(cascade::needs_normalizing("Plain text,\twith\r\nlines. ~!"));
    EXPECT_FALSE(cascade::needs_normalizing(""));
    for (const std::string text : {"\x01", "\x1F", "\x7F", "é", "\x0B"}) {
        EXPECT_TRUE(cascade::needs_normalizing("some text before " + text + " and after"));
    }
}

TEST(WordPiece, IdsByHand) {
    const SmallVocabulary small(small_entries());
    const auto tokenizer = small.core();
    const auto ids = [&](const std::string& text) { return encode(tokenizer, {text}).ids; };
    EXPECT_EQ(ids("un unable UNABLE"), (Ids{1, 2, 2}));
    EXPECT_EQ(ids("aabb"), (Ids{6, 4, 5, 5}));
    EXPECT_EQ(ids("abcabc!."), (Ids{8, 9, 10, 11}));
    EXPECT_EQ(ids("Café"), (Ids{16}));
    EXPECT_EQ(ids("unz un"), (Ids{0, 1}));
    EXPECT_EQ(ids(" \t\n"), Ids{});
    EXPECT_EQ(ids(""), Ids{});
    EXPECT_EQ(tokenizer.find("##able"), 3);
    EXPECT_EQ(tokenizer.find("able"), -1);
}

TEST(WordPiece, AWordOverTheLimitIsUnknown) {
    SmallVocabulary small(small_entries());
    small.naive.max_characters = 3;
    const auto tokenizer = small.core();
    EXPECT_EQ(encode(tokenizer, {"abc", "aaab", "unable", "caf", "ééé", "éééé"}).ids,
              (Ids{8, 0, 0, 15, 51, 17, 17, 0}));
    small.naive.max_characters = 0;
    expect_refused("max_characters 0", [&] { small.core(); });
}

TEST(WordPiece, EqualsTheNaiveTwin) {
    SmallVocabulary small(small_entries());
    for (std::uint64_t seed = 0; seed < 4000; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        small.naive.rule = {random.flip(), random.flip(), random.flip(), random.flip()};
        small.naive.continuation = random.between(0, 4) == 0 ? "" : "##";
        small.naive.max_characters = random.size(1, 12);
        const auto tokenizer = small.core();
        std::vector<std::string> texts;
        Ids expected;
        for (Index left = random.between(0, 4); left > 0; --left) {
            texts.push_back(random_text(random));
            const auto found = small.naive.encode(texts.back());
            ASSERT_TRUE(found);
            expected.insert(expected.end(), found->begin(), found->end());
        }
        const Encoded one = encode(tokenizer, texts);
        ASSERT_EQ(one.ids, expected);
        for (const Index threads : {2, 4, 7}) {
            ASSERT_EQ(encode(tokenizer, texts, threads), one);
        }
    }
}

TEST(WordPiece, RefusesWhatIsNotUtf8AndNamesTheText) {
    const auto tokenizer = SmallVocabulary(small_entries()).core();
    for (const std::string bad : {"\x80", "a\xC3", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                  "\xF5\x80\x80\x80", "\xE4\xB8", "\xFF"}) {
        for (const Index threads : {1, 3}) {
            expect_refused("texts[2]: text: not UTF-8", [&] { encode(tokenizer, {"a", "b", bad, "c"}, threads); });
        }
    }
}

TEST(WordPiece, RefusesBuffersOfAnotherSize) {
    const auto tokenizer = SmallVocabulary(small_entries()).core();
    const std::vector<std::string_view> texts = {"ab", "é"};
    Ids ids(4);
    std::vector<Index> cu(3);
    cascade::encode_texts(tokenizer, texts, 1, ids, cu);
    ids.resize(3);
    expect_refused("3 entries for texts of 4 bytes", [&] { cascade::encode_texts(tokenizer, texts, 1, ids, cu); });
    ids.resize(4);
    expect_refused("threads 0", [&] { cascade::encode_texts(tokenizer, texts, 0, ids, cu); });
    cu.resize(4);
    expect_refused("4 entries for 2 texts", [&] { cascade::encode_texts(tokenizer, texts, 1, ids, cu); });
}

TEST(WordPiece, EveryCodePointGivesAtMostOneIdPerByte) {
    // What lets the caller allocate before anything is known of a text.
    const auto tokenizer = SmallVocabulary({"[UNK]"}).core();
    std::string scratch;
    for (char32_t point = 0; point < 0x110000; ++point) {
        if (point < 0xD800 || point > 0xDFFF) {
            std::string text;
            cascade::unicode::append(text, point);
            Ids ids(text.size());
            cascade::normalize(text, {}, scratch);
            const naive::Points left = naive::code_points(scratch).value();
            ASSERT_LE(std::count_if(left.begin(), left.end(), [](char32_t c) { return c != U' '; }),
                      Index(text.size()));
            tokenizer.encode(text, scratch, ids.data());
        }
    }
}

}  // namespace
