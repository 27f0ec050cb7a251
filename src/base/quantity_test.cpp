#include "base/quantity.h"

#include <gtest/gtest.h>

namespace malina::base {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

TEST(Quantity, DurationsAreReadAsWritten) {
  EXPECT_EQ(parse_duration("30s"), 30s);
  EXPECT_EQ(parse_duration("5m"), 5min);
  EXPECT_EQ(parse_duration("1h30m"), 90min);
  EXPECT_EQ(parse_duration("2d"), 48h);
  EXPECT_EQ(parse_duration("500ms"), 500ms);
  EXPECT_EQ(parse_duration("1m500ms"), 60500ms);
  EXPECT_EQ(parse_duration("90"), 90s);
  EXPECT_EQ(parse_duration("0"), 0s);
  EXPECT_EQ(parse_duration("36500d"), kLongestDuration);
}

TEST(Quantity, WhatIsNoDurationIsNone) {
  for (const char* text : {"",
                           "s",
                           "-5s",
                           "+5s",
                           "5 minutes",
                           "5M",
                           "1.5h",
                           "30m1h",
                           "5m5m",
                           "1h30",
                           " 5s",
                           "5s ",
                           "5ms1s",
                           "36501d",
                           "99999999999999999999s",
                           "18446744073709551615",
                           "18446744073709551615d",
                           "36500d1ms",
                           "1e3s",
                           "inf",
                           "0x10"})
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
}

TEST(Quantity, DurationsAreShownSoThatTheyReadBack) {
  for (const milliseconds duration : {0ms, 1ms, 999ms, 1000ms, 61s + 0ms, 3600001ms,
                                      milliseconds(24h), kLongestDuration, 90061001ms})
    EXPECT_EQ(parse_duration(duration_text(duration)), duration) << duration_text(duration);
  EXPECT_EQ(duration_text(90min), "1h30m");
  EXPECT_EQ(duration_text(0ms), "0s");
}

TEST(Quantity, SizesAreReadAsWritten) {
  EXPECT_EQ(parse_size("8GiB"), 8ULL << 30);
  EXPECT_EQ(parse_size("1.5GiB"), 3ULL << 29);
  EXPECT_EQ(parse_size("500MB"), 500'000'000U);
  EXPECT_EQ(parse_size("0.1kB"), 100U);
  EXPECT_EQ(parse_size("64 kib"), 65536U);
  EXPECT_EQ(parse_size("12B"), 12U);
  EXPECT_EQ(parse_size("4096"), 4096U);
  EXPECT_EQ(parse_size("9223372036854775807"), 9223372036854775807U);
}

TEST(Quantity, WhatIsNoSizeIsNone) {
  for (const char* text : {"",
                           "GiB",
                           "-1",
                           "8G",
                           "8K",
                           "8 giga",
                           "1.5",
                           "1.GiB",
                           ".5GiB",
                           "0.0001kB",
                           "0.33GiB",
                           "9223372036854775808",
                           "8388608TiB",
                           "8388607.9999999TiB",
                           "99999999999999999999",
                           "8  MB",
                           "8MB ",
                           "1e9",
                           "0x10",
                           "1.00000001GB"})
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
}

TEST(Quantity, SizesAreShownSoThatTheyReadBack) {
  for (const std::uint64_t bytes : {0ULL, 1ULL, 999ULL, 1000ULL, 1024ULL, 500'000'000ULL,
                                    8ULL << 30, (8ULL << 30) + 1, (1ULL << 63) - 1})
    EXPECT_EQ(parse_size(size_text(bytes)), bytes) << size_text(bytes);
  EXPECT_EQ(size_text(8ULL << 30), "8GiB");
  EXPECT_EQ(size_text(500'000'000), "500MB");
}

}  // namespace
}  // namespace malina::base
