#include "base/csv.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/random.h"

namespace malina::base {
namespace {

// Gives a text in pieces of so many bytes.
CsvReader reader_of(std::string text, std::size_t piece = 1000, CsvOptions options = {}) {
  return CsvReader(
      [text = std::move(text), piece, place = std::size_t{0}](std::span<char> buffer) mutable {
        const std::size_t count = std::min({piece, buffer.size(), text.size() - place});
        std::copy_n(text.begin() + static_cast<std::ptrdiff_t>(place), count, buffer.begin());
        place += count;
        return count;
      },
      options);
}

std::vector<CsvRecord> all(CsvReader reader) {
  std::vector<CsvRecord> records;
  CsvRecord record;
  while (reader.next(record)) records.push_back(record);
  return records;
}

using Fields = std::vector<std::string>;

TEST(Csv, QuotedFieldsHoldSeparatorsQuotesAndLines) {
  const std::string text = "a,b\r\n\"x, \"\"y\"\"\",\"two\r\nlines\"\r\n,\r\n";
  for (std::size_t piece = 1; piece < 8; ++piece) {
    const auto records = all(reader_of(text, piece));
    ASSERT_EQ(records.size(), 3u) << piece;
    EXPECT_EQ(records[0].fields, (Fields{"a", "b"}));
    EXPECT_EQ(records[1].fields, (Fields{"x, \"y\"", "two\r\nlines"}));
    EXPECT_EQ(records[1].line, 2u);
    EXPECT_EQ(records[2].fields, (Fields{"", ""}));
    EXPECT_EQ(records[2].line, 4u);
    EXPECT_EQ(records[2].end, text.size());
    for (const CsvRecord& record : records) EXPECT_FALSE(record.problem);
  }
}

TEST(Csv, TheMarkAndEmptyLinesArePassedOverAndTheLastLineNeedsNoEnd) {
  for (const std::string end : {"\n", "\r\n"}) {
    const std::string text =
        "\xEF\xBB\xBFtext" + end + end + "one" + end + end + end + "\"\"" + end + "\"two\"";
    for (std::size_t piece = 1; piece < 8; ++piece) {
      CsvReader reader = reader_of(text, piece);
      Fields seen;
      CsvRecord record;
      while (reader.next(record)) {
        ASSERT_EQ(record.fields.size(), 1u);
        seen.push_back(record.fields[0]);
        EXPECT_FALSE(record.problem);
      }
      EXPECT_EQ(seen, (Fields{"text", "one", "", "two"}));
      EXPECT_EQ(reader.line_end(), end);
    }
  }
}

TEST(Csv, BytesLikeAMarkAreText) {
  for (std::size_t piece = 1; piece < 5; ++piece) {
    const auto records = all(reader_of("\xEF\xBB\nx\n", piece));
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].fields[0], "\xEF\xBB");
    EXPECT_EQ(records[1].line, 2u);
    EXPECT_EQ(records[1].begin, 3u);
  }
}

TEST(Csv, ABrokenRecordIsOneRecordWithItsCause) {
  const auto problem = [](const std::string& line) {
    const auto records = all(reader_of(line + "\nnext,1\n", 3));
    EXPECT_EQ(records.size(), 2u) << line;
    EXPECT_EQ(records.back().fields, (Fields{"next", "1"})) << line;
    return records[0].problem.value_or("none");
  };
  EXPECT_EQ(problem("a,b\"c"), "a quote inside of the unquoted field 2");
  EXPECT_EQ(problem("\"a\"b,c"), "text after the closing quote of field 1");
  EXPECT_EQ(problem(std::string("a,b\0c", 5)), "a zero byte in field 2");
  EXPECT_EQ(problem("a\rb,c"), "none");  // a carriage return alone ends no line

  const auto open = all(reader_of("a,b\n1,\"2\n3,4\n"));
  ASSERT_EQ(open.size(), 2u);
  EXPECT_EQ(open[1].problem, "the quote of field 2 is never closed");
  EXPECT_EQ(open[1].line, 2u);
}

TEST(Csv, ARecordThatIsTooLongEndsAtItsLine) {
  CsvOptions options;
  options.most_record_bytes = 10;
  const auto records = all(reader_of("short\n\"much too long a text\",1\nshort\n", 7, options));
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[1].problem, "the record is longer than 10 bytes");
  EXPECT_LE(records[1].fields[0].size(), 10u);
  EXPECT_EQ(records[2].fields, (Fields{"short"}));
}

TEST(Csv, TheSeparatorIsTheOneThatTheHeaderHas) {
  EXPECT_EQ(csv_separator("text,label\n1;2;3"), ',');
  EXPECT_EQ(csv_separator("text;label"), ';');
  EXPECT_EQ(csv_separator("\"a,b,c\"\tlabel"), '\t');
  EXPECT_EQ(csv_separator("text"), ',');
  EXPECT_EQ(csv_separator(""), ',');
}

TEST(Csv, WhatIsWrittenIsReadBack) {
  Random random(5);
  constexpr std::string_view kLetters = "ab,;\t\"\r\n \xEF\xBB\xBF";
  std::vector<Fields> expected;
  for (int i = 0; i < 500; ++i) {
    Fields& fields = expected.emplace_back(1 + random.below(4));
    for (std::string& field : fields)
      for (std::size_t n = random.below(6); n > 0; --n)
        field.push_back(kLetters[random.below(kLetters.size())]);
  }
  for (const char separator : {',', ';', '\t'})
    for (const std::string_view end : {"\r\n", "\n"}) {
      std::string text;
      for (const Fields& fields : expected) text += csv_line(fields, separator, end);
      CsvOptions options;
      options.separator = separator;
      const auto records = all(reader_of(text, 1 + random.below(50), options));
      ASSERT_EQ(records.size(), expected.size());
      for (std::size_t i = 0; i < records.size(); ++i) {
        EXPECT_EQ(records[i].fields, expected[i]) << i;
        EXPECT_FALSE(records[i].problem) << i;
        EXPECT_EQ(records[i].begin, i == 0 ? 0 : records[i - 1].end);
      }
    }
}

}  // namespace
}  // namespace malina::base
