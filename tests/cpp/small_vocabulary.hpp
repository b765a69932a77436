// A vocabulary for tests of the WordPiece tokenizer, as the core takes it and as the naive twin does.
#pragma once

#include "naive_wordpiece.hpp"
#include "wordpiece.hpp"

#include <string>
#include <string_view>
#include <vector>

struct SmallVocabulary {
    // The id of an entry is its place; [UNK] is 0.
    explicit SmallVocabulary(const std::vector<std::string>& entries) {
        for (const std::string& entry : entries) {
            naive.vocabulary[entry] = static_cast<cascade::TokenId>(ids.size());
            ids.push_back(static_cast<cascade::TokenId>(ids.size()));
            pieces += entry;
            cu_pieces.push_back(static_cast<cascade::Index>(pieces.size()));
        }
    }

    cascade::Trie trie() const { return {pieces, cu_pieces, ids}; }

    // The twin's settings as the core takes them, and the core's tokenizer with them.
    cascade::WordPieceRule rule() const {
        return {naive.unknown, naive.continuation, static_cast<cascade::Index>(naive.max_characters), naive.rule};
    }
    cascade::WordPiece core() const { return {trie(), rule()}; }

    std::string pieces;
    std::vector<cascade::Index> cu_pieces = {0};
    std::vector<cascade::TokenId> ids;
    naive::WordPiece naive;
};

// Words that share beginnings, pieces that continue them, punctuation, and letters of several scripts.
inline const std::vector<std::string>& small_entries() {
    static const std::vector<std::string> entries = {
        "[UNK]", "un",   "unable", "##able", "##a", "##b",  "a",     "ab", "abc", "##abc", "!",   ".",    "[",
        "]",     "##!",  "caf",    "cafe",   "##e", "café", "##é",   "i",  "##̇",  "ж",     "жар", "##ар", "中",
        "##中",  "文",   "ᄒ",     "##ᅡ",    "##ᆫ", "한",   "##글",  "##", "A",   "##B",   "i̇",   "𝅗",    "##𝅥",
        "〮",    "##〮", "##ß",    "σ",      "##ς", "\x01", "x\x01", "…",  "。",  "##n",   "b",   "n",    "e",
    };
    return entries;
}
