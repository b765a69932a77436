// Dot products with rows of 16-bit floats and 8-bit integers, and their values in fp32. Compiled once per target; see
// for_each_target.inl.

using Lanes = float __attribute__((vector_size(CASCADE_VECTOR_BYTES)));

inline constexpr std::size_t kWidth = CASCADE_VECTOR_BYTES / sizeof(float);
// As in embed_kernels.inl: 32 partial sums whatever the register width, added up in one order.
inline constexpr std::size_t kPartials = 32;
inline constexpr std::size_t kVectors = kPartials / kWidth;
// A lane adds two products of at most 128 * 32767 a step of 16 values: 256 steps stay below 2^31.
inline constexpr std::size_t kExactValues = 256 * 16;

CASCADE_TARGET inline void widen_lanes(const std::uint16_t* halves, Lanes& out) {
#if CASCADE_VECTOR_BYTES == 64
    // The masked form: GCC 12 warns of the other one, whose definition starts from an undefined register.
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(halves));
    out = reinterpret_cast<Lanes>(_mm512_maskz_cvtph_ps(0xFFFF, bits));
#elif CASCADE_VECTOR_BYTES == 32
    out = reinterpret_cast<Lanes>(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(halves))));
#else
    for (std::size_t lane = 0; lane < kWidth; ++lane) {
        out[lane] = half_to_float(halves[lane]);
    }
#endif
}

CASCADE_TARGET inline float dot_halves(const float* query, const std::uint16_t* row, std::size_t dimension) {
    Lanes sums[kVectors] = {};
    std::size_t at = 0;
    for (; at + kPartials <= dimension; at += kPartials) {
#pragma GCC unroll 8
        for (std::size_t v = 0; v < kVectors; ++v) {
            Lanes a;
            Lanes b;
            __builtin_memcpy(&a, query + at + v * kWidth, sizeof a);
            widen_lanes(row + at + v * kWidth, b);
            sums[v] += a * b;
        }
    }
    float partial[kPartials];
    __builtin_memcpy(partial, sums, sizeof partial);
    for (std::size_t lane = 0; at < dimension; ++at, ++lane) {
        partial[lane] += query[at] * half_to_float(row[at]);
    }
    for (std::size_t half = kPartials / 2; half > 0; half /= 2) {
        for (std::size_t lane = 0; lane < half; ++lane) {
            partial[lane] += partial[lane + half];
        }
    }
    return partial[0];
}

// Exact: no sum leaves its type, whatever the bytes.
CASCADE_TARGET inline std::int64_t dot_bytes(const std::int16_t* query, const std::int8_t* row, std::size_t dimension) {
    std::int64_t total = 0;
    for (std::size_t first = 0; first < dimension; first += kExactValues) {
        const std::size_t end = first + kExactValues < dimension ? first + kExactValues : dimension;
        std::size_t at = first;
#if CASCADE_VECTOR_BYTES >= 32
        __m256i even = _mm256_setzero_si256();
        __m256i odd = _mm256_setzero_si256();
        for (; at + 32 <= end; at += 32) {
            const auto* bytes = reinterpret_cast<const __m128i*>(row + at);
            const auto* shorts = reinterpret_cast<const __m256i*>(query + at);
            even = _mm256_add_epi32(
                even, _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128(bytes)), _mm256_loadu_si256(shorts)));
            odd = _mm256_add_epi32(odd, _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128(bytes + 1)),
                                                          _mm256_loadu_si256(shorts + 1)));
        }
        std::int32_t lanes[16];
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), even);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes + 8), odd);
        for (const std::int32_t lane : lanes) {
            total += lane;
        }
#endif
        for (; at < end; at += 256) {
            const std::size_t stop = at + 256 < end ? at + 256 : end;
            std::int32_t sum = 0;  // of at most 256 products
            for (std::size_t i = at; i < stop; ++i) {
                sum += static_cast<std::int32_t>(query[i]) * static_cast<std::int32_t>(row[i]);
            }
            total += sum;
        }
    }
    return total;
}

// Rows lie scattered over a file larger than the caches: ask for a row's lines while earlier rows are summed.
inline constexpr std::size_t kAhead = 4;

template <typename Value>
CASCADE_TARGET inline void prefetch_row(const Value* row, std::size_t dimension) {
    for (std::size_t at = 0; at < dimension; at += 64 / sizeof(Value)) {
        __builtin_prefetch(row + at);
    }
}

CASCADE_TARGET void dot_rows_fp16(const float* query, const std::uint16_t* matrix, const std::int64_t* rows,
                                  std::size_t count, std::size_t dimension, float* out) {
    for (std::size_t i = 0; i < count; ++i) {
        if (i + kAhead < count) {
            prefetch_row(matrix + static_cast<std::size_t>(rows[i + kAhead]) * dimension, dimension);
        }
        out[i] = dot_halves(query, matrix + static_cast<std::size_t>(rows[i]) * dimension, dimension);
    }
}

CASCADE_TARGET void dot_rows_int8(const std::int16_t* query, double query_scale, const std::int8_t* matrix,
                                  const float* scales, const std::int64_t* rows, std::size_t count,
                                  std::size_t dimension, float* out) {
    for (std::size_t i = 0; i < count; ++i) {
        if (i + kAhead < count) {
            prefetch_row(matrix + static_cast<std::size_t>(rows[i + kAhead]) * dimension, dimension);
        }
        const auto row = static_cast<std::size_t>(rows[i]);
        const auto sum = static_cast<double>(dot_bytes(query, matrix + row * dimension, dimension));
        out[i] = static_cast<float>(sum * query_scale * static_cast<double>(scales[row]));
    }
}

CASCADE_TARGET void widen_fp16(const std::uint16_t* values, std::size_t count, float* out) {
    std::size_t at = 0;
    for (; at + kWidth <= count; at += kWidth) {
        Lanes lanes;
        widen_lanes(values + at, lanes);
        __builtin_memcpy(out + at, &lanes, sizeof lanes);
    }
    for (; at < count; ++at) {
        out[at] = half_to_float(values[at]);
    }
}

CASCADE_TARGET void widen_int8(const std::int8_t* values, const float* scales, std::size_t rows, std::size_t dimension,
                               float* out) {
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t h = 0; h < dimension; ++h) {
            out[row * dimension + h] = scales[row] * static_cast<float>(values[row * dimension + h]);
        }
    }
}
