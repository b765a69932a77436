#include "expect.hpp"
#include "ids.hpp"
#include "random.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace {

using cascade::Index;
using Indices = std::vector<Index>;

// Strings end to end, owned.
struct Owned {
    std::vector<std::uint8_t> bytes;
    Indices cu_bytes = {0};

    explicit Owned(const std::vector<std::string>& strings) {
        for (const std::string& string : strings) {
            bytes.insert(bytes.end(), string.begin(), string.end());
            cu_bytes.push_back(static_cast<Index>(bytes.size()));
        }
    }

    cascade::Strings view() const { return {bytes, cu_bytes}; }
};

Indices table_of(const Owned& ids) {
    Indices table(static_cast<std::size_t>(cascade::id_table_size(static_cast<Index>(ids.cu_bytes.size()) - 1)));
    cascade::index_ids(ids.view(), table);
    return table;
}

Indices found(const Owned& ids, const Indices& table, const std::vector<std::string>& wanted) {
    Indices out(wanted.size(), -99);
    const Owned asked(wanted);
    cascade::find_ids(ids.view(), table, asked.view(), out);
    return out;
}

TEST(Ids, TablesAreAtMostHalfFull) {
    EXPECT_EQ(cascade::id_table_size(0), 1);
    EXPECT_EQ(cascade::id_table_size(1), 4);
    EXPECT_EQ(cascade::id_table_size(3), 8);
    EXPECT_EQ(cascade::id_table_size(4), 16);
    expect_refused("count is -1", [] { cascade::id_table_size(-1); });
    expect_refused("ids are allowed", [] { cascade::id_table_size(Index{1} << 40); });
}

TEST(Ids, EqualsAMap) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        // Short strings over two letters and NUL: many share a prefix, a length, or are one another's beginning.
        std::map<std::string, Index> expected;
        std::vector<std::string> ids;
        const auto any = [&random] {
            std::string string(random.size(0, random.flip() ? 3 : 20), 'a');
            for (char& letter : string) {
                letter = "ab\0"[random.size(0, 2)];
            }
            return string;
        };
        for (std::size_t i = random.size(0, 60); i > 0; --i) {
            const std::string id = any();
            if (expected.emplace(id, static_cast<Index>(ids.size())).second) {
                ids.push_back(id);
            }
        }
        std::vector<std::string> wanted = ids;
        for (int i = 0; i < 30; ++i) {
            wanted.push_back(any());
        }
        const Owned owned(ids);
        const Indices out = found(owned, table_of(owned), wanted);
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            const auto place = expected.find(wanted[i]);
            EXPECT_EQ(out[i], place == expected.end() ? -1 : place->second);
        }
    }
}

TEST(Ids, NamesBothRowsOfARepeatedId) {
    const Owned ids({"a", "", "b", ""});
    Indices table(16);
    expect_refused("ids[3] repeats ids[1]", [&] { cascade::index_ids(ids.view(), table); });
}

TEST(Ids, RefusesWhatDoesNotFitTogether) {
    Owned ids({"a", "bc"});
    const Indices table = table_of(ids);
    expect_refused("table has 3 slots, expected 8", [&] { found(ids, Indices(3), {"a"}); });
    Indices out(2);
    expect_refused("out holds 2 rows, expected 1",
                   [&] { cascade::find_ids(ids.view(), table, Owned({"a"}).view(), out); });
    expect_refused("no offsets", [&] { cascade::find_ids({}, table, Owned({"a"}).view(), out); });
    ids.cu_bytes = {0, 1, 4};
    expect_refused("ids[1] has bytes 1 to 4 of 3", [&] { found(ids, table, {"bc"}); });
    ids.cu_bytes = {0, 2, 1};
    expect_refused("ids[1] has bytes 2 to 1", [&] { found(ids, table, {"bc"}); });
}

TEST(Ids, SurvivesADamagedTable) {
    const Owned ids({"a", "bc", "def"});
    const Indices table = table_of(ids);
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        Indices damaged = table;
        for (Index& slot : damaged) {
            if (random.flip()) {
                slot = random.between(-2, 1) * (Index{1} << random.between(0, 61)) + random.between(-2, 9);
            }
        }
        try {
            for (const Index row : found(ids, damaged, {"a", "bc", "def", "nowhere"})) {
                EXPECT_LT(row, 3);
            }
        } catch (const std::invalid_argument& error) {
            EXPECT_NE(std::string(error.what()).find("damaged"), std::string::npos);
        }
    }
    // Every slot taken: the search ends all the same.
    EXPECT_EQ(found(ids, Indices(table.size(), 0), {"nowhere"}), Indices{-1});
}

}  // namespace
