#include "pack.hpp"

#include "check.hpp"

#include <algorithm>
#include <numeric>

namespace cascade {
namespace {

// Far beyond any model's window; bounding what is multiplied and added keeps every product inside 64 bits.
constexpr Index kMaxLength = Index{1} << 24;

// Tokens of a row that are not the document's: special tokens and the query.
Index fixed_tokens(const Template& form, Index query_length) {
    Index queries = 0;
    Index documents = 0;
    for (const TokenId part : form.parts) {
        queries += part == kQuery ? 1 : 0;
        documents += part == kDocument ? 1 : 0;
        require(part >= kDocument, "template part ", part, " is neither a token id nor a text");
    }
    require(documents == 1 && queries <= 1, "template has ", queries, " query and ", documents,
            " document parts; it takes one document and at most one query");
    require(form.segments.empty() || form.segments.size() == form.parts.size(), "template has ", form.parts.size(),
            " parts and ", form.segments.size(), " segments; give one per part or none");
    require(query_length >= 0 && query_length <= kMaxLength, "query of ", query_length, " tokens; at most ",
            kMaxLength);
    require(queries == 1 || query_length == 0, "query of ", query_length, " tokens, but the template has no query");
    return static_cast<Index>(form.parts.size()) - queries - documents + query_length;
}

void check_rows(const Ragged& texts, std::span<const Index> rows) {
    const auto count = static_cast<Index>(texts.cu_seqlens.size()) - 1;
    for (const Index row : rows) {
        require(row >= 0 && row < count, "row ", row, " of ", count, " texts");
    }
}

// One row's cursor through the optional tensors: an empty span costs a branch, not a second kernel.
struct RowWriter {
    std::span<TokenId> ids;
    std::span<Index> mask;
    std::span<Index> types;
    std::span<Index> positions;
    std::size_t at = 0;

    void put(std::span<const TokenId> tokens, Index segment) {
        std::copy(tokens.begin(), tokens.end(), ids.begin() + static_cast<std::ptrdiff_t>(at));
        if (!types.empty()) {
            std::fill_n(types.begin() + static_cast<std::ptrdiff_t>(at), tokens.size(), segment);
        }
        at += tokens.size();
    }

    void finish(const Template& form) {
        if (!mask.empty()) {
            std::fill_n(mask.begin(), at, Index{1});
            std::fill(mask.begin() + static_cast<std::ptrdiff_t>(at), mask.end(), Index{0});
        }
        if (!positions.empty()) {
            std::iota(positions.begin(), positions.begin() + static_cast<std::ptrdiff_t>(at), form.position_offset);
            // A pad's position is never read through the mask; repeating the offset keeps it inside the table.
            std::fill(positions.begin() + static_cast<std::ptrdiff_t>(at), positions.end(), form.position_offset);
        }
        std::fill(ids.begin() + static_cast<std::ptrdiff_t>(at), ids.end(), form.pad);
        if (!types.empty()) {
            std::fill(types.begin() + static_cast<std::ptrdiff_t>(at), types.end(), Index{0});
        }
    }
};

std::span<Index> slice(std::span<Index> whole, std::size_t from, std::size_t count) {
    return whole.empty() ? whole : whole.subspan(from, count);
}

}  // namespace

void check_ragged(const Ragged& texts) {
    const auto& cu = texts.cu_seqlens;
    require(!cu.empty() && cu.front() == 0, "cu_seqlens must start at 0");
    require(std::is_sorted(cu.begin(), cu.end()), "cu_seqlens must not decrease");
    require(cu.back() == static_cast<Index>(texts.ids.size()), "cu_seqlens ends at ", cu.back(), ", but there are ",
            texts.ids.size(), " ids");
}

Truncation sequence_lengths(const Ragged& documents, std::span<const Index> rows, Index query_length,
                            const Template& form, std::span<Index> lengths) {
    check_ragged(documents);
    check_rows(documents, rows);
    require(lengths.size() == rows.size(), "lengths has ", lengths.size(), " entries for ", rows.size(), " rows");
    const Index fixed = fixed_tokens(form, query_length);
    const Index room = form.max_length - fixed;
    require(form.max_length <= kMaxLength && room >= 1, "query of ", query_length, " tokens and ", fixed - query_length,
            " special tokens leave no room for a document in max_length ", form.max_length);
    Truncation lost;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto row = static_cast<std::size_t>(rows[i]);
        const Index whole = documents.cu_seqlens[row + 1] - documents.cu_seqlens[row];
        const Index kept = std::min(whole, room);
        lost.texts += kept < whole ? 1 : 0;
        lost.tokens += whole - kept;
        lengths[i] = fixed + kept;
    }
    return lost;
}

