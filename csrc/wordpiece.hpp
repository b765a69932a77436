// WordPiece with BERT's normaliser and splitter: UTF-8 texts -> token ids, byte for byte what the Hugging Face
// tokenizers library gives for the same tokenizer.json without special tokens and truncation.
#pragma once

#include "bert_normalizer.hpp"
#include "trie.hpp"
#include "types.hpp"

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace cascade {

struct WordPieceRule {
    TokenId unknown = 0;            // what a word gets that the vocabulary cannot spell
    std::string_view continuation;  // prefix of entries that continue a word, usually "##"
    Index max_characters = 100;     // a longer word is unknown
    NormalizerRule normalizer;
};

// Immutable once made: any number of threads may use one.
class WordPiece {
  public:
    WordPiece(Trie vocabulary, const WordPieceRule& rule);

    // Writes the ids of one text to `out` and returns where they end: at most text.size(). `scratch` is memory to work
    // in, reused from text to text. Throws std::invalid_argument for a text that is not UTF-8.
    TokenId* encode(std::string_view text, std::string& scratch, TokenId* out) const;

    // The id of a vocabulary entry, -1 where there is none.
    TokenId find(std::string_view token) const { return vocabulary_.find(token); }

  private:
    TokenId* split(std::string_view text, TokenId* out) const;
    const char* word(const char* begin, const char* end, TokenId*& out) const;
    TokenId* pieces(std::string_view word, TokenId* out) const;

    Trie vocabulary_;
    Trie::Place root_;
    Trie::Place continuation_;
    TokenId unknown_;
    Index max_characters_;
    NormalizerRule normalizer_;
    std::array<std::uint16_t, 256>
        folded_;  // byte -> Trie::label of its lower case; what may end a word has kEnds, too
};

// Ids of all texts end to end, ids[cu_seqlens[i], cu_seqlens[i + 1]) those of text i; returns how many there are.
// cu_seqlens: [texts.size() + 1]; ids: as many as the texts have bytes together, which is never too few. With `threads`
// above 1 the texts are shared out among that many threads, of which this call starts all but one; the result is the
// same. Throws std::invalid_argument naming the text that is not UTF-8.
Index encode_texts(const WordPiece& tokenizer, std::span<const std::string_view> texts, Index threads,
                   std::span<TokenId> ids, std::span<Index> cu_seqlens);

}  // namespace cascade
