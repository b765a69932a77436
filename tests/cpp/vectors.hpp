// Between the twins' nested vectors and the flat arrays of the core; and the targets this machine can run.
#pragma once

#include "dispatch.hpp"
#include "naive_vectors.hpp"
#include "random.hpp"

#include <vector>

inline std::vector<float> flat(const naive::Matrix& matrix) {
    std::vector<float> values;
    for (const naive::Vector& row : matrix) {
        values.insert(values.end(), row.begin(), row.end());
    }
    return values;
}

inline naive::Matrix random_matrix(Random& random, std::size_t rows, std::size_t dimension) {
    naive::Matrix matrix;
    for (std::size_t row = 0; row < rows; ++row) {
        matrix.push_back(random.reals(dimension));
    }
    return matrix;
}

inline std::vector<cascade::Target> supported_targets() {
    std::vector<cascade::Target> targets;
    for (const cascade::Target target : cascade::kTargets) {
        if (cascade::supports(target)) {
            targets.push_back(target);
        }
    }
    return targets;
}
