#include "embed.hpp"

#include "check.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace cascade {

namespace {

#define CASCADE_KERNELS "embed_kernels.inl"
#include "for_each_target.inl"
#undef CASCADE_KERNELS

// The product of sizes that describe memory which exists, or an error: a product that overflows describes none.
std::size_t checked_size(const HiddenShape& shape) {
    require(shape.rows >= 0 && shape.length >= 0, "hidden has ", shape.rows, " rows of length ", shape.length,
            "; neither can be negative");
    require(shape.dimension > 0, "hidden has dimension ", shape.dimension, "; at least 1 is needed");
    Index product = 0;
    const bool overflows = __builtin_mul_overflow(shape.rows, shape.length, &product) ||
                           __builtin_mul_overflow(product, shape.dimension, &product);
    require(!overflows, "hidden [", shape.rows, ", ", shape.length, ", ", shape.dimension, "] is too large");
    return static_cast<std::size_t>(product);
}

void check_hidden(std::span<const float> hidden, std::span<const Index> mask, const HiddenShape& shape,
                  const char* mask_name) {
    const std::size_t size = checked_size(shape);
    require(hidden.size() == size, "hidden holds ", hidden.size(), " values, expected ", size);
    const auto positions = size / static_cast<std::size_t>(shape.dimension);
    require(mask.size() == positions, mask_name, " holds ", mask.size(), " values, expected ", positions);
    for (std::size_t i = 0; i < mask.size(); ++i) {
        require(mask[i] == 0 || mask[i] == 1, mask_name, " row ", static_cast<Index>(i) / shape.length, ", position ",
                static_cast<Index>(i) % shape.length, " is ", mask[i], "; 0 or 1 is allowed");
    }
}

// Summed in double: exact products, no overflow, so the sum is finite exactly when every value is. Independent partial
// sums in a fixed order, so that the loop vectorises without -ffast-math.
template <typename Value>
double squared_norm(std::span<const Value> values) {
    constexpr std::size_t kLanes = 8;
    std::array<double, kLanes> sums{};
    std::size_t at = 0;
    for (; at + kLanes <= values.size(); at += kLanes) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const auto value = static_cast<double>(values[at + lane]);
            sums[lane] += value * value;
        }
    }
    for (; at < values.size(); ++at) {
        sums[0] += static_cast<double>(values[at]) * static_cast<double>(values[at]);
    }
    return std::accumulate(sums.begin(), sums.end(), 0.0);
}

template <typename Value>
void scale_into(std::span<const Value> values, double factor, std::span<float> out) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        out[i] = static_cast<float>(static_cast<double>(values[i]) * factor);
    }
}

// Copies one vector, normalised if asked; the caller says in its error where the vector stood.
template <typename Value>
bool write_vector(std::span<const Value> values, bool normalize, std::span<float> out) {
    const double squares = squared_norm(values);
    if (!std::isfinite(squares)) {
        return false;
    }
    scale_into(values, normalize && squares > 0.0 ? 1.0 / std::sqrt(squares) : 1.0, out);
    return true;
}

}  // namespace

void pool_embeddings(std::span<const float> hidden, std::span<const Index> mask, const HiddenShape& shape,
                     Pooling pooling, bool normalize, std::span<float> out) {
    check_hidden(hidden, mask, shape, "mask");
    const auto length = static_cast<std::size_t>(shape.length);
    const auto dimension = static_cast<std::size_t>(shape.dimension);
    const auto row_count = static_cast<std::size_t>(shape.rows);
    require(out.size() == row_count * dimension, "out holds ", out.size(), " values, expected ", row_count * dimension);
    std::vector<double> pooled(dimension);
    for (std::size_t row = 0; row < row_count; ++row) {
        const auto attended = mask.subspan(row * length, length);
        Index count = 0;
        std::size_t first = length;
        std::size_t last = 0;
        for (std::size_t i = 0; i < length; ++i) {
            if (attended[i] != 0) {
                first = count == 0 ? i : first;
                last = i;
                ++count;
            }
        }
        require(count > 0, "row ", row, " has no attended token");
        if (pooling != Pooling::mean) {
            first = last = pooling == Pooling::cls ? first : last;
            count = 1;
        }
        pooled.assign(dimension, 0.0);
        for (std::size_t i = first; i <= last; ++i) {
            if (attended[i] != 0) {
                const auto token = hidden.subspan((row * length + i) * dimension, dimension);
                for (std::size_t h = 0; h < dimension; ++h) {
                    pooled[h] += static_cast<double>(token[h]);
                }
            }
        }
        for (double& value : pooled) {
            value /= static_cast<double>(count);
        }
        require(write_vector(std::span<const double>(pooled), normalize, out.subspan(row * dimension, dimension)),
                "row ", row, " of hidden holds a value that is not finite");
    }
}

