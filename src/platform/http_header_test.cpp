#include "platform/http_header.h"

#include <gtest/gtest.h>

namespace malina::platform {
namespace {

using std::chrono::seconds;

TEST(ContentRange, IsReadOnlyWhereItIsTrueInItself) {
  EXPECT_EQ(parse_content_range("bytes 5-9/10"), (ContentRange{5, 9, 10}));
  EXPECT_EQ(parse_content_range(" bytes 5-9/* "), (ContentRange{5, 9, std::nullopt}));
  for (const char* text :
       {"", "bytes", "bytes 5-9", "bytes 9-5/10", "bytes 5-10/10", "bytes -9/10", "bytes 5-/10",
        "bytes */10", "bytes 5-9/", "items 5-9/10", "bytes 5-9/1 0", "bytes +5-9/10",
        "bytes 5-99999999999999999999/*", "bytes 5/9-10", "bytes 5-9/10/11", "bytes 5-9-8/10"})
    EXPECT_FALSE(parse_content_range(text)) << text;
}

TEST(Link, GivesTheNextPage) {
  EXPECT_EQ(next_link("<https://a/?cursor=x>; rel=\"next\""), "https://a/?cursor=x");
  EXPECT_EQ(next_link("<b>; rel=\"prev\", <c>; title=\"x\"; rel=next"), "c");
  EXPECT_EQ(next_link("<b>; REL = \"Next\""), "b");
  for (const char* text :
       {"", "<", "<a", "a; rel=\"next\"", "<a>; rel=\"last\"", "<a>; rel=\"nextish\"", "<a>; rel",
        "<a>; rel=", "rel=\"next\" <a>", "<a>; title=next"})
    EXPECT_FALSE(next_link(text)) << text;
}

TEST(RetryAfter, IsSecondsOrADate) {
  const auto now =
      std::chrono::system_clock::from_time_t(1'445'412'480);  // 2015-10-21 07:28:00 UTC
  EXPECT_EQ(parse_retry_after("120", now), seconds(120));
  EXPECT_EQ(parse_retry_after("Wed, 21 Oct 2015 07:29:00 GMT", now), seconds(60));
  EXPECT_EQ(parse_retry_after("Wed, 21 Oct 2015 07:27:00 GMT", now), seconds(0));
  EXPECT_EQ(parse_retry_after("99999999999", now), seconds(365 * 24 * 3600));
  for (const char* text : {"", "-1", "soon", "1.5", "Wed, 21 Oct"})
    EXPECT_FALSE(parse_retry_after(text, now)) << text;
}

TEST(Etag, IsStrongInItsQuotes) {
  EXPECT_TRUE(is_strong_etag("\"abc\""));
  for (const char* text : {"", "\"\"", "abc", "W/\"abc\"", "\"a b\"", "\"a\"b\"", "\"a\nb\""})
    EXPECT_FALSE(is_strong_etag(text)) << text;
  EXPECT_FALSE(is_strong_etag('"' + std::string(1000, 'a') + '"'));
}

TEST(Decimal, IsDigitsThatFit) {
  EXPECT_EQ(parse_decimal("18446744073709551615"), 18446744073709551615U);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616"})
    EXPECT_FALSE(parse_decimal(text)) << text;
}

}  // namespace
}  // namespace malina::platform
