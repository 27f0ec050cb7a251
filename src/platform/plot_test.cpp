#include "platform/plot.h"

#include <gtest/gtest.h>

#include "platform/html_page.h"

namespace malina::platform {
namespace {

TEST(Ticks, AreRoundAndWithin) {
  EXPECT_EQ(ticks({.low = 0, .high = 10}, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  const auto shares = ticks({.low = 0.83, .high = 0.97}, 5);
  ASSERT_GE(shares.size(), 2U);
  EXPECT_GE(shares.front(), 0.83 - 1e-12);
  EXPECT_LE(shares.back(), 0.97 + 1e-12);
  EXPECT_EQ(ticks({.low = 150, .high = 2500, .logarithmic = true}, 5),
            (std::vector<double>{200, 500, 1000, 2000}));
}

TEST(AxisOf, HoldsAllValuesAndOneOfThem) {
  const std::vector<double> far{100, 110}, near{1, 100}, one{5, 5};
  EXPECT_GT(axis_of("", far).low, 90);
  EXPECT_LT(axis_of("", far).low, 100);
  EXPECT_EQ(axis_of("", near).low, 0);
  EXPECT_LT(axis_of("", one).low, axis_of("", one).high);
  EXPECT_LT(axis_of("", {}).low, axis_of("", {}).high);
}

TEST(Figure, EscapesWhatIsForeignAndStaysWithinItsFrame) {
  const std::string svg =
      figure({.title = "a < b",
              .description = "\"quoted\"",
              .x = {.name = "x & y", .low = 0, .high = 4},
              .y = {.name = "y", .low = 0, .high = 1, .percent = true},
              .series = {{.name = "<script>",
                          .mark = PlotMark::line_and_dots,
                          .points = {{0, 0, {}}, {4, 1, std::pair{0.5, 1.0}}}},
                         {.name = "other", .mark = PlotMark::dots, .points = {{2, 0.5, {}}}}}});
  EXPECT_EQ(svg.find("<script>"), std::string::npos);
  EXPECT_NE(svg.find("&lt;script&gt;"), std::string::npos);
  EXPECT_NE(svg.find("a &lt; b"), std::string::npos);
  EXPECT_NE(svg.find("<desc>&quot;quoted&quot;</desc>"), std::string::npos);
  EXPECT_NE(svg.find("40 %"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_NE(svg.find("points=\"52.0,278.0 434.0,8.0 \""), std::string::npos) << svg;
}

TEST(HtmlPage, TextIsCutBetweenCharacters) {
  EXPECT_EQ(shortened("žluťoučký", 4), "žluť…");
  EXPECT_EQ(shortened("kůň", 4), "kůň");
  EXPECT_EQ(escaped("<a href='x'>\x01"), "&lt;a href=&#39;x&#39;&gt;\xef\xbf\xbd");
  EXPECT_EQ(grouped(1234567), "1\u202f234\u202f567");
}

}  // namespace
}  // namespace malina::platform