void normalize_rows(std::span<float> matrix, Index dimension) {
    require(dimension > 0, "dimension is ", dimension, "; at least 1 is needed");
    const auto width = static_cast<std::size_t>(dimension);
    require(matrix.size() % width == 0, "matrix holds ", matrix.size(), " values, not a multiple of dimension ",
            dimension);
    // All norms first: nothing is changed unless everything can be.
    std::vector<double> norms(matrix.size() / width);
    for (std::size_t row = 0; row < norms.size(); ++row) {
        norms[row] = std::sqrt(squared_norm(std::span<const float>(matrix.subspan(row * width, width))));
        require(std::isfinite(norms[row]), "row ", row, " of matrix holds a value that is not finite");
    }
    for (std::size_t row = 0; row < norms.size(); ++row) {
        const auto values = matrix.subspan(row * width, width);
        if (norms[row] > 0.0) {
            scale_into(std::span<const float>(values), 1.0 / norms[row], values);
        }
    }
}

void dot_rows_on(Target target, std::span<const float> query, std::span<const float> matrix,
                 std::span<const Index> rows, std::span<float> out) {
    require(supports(target), "this machine does not support the vector instructions asked for");
    require(!query.empty(), "query is empty; at least one dimension is needed");
    require(matrix.size() % query.size() == 0, "matrix holds ", matrix.size(), " values, not a multiple of dimension ",
            query.size());
    require(out.size() == rows.size(), "out holds ", out.size(), " values, expected ", rows.size());
    const auto row_count = static_cast<Index>(matrix.size() / query.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        require(rows[i] >= 0 && rows[i] < row_count, "rows[", i, "] is ", rows[i], "; matrix has ", row_count, " rows");
    }
    CASCADE_SELECT(target, dot_rows)
    (query.data(), matrix.data(), rows.data(), rows.size(), query.size(), out.data());
    for (std::size_t i = 0; i < out.size(); ++i) {
        require(std::isfinite(out[i]), "rows[", i, "] = ", rows[i], ": the dot product is not finite");
    }
}

void dot_rows(std::span<const float> query, std::span<const float> matrix, std::span<const Index> rows,
              std::span<float> out) {
    dot_rows_on(best_target(), query, matrix, rows, out);
}

void gather_tokens(std::span<const float> hidden, std::span<const Index> keep, const HiddenShape& shape, bool normalize,
                   std::span<float> out, std::span<Index> cu_out) {
    check_hidden(hidden, keep, shape, "keep");
    const auto length = static_cast<std::size_t>(shape.length);
    const auto dimension = static_cast<std::size_t>(shape.dimension);
    const auto row_count = static_cast<std::size_t>(shape.rows);
    std::size_t kept = 0;
    for (const Index flag : keep) {
        kept += static_cast<std::size_t>(flag);
    }
    require(out.size() == kept * dimension, "out holds ", out.size(), " values, expected ", kept * dimension, " for ",
            kept, " kept tokens");
    require(cu_out.size() == row_count + 1, "cu_out holds ", cu_out.size(), " values, expected ", row_count + 1);
    std::size_t written = 0;
    cu_out[0] = 0;
    for (std::size_t row = 0; row < row_count; ++row) {
        for (std::size_t i = 0; i < length; ++i) {
            if (keep[row * length + i] == 0) {
                continue;
            }
            const auto token = hidden.subspan((row * length + i) * dimension, dimension);
            require(write_vector(token, normalize, out.subspan(written * dimension, dimension)), "row ", row,
                    ", position ", i, " of hidden holds a value that is not finite");
            ++written;
        }
        cu_out[row + 1] = static_cast<Index>(written);
    }
}

}  // namespace cascade
