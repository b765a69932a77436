// Many texts: shared out among threads, and put end to end.
#include "check.hpp"
#include "wordpiece.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace cascade {
namespace {

// Consecutive texts of one thread; `ids` starts where the bytes of the texts before them end.
struct Share {
    std::size_t begin = 0;
    std::size_t end = 0;
    TokenId* ids = nullptr;
    TokenId* ids_end = nullptr;
    std::exception_ptr failure;
};

// Ends of the texts in cu_seqlens count from the share's first id.
void encode_share(const WordPiece& tokenizer, std::span<const std::string_view> texts, std::span<Index> cu_seqlens,
                  Share& share) noexcept {
    std::size_t i = share.begin;
    try {
        std::string scratch;
        TokenId* out = share.ids;
        for (; i < share.end; ++i) {
            out = tokenizer.encode(texts[i], scratch, out);
            cu_seqlens[i + 1] = out - share.ids;
        }
        share.ids_end = out;
    } catch (const std::invalid_argument& error) {
        share.failure = std::make_exception_ptr(std::invalid_argument(message("texts[", i, "]: ", error.what())));
    } catch (...) {
        share.failure = std::current_exception();
    }
}

// As many shares as threads, of about the same number of bytes.
std::vector<Share> share_out(std::span<const std::string_view> texts, std::size_t threads, std::span<TokenId> ids) {
    std::vector<Share> shares(std::max<std::size_t>(1, std::min(threads, texts.size())));
    std::size_t text = 0;
    std::size_t bytes = 0;
    for (std::size_t s = 0; s < shares.size(); ++s) {
        const std::size_t wanted = ids.size() / shares.size() * (s + 1);
        shares[s].begin = text;
        shares[s].ids = ids.data() + bytes;
        while (text < texts.size() && (bytes < wanted || s + 1 == shares.size())) {
            bytes += texts[text++].size();
        }
        shares[s].end = text;
    }
    return shares;
}

}  // namespace

Index encode_texts(const WordPiece& tokenizer, std::span<const std::string_view> texts, Index threads,
                   std::span<TokenId> ids, std::span<Index> cu_seqlens) {
    require(threads >= 1, "threads ", threads, ": must be at least 1");
    require(cu_seqlens.size() == texts.size() + 1, "cu_seqlens: ", cu_seqlens.size(), " entries for ", texts.size(),
            " texts");
    std::size_t bytes = 0;
    for (const std::string_view text : texts) {
        bytes += text.size();
    }
    require(ids.size() == bytes, "ids: ", ids.size(), " entries for texts of ", bytes, " bytes");
    std::vector<Share> shares = share_out(texts, static_cast<std::size_t>(threads), ids);
    {
        std::vector<std::jthread> started;
        started.reserve(shares.size() - 1);
        for (std::size_t s = 1; s < shares.size(); ++s) {
            started.emplace_back([&, s] { encode_share(tokenizer, texts, cu_seqlens, shares[s]); });
        }
        encode_share(tokenizer, texts, cu_seqlens, shares[0]);
    }
    cu_seqlens[0] = 0;
    TokenId* out = ids.data();
    for (const Share& share : shares) {
        if (share.failure) {
            std::rethrow_exception(share.failure);
        }
        const Index offset = out - ids.data();
        for (std::size_t i = share.begin; i < share.end; ++i) {
            cu_seqlens[i + 1] += offset;
        }
        out = out == share.ids ? share.ids_end : std::move(share.ids, share.ids_end, out);
    }
    return out - ids.data();
}

}  // namespace cascade
