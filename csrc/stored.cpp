#include "stored.hpp"

#include "check.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#if CASCADE_X86_TARGETS
#include <immintrin.h>
#endif

namespace cascade {

namespace {

// What F16C computes, for processors without it and for the ends of rows.
inline float half_to_float(Half half) {
    const std::uint32_t sign = (half & 0x8000U) << 16U;
    const std::uint32_t exponent = (half >> 10U) & 0x1FU;
    const std::uint32_t fraction = half & 0x3FFU;
    if (exponent == 0) {  // zero and the numbers below 2^-14, multiples of 2^-24
        const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
        return sign != 0 ? -magnitude : magnitude;
    }
    const std::uint32_t widened = exponent == 0x1FU ? 0xFFU : exponent + 112;
    return std::bit_cast<float>(sign | (widened << 23U) | (fraction << 13U));
}

#define CASCADE_KERNELS "stored_kernels.inl"
#include "for_each_target.inl"
#undef CASCADE_KERNELS

// Sizes and rows of a call, checked before anything is read.
void check_call(std::span<const float> query, std::size_t values, std::span<const Index> rows, std::span<float> out) {
    require(out.size() == rows.size(), "out holds ", out.size(), " values, expected ", rows.size());
    const auto row_count = static_cast<Index>(values / query.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        require(rows[i] >= 0 && rows[i] < row_count, "rows[", i, "] is ", rows[i], "; matrix has ", row_count, " rows");
    }
}

void check_products(std::span<const Index> rows, std::span<const float> out) {
    for (std::size_t i = 0; i < out.size(); ++i) {
        require(std::isfinite(out[i]), "rows[", i, "] = ", rows[i], ": the dot product is not finite");
    }
}

// The query in 16 bits and what one unit of it stands for. 32767 is left as it is: -32768 would have no opposite.
struct ShortQuery {
    std::vector<std::int16_t> values;
    double scale = 0.0;
};

ShortQuery round_query(std::span<const float> query) {
    double largest = 0.0;
    for (std::size_t h = 0; h < query.size(); ++h) {
        require(std::isfinite(query[h]), "query[", h, "] is not finite");
        largest = std::max(largest, std::fabs(static_cast<double>(query[h])));
    }
    ShortQuery rounded{std::vector<std::int16_t>(query.size()), largest / 32767.0};
    if (largest > 0.0) {
        for (std::size_t h = 0; h < query.size(); ++h) {
            rounded.values[h] = static_cast<std::int16_t>(std::lrint(static_cast<double>(query[h]) / rounded.scale));
        }
    }
    return rounded;
}

template <typename Id>
void gather(std::span<const Id> ids, std::span<const Index> cu_seqlens, std::span<const Index> rows,
            std::span<TokenId> out) {
    require(!cu_seqlens.empty(), "cu_seqlens is empty; even no text has one offset");
    const auto count = static_cast<Index>(cu_seqlens.size()) - 1;
    std::size_t written = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        require(rows[i] >= 0 && rows[i] < count, "rows[", i, "] is ", rows[i], "; there are ", count, " texts");
        const Index begin = cu_seqlens[static_cast<std::size_t>(rows[i])];
        const Index end = cu_seqlens[static_cast<std::size_t>(rows[i]) + 1];
        require(begin >= 0 && begin <= end && static_cast<std::size_t>(end) <= ids.size(), "rows[", i, "] = ", rows[i],
                ": cu_seqlens gives it ids ", begin, " to ", end, " of ", ids.size());
        const auto tokens = ids.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
        require(tokens.size() <= out.size() - written, "out holds ", out.size(), " tokens, the rows have more");
        std::copy(tokens.begin(), tokens.end(), out.begin() + static_cast<std::ptrdiff_t>(written));
        written += tokens.size();
    }
    require(written == out.size(), "out holds ", out.size(), " tokens, the rows have ", written);
}

}  // namespace

std::size_t check_vectors(const VectorRows& vectors, std::size_t dimension, const char* name) {
    const auto* bytes = std::get_if<Int8Rows>(&vectors);
    const auto* halves = std::get_if<std::span<const Half>>(&vectors);
    const std::size_t size = bytes != nullptr    ? bytes->values.size()
                             : halves != nullptr ? halves->size()
                                                 : std::get<std::span<const float>>(vectors).size();
    require(size % dimension == 0, name, " holds ", size, " values, not a multiple of dimension ", dimension);
    require(bytes == nullptr || bytes->scales.size() == size / dimension, "scales holds ",
            bytes != nullptr ? bytes->scales.size() : 0, " values, expected ", size / dimension);
    return size;
}

void dot_rows_on(Target target, std::span<const float> query, std::span<const Half> matrix, std::span<const Index> rows,
                 std::span<float> out) {
    require(supports(target), "this machine does not support the vector instructions asked for");
    require(!query.empty(), "query is empty; at least one dimension is needed");
    check_call(query, check_vectors(matrix, query.size(), "matrix"), rows, out);
    CASCADE_SELECT(target, dot_rows_fp16)
    (query.data(), matrix.data(), rows.data(), rows.size(), query.size(), out.data());
    check_products(rows, out);
}

void dot_rows_on(Target target, std::span<const float> query, const Int8Rows& matrix, std::span<const Index> rows,
                 std::span<float> out) {
    require(supports(target), "this machine does not support the vector instructions asked for");
    require(!query.empty(), "query is empty; at least one dimension is needed");
    check_call(query, check_vectors(matrix, query.size(), "matrix"), rows, out);
    const ShortQuery rounded = round_query(query);
    CASCADE_SELECT(target, dot_rows_int8)
    (rounded.values.data(), rounded.scale, matrix.values.data(), matrix.scales.data(), rows.data(), rows.size(),
     query.size(), out.data());
    check_products(rows, out);
}

void dot_rows(std::span<const float> query, std::span<const Half> matrix, std::span<const Index> rows,
              std::span<float> out) {
    dot_rows_on(best_target(), query, matrix, rows, out);
}

void dot_rows(std::span<const float> query, const Int8Rows& matrix, std::span<const Index> rows, std::span<float> out) {
    dot_rows_on(best_target(), query, matrix, rows, out);
}

void gather_ids(std::span<const std::uint16_t> ids, std::span<const Index> cu_seqlens, std::span<const Index> rows,
                std::span<TokenId> out) {
    gather(ids, cu_seqlens, rows, out);
}

void gather_ids(std::span<const std::int32_t> ids, std::span<const Index> cu_seqlens, std::span<const Index> rows,
                std::span<TokenId> out) {
    gather(ids, cu_seqlens, rows, out);
}

const float* widen_rows(Target target, const VectorRows& vectors, std::size_t first, std::size_t last,
                        std::size_t dimension, std::span<float> scratch) {
    if (const auto* floats = std::get_if<std::span<const float>>(&vectors)) {
        return floats->data() + first * dimension;
    }
    const std::size_t count = (last - first) * dimension;
    internal_check(scratch.size() >= count, "scratch holds ", scratch.size(), " values of ", count);
    if (const auto* halves = std::get_if<std::span<const Half>>(&vectors)) {
        CASCADE_SELECT(target, widen_fp16)(halves->data() + first * dimension, count, scratch.data());
    } else {
        const auto& bytes = std::get<Int8Rows>(vectors);
        CASCADE_SELECT(target, widen_int8)
        (bytes.values.data() + first * dimension, bytes.scales.data() + first, last - first, dimension, scratch.data());
    }
    return scratch.data();
}

}  // namespace cascade
