#include "maxsim.hpp"

#include "check.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

namespace cascade {

namespace {

#define CASCADE_KERNELS "maxsim_kernels.inl"
#include "for_each_target.inl"
#undef CASCADE_KERNELS

// The number of tokens.
std::size_t check_documents(const TokenMatrix& documents, std::size_t dimension) {
    const std::size_t tokens = check_vectors(documents.tokens, dimension, "documents") / dimension;
    require(documents.mask.empty() || documents.mask.size() == tokens, "document_mask holds ", documents.mask.size(),
            " values, expected ", tokens, " or none");
    require(!documents.cu_seqlens.empty(), "cu_seqlens is empty; even no document has one offset");
    return tokens;
}

// The unmasked query tokens in blocks of `block` lanes: [blocks, dimension, block], zeros past the last token.
struct PackedQuery {
    std::vector<float> values;
    std::size_t tokens = 0;
};

PackedQuery pack_query(std::span<const float> query, std::span<const Index> mask, std::size_t dimension,
                       std::size_t block) {
    require(query.size() == mask.size() * dimension, "query holds ", query.size(), " values, expected ",
            mask.size() * dimension, " for ", mask.size(), " tokens");
    PackedQuery packed;
    for (std::size_t q = 0; q < mask.size(); ++q) {
        require(mask[q] == 0 || mask[q] == 1, "query_mask[", q, "] is ", mask[q], "; 0 or 1 is allowed");
        packed.tokens += static_cast<std::size_t>(mask[q]);
    }
    require(packed.tokens > 0, "the query has no unmasked token");
    packed.values.assign((packed.tokens + block - 1) / block * block * dimension, 0.0F);
    std::size_t lane = 0;
    for (std::size_t q = 0; q < mask.size(); ++q) {
        if (mask[q] == 0) {
            continue;
        }
        float* base = packed.values.data() + lane / block * block * dimension + lane % block;
        for (std::size_t h = 0; h < dimension; ++h) {
            const float value = query[q * dimension + h];
            require(std::isfinite(value), "query token ", q, " holds a value that is not finite");
            base[h * block] = value;
        }
        ++lane;
    }
    return packed;
}

}  // namespace

void maxsim_on(Target target, std::span<const float> query, std::span<const Index> query_mask,
               const TokenMatrix& documents, std::span<const Index> rows, Index dimension, bool length_normalize,
               std::span<float> out) {
    require(supports(target), "this machine does not support the vector instructions asked for");
    require(dimension > 0, "dimension is ", dimension, "; at least 1 is needed");
    const auto width = static_cast<std::size_t>(dimension);
    const std::size_t token_count = check_documents(documents, width);
    require(out.size() == rows.size(), "out holds ", out.size(), " values, expected ", rows.size());
    const std::size_t block = CASCADE_SELECT(target, query_block)();
    const PackedQuery packed = pack_query(query, query_mask, width, block);
    const auto document_count = static_cast<Index>(documents.cu_seqlens.size()) - 1;
    std::vector<const float*> tokens;
    std::vector<float> best(block);
    std::vector<float> widened;  // one document's tokens, where they are kept in fewer bits
    const bool narrow = !std::holds_alternative<std::span<const float>>(documents.tokens);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const Index row = rows[i];
        require(row >= 0 && row < document_count, "rows[", i, "] is ", row, "; there are ", document_count,
                " documents");
        tokens.clear();
        const Index from = documents.cu_seqlens[static_cast<std::size_t>(row)];
        const Index to = documents.cu_seqlens[static_cast<std::size_t>(row) + 1];
        require(from >= 0 && from <= to && static_cast<std::size_t>(to) <= token_count, "rows[", i, "] = ", row,
                ": cu_seqlens gives it tokens ", from, " to ", to, " of ", token_count);
        const auto begin = static_cast<std::size_t>(from);
        const auto end = static_cast<std::size_t>(to);
        if (narrow) {
            widened.resize((end - begin) * width);
        }
        const float* vectors = widen_rows(target, documents.tokens, begin, end, width, widened);
        for (std::size_t t = begin; t < end; ++t) {
            const Index flag = documents.mask.empty() ? 1 : documents.mask[t];
            require(flag == 0 || flag == 1, "document_mask[", t, "] is ", flag, "; 0 or 1 is allowed");
            if (flag == 1) {
                tokens.push_back(vectors + (t - begin) * width);
            }
        }
        require(!tokens.empty(), "rows[", i, "] = ", row, ": the document has no unmasked token");
        double total = 0.0;
        for (std::size_t first = 0; first < packed.tokens; first += block) {
            const float poison = CASCADE_SELECT(target, maxsim_block)(packed.values.data() + first * width,
                                                                      tokens.data(), tokens.size(), width, best.data());
            require(poison == 0.0F, "rows[", i, "] = ", row, ": a dot product is not finite");
            for (std::size_t lane = 0; lane < block && first + lane < packed.tokens; ++lane) {
                total += static_cast<double>(best[lane]);
            }
        }
        out[i] = static_cast<float>(length_normalize ? total / static_cast<double>(packed.tokens) : total);
    }
}

void maxsim(std::span<const float> query, std::span<const Index> query_mask, const TokenMatrix& documents,
            std::span<const Index> rows, Index dimension, bool length_normalize, std::span<float> out) {
    maxsim_on(best_target(), query, query_mask, documents, rows, dimension, length_normalize, out);
}

}  // namespace cascade
