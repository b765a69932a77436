#include "unicode.hpp"

#include "check.hpp"

namespace cascade::unicode {
namespace {

#include "tables.inl"

}  // namespace

const Character& character(char32_t point) {
    const std::size_t block = kPages[point / kBlock];
    return kCharacters[kBlocks[block * kBlock + point % kBlock]];
}

const std::array<char32_t, 3>& sequence(const Character& of) {
    return kSequences[static_cast<std::size_t>(of.stripped)];
}

char32_t decode(std::string_view text, std::size_t& at) {
    const auto byte = [&text](std::size_t place) { return static_cast<unsigned char>(text[place]); };
    const char32_t lead = byte(at);
    if (lead < 0x80) {
        ++at;
        return lead;
    }
    const std::size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    constexpr std::array<char32_t, 4> kSmallest = {0, 0x80, 0x800, 0x10000};
    bool good = lead >= 0xC2 && lead <= 0xF4 && text.size() - at > more;
    char32_t point = lead & (0x3FU >> more);
    for (std::size_t i = 1; good && i <= more; ++i) {
        good = (byte(at + i) & 0xC0) == 0x80;
        point = point << 6 | (byte(at + i) & 0x3FU);
    }
    good = good && point >= kSmallest[more] && point < 0x110000 && (point < 0xD800 || point > 0xDFFF);
    require(good, "text: not UTF-8 at byte ", at);
    at += more + 1;
    return point;
}

}  // namespace cascade::unicode
