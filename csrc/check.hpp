// Two strengths of check: require() for the caller's mistakes (always on), internal_check() for ours.
#pragma once

#include <stdexcept>
#include <string>
#include <type_traits>

namespace cascade {

template <typename... Parts>
std::string message(const Parts&... parts) {
    std::string text;
    const auto append = [&text](const auto& part) {
        if constexpr (std::is_arithmetic_v<std::decay_t<decltype(part)>>) {
            text += std::to_string(part);
        } else {
            text += part;
        }
    };
    (append(parts), ...);
    return text;
}

// The message is built only when the check fails: these stand in loops over candidates.
template <typename... Parts>
inline void require(bool holds, const Parts&... parts) {
    if (!holds) [[unlikely]] {
        throw std::invalid_argument(message(parts...));
    }
}

template <typename... Parts>
inline void internal_check(bool holds, const Parts&... parts) {
    if (!holds) [[unlikely]] {
        throw std::logic_error(message("cascaderank internal error: ", parts...));
    }
}

}  // namespace cascade
