// MaxSim of packed query tokens with one document. Compiled once per target; see for_each_target.inl.

using Lanes = float __attribute__((vector_size(CASCADE_VECTOR_BYTES)));

inline constexpr std::size_t kWidth = CASCADE_VECTOR_BYTES / sizeof(float);
// 2 x 6 sums, two query vectors and one broadcast fill 15 of the 16 registers that SSE and AVX2 have.
inline constexpr std::size_t kQueryVectors = 2;
inline constexpr std::size_t kTokenBlock = 6;
inline constexpr std::size_t kQueryBlock = kQueryVectors * kWidth;

inline std::size_t query_block() {
    return kQueryBlock;
}

// One lane holds one query token, so a document token's value is broadcast and nothing is summed across lanes: each dot
// product is a plain chain over the dimension, the same whatever stands beside it.
//   query   [dimension, kQueryBlock], one block of query tokens, zeros in the lanes past the last
//   tokens  pointers to the document's unmasked token vectors, at least one
//   best    [kQueryBlock], out: the largest dot product per query token
// Returns 0, or NaN when some dot product is not finite: a maximum alone would swallow NaN and -infinity.
CASCADE_TARGET float maxsim_block(const float* query, const float* const* tokens, std::size_t token_count,
                                  std::size_t dimension, float* best) {
    Lanes largest[kQueryVectors];
    Lanes poison[kQueryVectors] = {};
    for (std::size_t v = 0; v < kQueryVectors; ++v) {
        largest[v] = Lanes{} - __builtin_inff();
    }
    for (std::size_t first = 0; first < token_count; first += kTokenBlock) {
        // Past the end the last token is taken again, which no maximum notices.
        const float* block[kTokenBlock];
        for (std::size_t t = 0; t < kTokenBlock; ++t) {
            block[t] = tokens[first + t < token_count ? first + t : token_count - 1];
        }
        Lanes sums[kTokenBlock][kQueryVectors] = {};
        for (std::size_t h = 0; h < dimension; ++h) {
            Lanes lanes[kQueryVectors];
#pragma GCC unroll 2
            for (std::size_t v = 0; v < kQueryVectors; ++v) {
                __builtin_memcpy(&lanes[v], query + h * kQueryBlock + v * kWidth, sizeof(Lanes));
            }
#pragma GCC unroll 6
            for (std::size_t t = 0; t < kTokenBlock; ++t) {
                const float value = block[t][h];
#pragma GCC unroll 2
                for (std::size_t v = 0; v < kQueryVectors; ++v) {
                    sums[t][v] += lanes[v] * value;
                }
            }
        }
#pragma GCC unroll 6
        for (std::size_t t = 0; t < kTokenBlock; ++t) {
#pragma GCC unroll 2
            for (std::size_t v = 0; v < kQueryVectors; ++v) {
                largest[v] = sums[t][v] > largest[v] ? sums[t][v] : largest[v];
                poison[v] += sums[t][v] * 0.0F;
            }
        }
    }
    __builtin_memcpy(best, largest, sizeof largest);
    float lanes[kQueryBlock];
    __builtin_memcpy(lanes, poison, sizeof lanes);
    float total = 0.0F;
    for (const float lane : lanes) {
        total += lane;
    }
    return total;
}
