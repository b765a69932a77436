// The slow, obvious twin of the vector kernels: doubles, one loop per sentence of the header.
#pragma once

#include "embed.hpp"
#include "types.hpp"

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace naive {

using Vector = std::vector<float>;
using Matrix = std::vector<Vector>;

inline double dot(const Vector& a, const Vector& b) {
    double sum = 0.0;
    for (std::size_t h = 0; h < a.size(); ++h) {
        sum += static_cast<double>(a[h]) * static_cast<double>(b[h]);
    }
    return sum;
}

inline std::vector<double> unit(const std::vector<double>& vector) {
    double squares = 0.0;
    for (const double value : vector) {
        squares += value * value;
    }
    std::vector<double> out = vector;
    for (double& value : out) {
        value /= squares > 0.0 ? std::sqrt(squares) : 1.0;
    }
    return out;
}

// One row: tokens [length][dimension] and their mask.
inline std::vector<double> pool(const Matrix& tokens, const std::vector<cascade::Index>& mask,
                                cascade::Pooling pooling) {
    Matrix attended;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (mask[i] == 1) {
            attended.push_back(tokens[i]);
        }
    }
    if (pooling == cascade::Pooling::cls) {
        return {attended.front().begin(), attended.front().end()};
    }
    if (pooling == cascade::Pooling::last_token) {
        return {attended.back().begin(), attended.back().end()};
    }
    std::vector<double> mean(tokens.front().size(), 0.0);
    for (const Vector& token : attended) {
        for (std::size_t h = 0; h < mean.size(); ++h) {
            mean[h] += static_cast<double>(token[h]) / static_cast<double>(attended.size());
        }
    }
    return mean;
}

inline double maxsim(const Matrix& query, const Matrix& document) {
    double total = 0.0;
    for (const Vector& asked : query) {
        double best = -std::numeric_limits<double>::infinity();
        for (const Vector& token : document) {
            best = std::max(best, dot(asked, token));
        }
        total += best;
    }
    return total;
}

}  // namespace naive
