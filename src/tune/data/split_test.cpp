#include "tune/data/split.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "base/error.h"
#include "base/random.h"
#include "base/temporary_directory.h"

namespace malina::tune {
namespace {

class Splitting : public ::testing::Test {
 protected:
  std::filesystem::path path(const std::string& name) { return directory_.path() / name; }
  std::filesystem::path write(const std::string& name, const std::string& text) {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  std::string read(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(path(name), std::ios::binary).rdbuf();
    return text.str();
  }
  SplitRequest request(const std::filesystem::path& input, PartSize size,
                       const std::string& extension = ".csv") {
    SplitRequest request;
    request.input = input;
    request.parts = {{"train", path("train" + extension), {}},
                     {"test", path("test" + extension), size}};
    return request;
  }
  base::TemporaryDirectory directory_;
};

std::string row(int i, const std::string& label) {
  return "\"text " + std::to_string(i * 7919) + ",\n number " + std::to_string(i * 104729) + "\"," +
         label + "\r\n";
}

std::string table(int rows) {
  std::string text = "text,label\r\n";
  for (int i = 0; i < rows; ++i) text += row(i, i % 4 == 0 ? "rare" : "usual");
  return text;
}

TEST_F(Splitting, LabelsAreSharedOutAndNoRowIsLost) {
  const auto input = write("all.csv", table(200));
  const SplitReport report = split_data(request(input, {.rows = {}, .share = 0.2}));
  ASSERT_EQ(report.parts.size(), 2U);
  EXPECT_EQ(report.parts[0].rows, 160U);
  EXPECT_EQ(report.parts[1].rows, 40U);
  EXPECT_EQ(report.parts[1].labels,
            (std::vector<std::pair<std::string, std::uint64_t>>{{"usual", 30}, {"rare", 10}}));
  std::multiset<std::string> rows;
  for (const char* name : {"train.csv", "test.csv"}) {
    std::string text = read(name);
    ASSERT_TRUE(text.starts_with("text,label\r\n"));
    text.erase(0, 12);
    while (!text.empty()) {
      const std::size_t end = text.find("\r\n") + 2;
      rows.insert(text.substr(0, end));
      text.erase(0, end);
    }
  }
  std::multiset<std::string> expected;
  for (int i = 0; i < 200; ++i) expected.insert(row(i, i % 4 == 0 ? "rare" : "usual"));
  EXPECT_EQ(rows, expected);
}

TEST_F(Splitting, SameSeedGivesTheSameBytes) {
  const auto input = write("all.csv", table(100));
  SplitRequest first = request(input, {.rows = 25, .share = 0});
  split_data(first);
  const std::string train = read("train.csv"), test = read("test.csv");
  first.replace = true;
  const SplitReport again = split_data(first);
  EXPECT_EQ(read("train.csv"), train);
  EXPECT_EQ(read("test.csv"), test);
  base::Sha256 digest;
  digest.update(test);
  EXPECT_EQ(again.parts[1].digest, digest.finish());
  EXPECT_EQ(again.parts[1].bytes, test.size());
  first.seed = 1;
  split_data(first);
  EXPECT_NE(read("test.csv"), test);
}

TEST_F(Splitting, RowsThatSayNearlyTheSameStayTogether) {
  std::string text = "text,label\n";
  base::Random random(3);
  for (int i = 0; i < 60; ++i) {
    std::string one;
    for (int letter = 0; letter < 60; ++letter)
      one += letter % 8 == 7 ? ' ' : static_cast<char>('a' + random.below(26));
    text += one + ",a\n" + one + "!,b\n" + one + " please,a\n";
  }
  const SplitReport report =
      split_data(request(write("all.csv", text), {.rows = {}, .share = 0.3}));
  EXPECT_EQ(report.groups, 60U);
  EXPECT_NEAR(static_cast<double>(report.parts[1].rows), 54, 3);
  CheckRequest check;
  check.parts = {{"train", path("train.csv")}, {"test", path("test.csv")}};
  EXPECT_EQ(check_data(check).parts[1].leaks.rows(), 0U);
}

TEST_F(Splitting, FormatIsKept) {
  const auto array = write("all.json",
                           "\xef\xbb\xbf[\n  {\"text\": \"one thing\",\n   \"label\": \"a\"},\n"
                           "  {\"text\": \"another here\", \"label\": \"a\"},\n"
                           "  {\"text\": \"some third\", \"label\": \"a\"}\n]\n");
  split_data(request(array, {.rows = 1, .share = 0}, ".json"));
  const std::string test = read("test.json");
  EXPECT_TRUE(test.starts_with("\xef\xbb\xbf[\n{")) << test;
  EXPECT_TRUE(test.ends_with("}\n]\n")) << test;
  ExampleReader train(path("train.json"));
  int rows = 0;
  while (const auto row = train.next()) rows += std::holds_alternative<Example>(*row) ? 1 : 0;
  EXPECT_EQ(rows, 2);
  const auto lines = write("all.jsonl",
                           "{\"text\":\"a b c\",\"labels\":[\"x\"]}\r\n"
                           "{\"text\":\"d e f\",\"labels\":[]}");
  split_data(request(lines, {.rows = 1, .share = 0}, ".jsonl"));
  EXPECT_EQ(read("train.jsonl").size() + read("test.jsonl").size(),
            std::string("{\"text\":\"a b c\",\"labels\":[\"x\"]}\n"
                        "{\"text\":\"d e f\",\"labels\":[]}\n")
                .size());
}

TEST_F(Splitting, WhatCannotBeDoneLeavesNothing) {
  const auto fault = [&](const SplitRequest& request) {
    try {
      split_data(request);
    } catch (const base::Error& error) {
      return error.fault();
    }
    return base::Fault::internal;
  };
  const auto good = write("all.csv", table(10));
  EXPECT_EQ(fault(request(good, {.rows = 10, .share = 0})), base::Fault::invalid_argument);
  EXPECT_EQ(fault(request(good, {.rows = 0, .share = 0})), base::Fault::invalid_argument);
  auto itself = request(good, {.rows = 2, .share = 0});
  itself.parts[1].output = good;
  EXPECT_EQ(fault(itself), base::Fault::invalid_argument);
  auto twice = request(good, {.rows = 2, .share = 0});
  twice.parts[1].output = twice.parts[0].output;
  EXPECT_EQ(fault(twice), base::Fault::invalid_argument);
  const auto bad = write("bad.csv", table(10) + "broken\n");
  EXPECT_EQ(fault(request(bad, {.rows = 2, .share = 0})), base::Fault::corrupt_file);
  EXPECT_FALSE(std::filesystem::exists(path("train.csv")));
  auto skipping = request(bad, {.rows = 2, .share = 0});
  skipping.skip_bad_rows = true;
  const SplitReport report = split_data(skipping);
  EXPECT_EQ(report.skipped_rows, 1U);
  EXPECT_EQ(report.parts[0].rows + report.parts[1].rows, 10U);
  EXPECT_EQ(fault(skipping), base::Fault::already_exists);
}

}  // namespace
}  // namespace malina::tune
