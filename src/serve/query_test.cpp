#include "serve/query.h"

#include <gtest/gtest.h>

#include <array>

#include "serve/api_error.h"

namespace malina::serve {
namespace {

constexpr std::array<std::string_view, 2> kOrders{"asc", "desc"};
constexpr std::array kFields{
    Field{.name = "after", .types = Type::text},
    Field{.name = "limit", .types = Type::integer, .least = 1, .most = 100},
    Field{.name = "order", .types = Type::text, .words = kOrders},
    Field{.name = "metadata", .types = Type::object, .longest = 2, .open = true},
};

Json read(std::string_view target) { return checked_query(target, kFields); }

std::string wrong(std::string_view target) {
  try {
    read(target);
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status, 400U);
    return error.param;
  }
  return "nothing";
}

TEST(Query, IsReadByTheTable) {
  EXPECT_EQ(read("/v1/files"), Json::object());
  EXPECT_EQ(read("/v1/files?"), Json::object());
  EXPECT_EQ(read("/v1/files?limit=7&after=file-a%20b&&order=asc#limit=9").dump(),
            R"({"limit":7,"after":"file-a b","order":"asc"})");
  EXPECT_EQ(read("/x?after=12").dump(), R"({"after":"12"})");
  EXPECT_EQ(read("/x?metadata[a]=1&metadata%5Bb+c%5D=%C5%BE").dump(),
            "{\"metadata\":{\"a\":\"1\",\"b c\":\"\xc5\xbe\"}}");
  EXPECT_EQ(read("/x?metadata=null"), Json::object());
}

TEST(Query, WhatIsWrongIsNamed) {
  for (const auto& [query, parameter] : {std::pair{"limit=0", "limit"},
                                         {"limit=101", "limit"},
                                         {"limit=x", "limit"},
                                         {"limit=-1", "limit"},
                                         {"limit=null", "limit"},
                                         {"limit=1e1", "limit"},
                                         {"limit=99999999999999999999", "limit"},
                                         {"order=up", "order"},
                                         {"limti=3", "limti"},
                                         {"limit=1&limit=1", "limit"},
                                         {"metadata=x", "metadata"},
                                         {"metadata[a]=1&metadata[a]=2", "metadata[a]"},
                                         {"metadata[a]=1&metadata[b]=2&metadata[c]=3", "metadata"},
                                         {"after=%zz", ""},
                                         {"after=%ff", ""},
                                         {"after=%00", ""},
                                         {"after[x]=1", "after"}})
    EXPECT_EQ(wrong(std::string("/x?") + query), parameter) << query;
}

TEST(Query, WithoutATableNothingIsLookedAt) {
  EXPECT_EQ(checked_query("/x?limit=%zz", {}), Json::object());
}

}  // namespace
}  // namespace malina::serve
