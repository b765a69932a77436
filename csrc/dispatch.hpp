// Run-time choice of vector instructions: one binary for every machine of an architecture, no -march=native.
//
// A kernel body is written once, in a `*.inl` file, over a vector as wide as the target's registers, and compiled once
// per target by `for_each_target.inl`. The choice is an ordinary branch on what the processor reports: unlike the
// loader's IFUNC (target_clones) it works under the sanitizers, with any C library, for processors of any maker, and a
// test can ask for each target by name.
#pragma once

#include <array>
#include <cstddef>

#if defined(__x86_64__) && defined(__GNUC__)
#define CASCADE_X86_TARGETS 1
#include <cpuid.h>
#else
#define CASCADE_X86_TARGETS 0
#endif

namespace cascade {

enum class Target { baseline, avx2, avx512 };

inline constexpr std::array<Target, 3> kTargets = {Target::baseline, Target::avx2, Target::avx512};

#if CASCADE_X86_TARGETS
// Conversion of half precision. Asked of the processor itself: not every compiler's __builtin_cpu_supports knows it.
inline bool has_f16c() {
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & (1U << 29U)) != 0;
}
#endif

// Whether this processor, and the operating system that saves its registers, can run `target`.
inline bool supports(Target target) {
#if CASCADE_X86_TARGETS
    switch (target) {
        case Target::avx512:
            return __builtin_cpu_supports("avx512f") != 0;
        case Target::avx2:
            return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 && has_f16c();
        case Target::baseline:
            break;
    }
#endif
    return target == Target::baseline;
}

// The widest target this machine runs. Never changes, so it is found once.
inline Target best_target() {
    static const Target best = supports(Target::avx512) ? Target::avx512
                               : supports(Target::avx2) ? Target::avx2
                                                        : Target::baseline;
    return best;
}

}  // namespace cascade

// The function `name` of the kernels compiled for `target`.
#if CASCADE_X86_TARGETS
#define CASCADE_SELECT(target, name)                      \
    ((target) == ::cascade::Target::avx512 ? avx512::name \
     : (target) == ::cascade::Target::avx2 ? avx2::name   \
                                           : baseline::name)
#else
#define CASCADE_SELECT(target, name) (static_cast<void>(target), baseline::name)
#endif
