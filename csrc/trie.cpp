#include "trie.hpp"

#include "check.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace cascade {
namespace {

struct Entry {
    std::uint64_t head;  // the first eight bytes, big-endian: decides most comparisons without touching the text
    std::string_view text;
    TokenId id;
};

std::uint64_t head_of(std::string_view text) {
    std::uint64_t head = 0;
    for (std::size_t i = 0; i < 8; ++i) {
        head = head << 8 | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0U);
    }
    return head;
}

std::vector<Entry> sorted_entries(std::string_view pieces, std::span<const Index> cu_pieces,
                                  std::span<const TokenId> ids) {
    require(cu_pieces.size() == ids.size() + 1, "cu_pieces: ", cu_pieces.size(), " entries for ", ids.size(), " ids");
    require(cu_pieces[0] == 0, "cu_pieces: must start at 0, starts at ", cu_pieces[0]);
    const auto size = static_cast<Index>(pieces.size());
    require(cu_pieces.back() == size, "cu_pieces: ends at ", cu_pieces.back(), ", pieces has ", size, " bytes");
    std::vector<Entry> entries;
    entries.reserve(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const Index begin = cu_pieces[i];
        const Index end = cu_pieces[i + 1];
        require(begin < end && end <= size, "cu_pieces: entry ", i, " is [", begin, ", ", end, "); must not be empty");
        require(ids[i] >= 0 && ids[i] <= Trie::kMaxId, "ids: entry ", i, " is ", ids[i], ", allowed are 0 to ",
                Trie::kMaxId);
        const auto text = pieces.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
        entries.push_back({head_of(text), text, ids[i]});
    }
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.head != b.head ? a.head < b.head : a.text < b.text; });
    const auto same = [](const Entry& a, const Entry& b) { return a.text == b.text; };
    const auto twice = std::adjacent_find(entries.begin(), entries.end(), same);
    require(twice == entries.end(), "pieces: '", twice == entries.end() ? "" : std::string(twice->text),
            "' is there twice");
    return entries;
}

}  // namespace

class Trie::Builder {
  public:
    Builder(Trie& trie, std::vector<Entry> entries) : trie_(trie), entries_(std::move(entries)) {}

    void build() {
        // Ranges of sorted entries that share their first `depth` bytes, and the element that stands for those bytes.
        struct Node {
            std::size_t begin, end, depth, element;
        };
        std::vector<Node> left = {{0, entries_.size(), 0, kNoElement}};
        std::vector<Node> children;
        while (!left.empty()) {
            const Node node = left.back();
            left.pop_back();
            children.clear();
            std::size_t at = node.begin;
            if (at < node.end && entries_[at].text.size() == node.depth) {
                ++at;  // ends here; its id is in the element already
            }
            while (at < node.end) {
                const std::size_t begin = at;
                while (at < node.end && byte(entries_[at], node.depth) == byte(entries_[begin], node.depth)) {
                    ++at;
                }
                children.push_back({begin, at, node.depth + 1, byte(entries_[begin], node.depth)});
            }
            if (children.empty()) {
                continue;  // its children stay kNone until the end
            }
            const std::size_t base = find_base(children);
            (node.element == kNoElement ? trie_.root_ : elements_[node.element].children) = static_cast<Place>(base);
            for (Node& child : children) {
                const auto label = Trie::label(static_cast<unsigned char>(child.element));
                const Entry& first = entries_[child.begin];
                const TokenId id = first.text.size() == child.depth ? first.id : -1;
                child.element += base;
                elements_[child.element] = {kNone, static_cast<std::uint32_t>(id + 1) << 9 | label};
                left.push_back(child);
            }
        }
        finish();
    }

  private:
    static constexpr std::size_t kNoElement = ~std::size_t{0};
    static constexpr Place kNone = ~Place{0};
    static constexpr int kTries = 32;

    static std::size_t byte(const Entry& entry, std::size_t place) {
        return static_cast<unsigned char>(entry.text[place]);
    }

    // The first base at which all children fall on free elements and that no other node has. After kTries free elements
    // that did not do, the search starts behind them from then on: a few stay unused, but building takes linear time.
    template <typename Nodes>
    std::size_t find_base(const Nodes& children) {
        const std::size_t lowest = children.front().element;
        int tries = 0;
        for (std::size_t slot = next_free(std::max(first_, lowest));; slot = next_free(slot + 1)) {
            if (++tries == kTries) {
                first_ = slot;
            }
            const std::size_t base = slot - lowest;
            grow(base + 256);
            const auto is_free = [&](const auto& child) { return elements_[base + child.element].value == 0; };
            if (!taken_[base] && std::all_of(children.begin(), children.end(), is_free)) {
                taken_[base] = true;
                return base;
            }
        }
    }

    // The first free element from `slot` on. Used elements remember where the next free one was last seen.
    std::size_t next_free(std::size_t slot) {
        grow(slot + 1);
        std::size_t found = slot;
        while (elements_[found].value != 0) {
            found = std::max<std::size_t>(found + 1, skip_[found]);
            grow(found + 1);
        }
        while (slot < found) {
            const std::size_t next = std::max<std::size_t>(slot + 1, skip_[slot]);
            skip_[slot] = static_cast<Place>(found);
            slot = next;
        }
        return found;
    }

    void grow(std::size_t size) {
        if (elements_.size() < size) {
            elements_.resize(size * 2);
            taken_.resize(size * 2);
            skip_.resize(size * 2);
        }
    }

    void finish() {
        std::size_t used = elements_.size();
        while (used > 0 && elements_[used - 1].value == 0) {
            --used;
        }
        // Any base may be asked for any byte; behind them all lie 256 elements for what has no children.
        elements_.resize(used + 512);
        require(elements_.size() < kNone, "pieces: too many for one trie");
        trie_.nowhere_ = static_cast<Place>(used + 256);
        for (Element& element : elements_) {
            if (element.value == 0 || element.children == kNone) {
                element.children = trie_.nowhere_;
            }
        }
        if (entries_.empty()) {
            trie_.root_ = trie_.nowhere_;
        }
        elements_.shrink_to_fit();
        trie_.elements_ = std::move(elements_);
    }

    Trie& trie_;
    std::vector<Entry> entries_;
    std::vector<Element> elements_;
    std::vector<bool> taken_;  // whether a node's children lie at this base
    std::vector<Place> skip_;  // of a used element: no free one before this, as far as seen
    std::size_t first_ = 0;    // nothing before it is tried again
};

Trie::Trie(std::string_view pieces, std::span<const Index> cu_pieces, std::span<const TokenId> ids) {
    Builder(*this, sorted_entries(pieces, cu_pieces, ids)).build();
}

Trie::Step Trie::walk(std::string_view text) const {
    Step at{true, root_, -1};
    for (const char letter : text) {
        at = step(at.place, label(static_cast<unsigned char>(letter)));
        if (!at.known) {
            return {false, nowhere_, -1};
        }
    }
    return at;
}

}  // namespace cascade