PlanSize plan_batches(std::span<const Index> lengths, const PlanRule& rule, std::span<Index> order,
                      std::span<Index> bounds, std::span<Index> widths) {
    const std::size_t count = lengths.size();
    require(order.size() == count && widths.size() == count && bounds.size() == count + 1,
            "order, widths and bounds must have n, n and n + 1 entries for n = ", count);
    require(rule.token_budget >= 1 && rule.max_rows >= 1 && rule.window >= 1 && rule.width_multiple >= 1,
            "token_budget ", rule.token_budget, ", max_rows ", rule.max_rows, ", window ", rule.window,
            " and width_multiple ", rule.width_multiple, " must all be at least 1");
    require(rule.width_multiple <= kMaxLength, "width_multiple ", rule.width_multiple, "; at most ", kMaxLength);
    for (const Index length : lengths) {
        require(length >= 1 && length <= kMaxLength, "a row of ", length, " tokens; expected 1 to ", kMaxLength);
    }
    std::iota(order.begin(), order.end(), Index{0});
    bounds[0] = 0;
    PlanSize size;
    const auto window = static_cast<std::size_t>(rule.window);
    for (std::size_t start = 0; start < count; start += std::min(window, count - start)) {
        const std::size_t stop = start + std::min(window, count - start);
        const auto first = order.begin() + static_cast<std::ptrdiff_t>(start);
        const auto last = order.begin() + static_cast<std::ptrdiff_t>(stop);
        // Longest first: the shortest runs come last, so parallel workers finish close together. Equal lengths keep
        // arrival order, so a rerun is byte-equal.
        std::sort(first, last, [&](Index a, Index b) {
            const Index la = lengths[static_cast<std::size_t>(a)];
            const Index lb = lengths[static_cast<std::size_t>(b)];
            return la != lb ? la > lb : a < b;
        });
        std::size_t at = start;
        while (at < stop) {
            const Index longest = lengths[static_cast<std::size_t>(order[at])];
            const Index width = (longest + rule.width_multiple - 1) / rule.width_multiple * rule.width_multiple;
            Index rows = 1;  // a row over the budget travels alone
            Index sum = longest;
            while (at + static_cast<std::size_t>(rows) < stop && rows < rule.max_rows) {
                const Index next = lengths[static_cast<std::size_t>(order[at + static_cast<std::size_t>(rows)])];
                const Index cost = rule.layout == Layout::padded ? width * (rows + 1) : sum + next;
                if (cost > rule.token_budget) {
                    break;
                }
                sum += next;
                ++rows;
            }
            const auto batch = static_cast<std::size_t>(size.batches);
            widths[batch] = width;
            at += static_cast<std::size_t>(rows);
            bounds[batch + 1] = static_cast<Index>(at);
            size.tokens += rule.layout == Layout::padded ? width * rows : sum;
            ++size.batches;
        }
    }
    return size;
}

void fill_batches(std::span<const TokenId> query, const Ragged& documents, std::span<const Index> rows,
                  std::span<const Index> lengths, const Template& form, std::span<const Index> order,
                  std::span<const Index> bounds, std::span<const Index> widths, std::span<TokenId> input_ids,
                  std::span<Index> attention_mask, std::span<Index> token_type_ids, std::span<Index> position_ids,
                  Layout layout) {
    check_ragged(documents);
    check_rows(documents, rows);
    const Index fixed = fixed_tokens(form, static_cast<Index>(query.size()));
    require(lengths.size() == rows.size() && order.size() == rows.size(), "lengths, rows and order must match");
    require(!bounds.empty() && bounds.front() == 0 && bounds.back() == static_cast<Index>(rows.size()) &&
                widths.size() + 1 == bounds.size() && std::is_sorted(bounds.begin(), bounds.end()),
            "bounds and widths are not a plan of ", rows.size(), " rows");
    require(token_type_ids.empty() || !form.segments.empty(), "token_type_ids asked for, but the template has none");
    const auto fits = [&](std::span<const Index> tensor) {
        return tensor.empty() || tensor.size() == input_ids.size();
    };
    require(fits(attention_mask) && fits(token_type_ids) && fits(position_ids), "tensor buffers differ in size");

    std::size_t offset = 0;
    for (std::size_t batch = 0; batch < widths.size(); ++batch) {
        require(bounds[batch] < bounds[batch + 1], "micro-batch ", batch, " is empty");
        for (Index at = bounds[batch]; at < bounds[batch + 1]; ++at) {
            const Index position = order[static_cast<std::size_t>(at)];
            require(position >= 0 && position < static_cast<Index>(rows.size()), "position ", position, " in order");
            const auto slot = static_cast<std::size_t>(position);
            const auto row = static_cast<std::size_t>(rows[slot]);
            const auto begin = static_cast<std::size_t>(documents.cu_seqlens[row]);
            const Index whole = documents.cu_seqlens[row + 1] - documents.cu_seqlens[row];
            const Index kept = lengths[slot] - fixed;
            require(kept >= 0 && kept <= whole && lengths[slot] <= widths[batch], "row length ", lengths[slot],
                    " does not fit text ", row, " or width ", widths[batch]);
            const auto width = static_cast<std::size_t>(layout == Layout::padded ? widths[batch] : lengths[slot]);
            require(offset + width <= input_ids.size(), "tensor buffers are smaller than the plan");
            RowWriter writer{input_ids.subspan(offset, width), slice(attention_mask, offset, width),
                             slice(token_type_ids, offset, width), slice(position_ids, offset, width)};
            for (std::size_t part = 0; part < form.parts.size(); ++part) {
                const Index segment = form.segments.empty() ? 0 : form.segments[part];
                if (form.parts[part] == kQuery) {
                    writer.put(query, segment);
                } else if (form.parts[part] == kDocument) {
                    writer.put(documents.ids.subspan(begin, static_cast<std::size_t>(kept)), segment);
                } else {
                    writer.put(form.parts.subspan(part, 1), segment);
                }
            }
            writer.finish(form);
            offset += width;
        }
    }
    require(offset == input_ids.size(), "tensor buffers hold ", input_ids.size(), " tokens, the plan has ", offset);
}

}  // namespace cascade
