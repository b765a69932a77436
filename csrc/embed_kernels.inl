// Dot products of one query with gathered rows. Compiled once per target; see for_each_target.inl.

using Lanes = float __attribute__((vector_size(CASCADE_VECTOR_BYTES)));

inline constexpr std::size_t kWidth = CASCADE_VECTOR_BYTES / sizeof(float);
// 32 partial sums whatever the register width, always added up in one order: a row's sum depends on the row alone, not
// on its address or its neighbours, and the targets differ only in whether a product is rounded before it is added.
inline constexpr std::size_t kPartials = 32;
inline constexpr std::size_t kVectors = kPartials / kWidth;

CASCADE_TARGET inline float dot(const float* left, const float* right, std::size_t dimension) {
    Lanes sums[kVectors] = {};
    std::size_t at = 0;
    for (; at + kPartials <= dimension; at += kPartials) {
#pragma GCC unroll 8
        for (std::size_t v = 0; v < kVectors; ++v) {
            Lanes a;
            Lanes b;
            __builtin_memcpy(&a, left + at + v * kWidth, sizeof a);
            __builtin_memcpy(&b, right + at + v * kWidth, sizeof b);
            sums[v] += a * b;
        }
    }
    float partial[kPartials];
    __builtin_memcpy(partial, sums, sizeof partial);
    for (std::size_t lane = 0; at < dimension; ++at, ++lane) {
        partial[lane] += left[at] * right[at];
    }
    for (std::size_t half = kPartials / 2; half > 0; half /= 2) {
        for (std::size_t lane = 0; lane < half; ++lane) {
            partial[lane] += partial[lane + half];
        }
    }
    return partial[0];
}

CASCADE_TARGET void dot_rows(const float* query, const float* matrix, const std::int64_t* rows, std::size_t count,
                             std::size_t dimension, float* out) {
    // Rows lie scattered over a matrix larger than the caches: ask for a row's lines while earlier rows are summed.
    constexpr std::size_t kAhead = 4;
    constexpr std::size_t kLine = 64 / sizeof(float);
    for (std::size_t i = 0; i < count; ++i) {
        if (i + kAhead < count) {
            const float* next = matrix + static_cast<std::size_t>(rows[i + kAhead]) * dimension;
            for (std::size_t at = 0; at < dimension; at += kLine) {
                __builtin_prefetch(next + at);
            }
        }
        out[i] = dot(query, matrix + static_cast<std::size_t>(rows[i]) * dimension, dimension);
    }
}
