// Seeded inputs. A test makes one Random per round from the round's number, which SCOPED_TRACE prints on failure.
#pragma once

#include "types.hpp"

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

class Random {
  public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}

    cascade::Index between(cascade::Index low, cascade::Index high) {
        // Not std::uniform_int_distribution: its sequence differs between standard libraries.
        const auto span = static_cast<std::uint64_t>(high - low) + 1;
        return low + static_cast<cascade::Index>(engine_() % span);
    }

    std::size_t size(cascade::Index low, cascade::Index high) { return static_cast<std::size_t>(between(low, high)); }

    bool flip() { return between(0, 1) == 1; }

    // Uniform in [-1, 1].
    float real() { return static_cast<float>(between(-1'000'000, 1'000'000)) / 1'000'000.0F; }

    std::vector<float> reals(std::size_t count) {
        std::vector<float> values(count);
        for (float& value : values) {
            value = real();
        }
        return values;
    }

    std::vector<cascade::Index> integers(std::size_t count, cascade::Index low, cascade::Index high) {
        std::vector<cascade::Index> values(count);
        for (cascade::Index& value : values) {
            value = between(low, high);
        }
        return values;
    }

    // Few distinct values, both zeros among them: ties are the rule.
    std::vector<float> tied_scores(std::size_t count) {
        constexpr float kChoices[] = {-2.5F, -1.0F, -0.0F, 0.0F, 1e-30F, 0.5F, 17.0F, 25.0F};
        std::vector<float> values(count);
        for (float& value : values) {
            value = kChoices[size(0, 7)];
        }
        return values;
    }

  private:
    std::mt19937_64 engine_;
};
