// A main() for a libFuzzer target without libFuzzer:
//   fuzz_x COUNT     runs COUNT random inputs, the i-th made from seed i
//   fuzz_x FILE...   replays inputs that a fuzzer found
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::uint8_t> random_input(std::uint64_t seed) {
    std::mt19937_64 engine(seed);
    std::vector<std::uint8_t> input(engine() % 256);
    for (std::uint8_t& byte : input) {
        byte = static_cast<std::uint8_t>(engine());
    }
    return input;
}

std::vector<std::uint8_t> file_input(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw std::runtime_error("cannot read " + path);
    }
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool passes(const std::vector<std::uint8_t>& input, const std::string& name) {
    try {
        LLVMFuzzerTestOneInput(input.data(), input.size());
    } catch (const std::exception& error) {
        std::cerr << "input " << name << ": " << error.what() << '\n';
        return false;
    }
    return true;
}

bool run(const std::vector<std::string>& arguments) {
    const std::string& first = arguments.front();
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(first.data(), first.data() + first.size(), count);
    bool good = true;
    if (error == std::errc{} && end == first.data() + first.size()) {
        for (std::uint64_t seed = 0; seed < count; ++seed) {
            good = passes(random_input(seed), "of seed " + std::to_string(seed)) && good;
        }
        std::cout << count << " random inputs\n";
        return good;
    }
    for (const std::string& path : arguments) {
        good = passes(file_input(path), path) && good;
    }
    return good;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const std::vector<std::string> arguments(argv + 1, argv + argc);
        if (arguments.empty()) {
            std::cerr << "usage: COUNT | FILE...\n";
            return 2;
        }
        return run(arguments) ? 0 : 1;
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 2;
    }
}
