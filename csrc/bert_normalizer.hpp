// The BERT normaliser of the Hugging Face tokenizers library (BertNormalizer of a tokenizer.json), character for
// character: what the WordPiece tokenizer does to a text before it splits it into words.
#pragma once

#include <string>
#include <string_view>

namespace cascade {

// The four steps, in the order in which they are taken.
struct NormalizerRule {
    bool clean_text = true;            // drop control characters and U+FFFD, every white space becomes a space
    bool handle_chinese_chars = true;  // spaces around CJK ideographs
    bool strip_accents = true;         // canonical decomposition without the nonspacing marks
    bool lowercase = true;             // per character: no final sigma, no locale
};

// Whether normalising can change more than the case of ASCII letters. It can in a text with a character that is not
// ASCII, or with a control character that clean_text drops. (A tab or a line end is white space to the splitter, too.)
bool needs_normalizing(std::string_view text);

// Writes the normalised form of an UTF-8 text over `out`, except that ASCII letters keep their case: the splitter folds
// it. Throws std::invalid_argument for a text that is not UTF-8.
void normalize(std::string_view text, const NormalizerRule& rule, std::string& out);

}  // namespace cascade
