#include "app/console.h"

#include <gtest/gtest.h>

#include "app/progress_bar.h"

namespace malina::app {
namespace {

TEST(Printable, LeavesTextAlone) {
  EXPECT_EQ(printable("plain, Grüße, 世界 🙂"), "plain, Grüße, 世界 🙂");
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, DisarmsWhatATerminalWouldObey) {
  EXPECT_EQ(printable("a\n\t\r\x1b[2J\x7f"), "a\\n\\t\\r\\x1b[2J\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b") << "U+009B begins a control sequence";
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
}

TEST(Printable, ShowsBytesThatAreNotUtf8) {
  EXPECT_EQ(printable("\xff"), "\\xff");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "overlong";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond U+10FFFF";
  EXPECT_EQ(printable("\xe4\xb8"), "\\xe4\\xb8") << "cut short";
}

TEST(Numbers, AreWrittenForPeople) {
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(98'362'432), "98.4 MB");
  EXPECT_EQ(human_bytes(999'999), "1.0 MB") << "never 1000.0 kB";
  EXPECT_EQ(human_bytes(~std::uint64_t{0}), "18.4 EB");
  EXPECT_EQ(human_count(134'515'008), "134.5 million");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(grouped(98'362'432), "98,362,432");
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(100), "100");
  EXPECT_EQ(utc_time(1'717'243'200), "2024-06-01T12:00:00Z");
}

TEST(Table, AlignsByCharacters) {
  EXPECT_EQ(table({{"ä", "1"}, {"bcd", "22"}}, {1}), "ä     1\nbcd  22\n");
  EXPECT_EQ(table({{"a", ""}, {"b", "c"}}), "a\nb  c\n") << "no spaces at the end";
}

TEST(ProgressLine, WhatWasThereBeforeIsNoSpeed) {
  EXPECT_EQ(progress_line({"downloading", 50'000'000, 100'000'000, 40'000'000}, 10),
            "downloading   50 %  [##########----------]  1.0 MB/s  50 s left");
}

TEST(ProgressLine, WithoutATotalThereIsNoShare) {
  EXPECT_EQ(progress_line({"downloading", 50'000'000, 0}, 10), "downloading  50.0 MB  5.0 MB/s");
  EXPECT_EQ(progress_line({"listing", 0, 0}, 10), "listing");
}

TEST(ProgressLine, TellsShareRateAndTimeLeft) {
  EXPECT_EQ(progress_line({"copying", 250'000'000, 1'000'000'000}, 2),
            "copying   25 %  [#####---------------]  125.0 MB/s  6 s left");
  EXPECT_EQ(progress_line({"copying", 0, 10}, 0), "copying    0 %  [--------------------]");
  EXPECT_EQ(progress_line({"copying", 10, 10}, 1),
            "copying  100 %  [####################]  10 B/s  "
            "0 s left");
  EXPECT_NE(progress_line({"x", 1, 100'000}, 1).find("27 h 46 min left"), std::string::npos);
}

}  // namespace
}  // namespace malina::app
