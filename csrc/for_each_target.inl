// Includes CASCADE_KERNELS once per target, each time in a namespace of the target's name, with
//   CASCADE_TARGET         the attribute every function of the kernels carries
//   CASCADE_VECTOR_BYTES   the width of the target's registers
// No include guard: each kernel's .cpp includes it once, inside its own namespace. The kernels file must include
// nothing, or a library function would be compiled for a processor that the machine may not have.

namespace baseline {
#define CASCADE_TARGET
#define CASCADE_VECTOR_BYTES 16
#include CASCADE_KERNELS
#undef CASCADE_TARGET
#undef CASCADE_VECTOR_BYTES
}  // namespace baseline

#if CASCADE_X86_TARGETS
namespace avx2 {
#define CASCADE_TARGET __attribute__((target("avx2,fma,f16c")))
#define CASCADE_VECTOR_BYTES 32
#include CASCADE_KERNELS
#undef CASCADE_TARGET
#undef CASCADE_VECTOR_BYTES
}  // namespace avx2

namespace avx512 {
#define CASCADE_TARGET __attribute__((target("avx512f,fma")))
#define CASCADE_VECTOR_BYTES 64
#include CASCADE_KERNELS
#undef CASCADE_TARGET
#undef CASCADE_VECTOR_BYTES
}  // namespace avx512
#endif
