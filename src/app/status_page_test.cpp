#include "app/status_page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace malina::app {

namespace {

std::size_t columns(std::string_view line) {
  return static_cast<std::size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80;
  }));
}

std::size_t widest(std::string_view page) {
  std::size_t result = 0;
  while (!page.empty()) {
    const std::size_t end = page.find('\n');
    EXPECT_NE(end, std::string_view::npos) << "each line ends";
    result = std::max(result, columns(page.substr(0, end)));
    page.remove_prefix(end + 1);
  }
  return result;
}

// Everything as large as it comes.
StatusView large() {
  StatusView view{.server = "https://models.example.org:8443", .now = 1'000'000'000};
  view.status.version = "10.11.12";
  view.status.memory_budget_bytes = 999'900'000'000;
  for (int i = 0; i < 3; ++i)
    view.status.models.push_back({.name = std::string(100, 'n'),
                                  .digest = "0123456789ab",
                                  .state = "draining",
                                  .memory_bytes = 999'900'000'000,
                                  .users = 1,
                                  .running = 999,
                                  .waiting = 9999,
                                  .pages_used = 99'999,
                                  .pages_capacity = 999'999,
                                  .unload_seconds = std::nullopt});
  for (int i = 0; i < 30; ++i)
    view.status.usage.push_back({.key = "mk_abcdefghijklmnop",
                                 .model = std::string(100, 'n'),
                                 .prompt_tokens = 999'999'999,
                                 .cached_tokens = 999'999'999,
                                 .answer_tokens = 99'999'999});
  view.recent.seconds = 10;
  return view;
}

TEST(StatusPage, FitsIntoEightyColumns) {
  const Console console;
  EXPECT_LE(widest(status_page(large(), console, 80)), 80U);
  const std::string page = status_page(large(), console, 200);
  EXPECT_LE(widest(page.substr(page.find("MODEL"))), 80U) << "nothing of the tables was cut off";
}

TEST(StatusPage, IsCutToNarrowTerminals) {
  const Console console;
  for (const std::size_t width : {1U, 2U, 10U, 40U})
    EXPECT_LE(widest(status_page(large(), console, width)), width);
}

TEST(StatusPage, TextOfTheServerMovesNoCursor) {
  StatusView view = large();
  view.status.version = "1\x1b[2J";
  view.status.models[0].name = "a\x1b]0;x\x07\r\n" + std::string(3, '\xff') + "ö";
  view.status.usage[0].key = "\x1b[31m";
  view.trouble = "no\nanswer\x1b[1m";
  const std::string page = status_page(view, Console(), 80);
  EXPECT_EQ(page.find('\x1b'), std::string::npos);
  EXPECT_EQ(page.find('\r'), std::string::npos);
  EXPECT_NE(page.find("no\\nanswer\\x1b[1m\n"), std::string::npos);
  EXPECT_LE(widest(page), 80U);
}

TEST(StatusPage, AServerWithoutModelsSaysSo) {
  StatusView view{.server = "http://127.0.0.1:8080", .now = 90'061};
  view.status.version = "1";
  const std::string page = status_page(view, Console(), 80);
  EXPECT_NE(page.find("up 1 d 1 h"), std::string::npos);
  EXPECT_NE(page.find("none is in memory"), std::string::npos);
  EXPECT_EQ(page.find("KEY"), std::string::npos);
}

}  // namespace

}  // namespace malina::app
