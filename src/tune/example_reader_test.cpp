#include "tune/example_reader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::tune {
namespace {

using namespace std::string_literals;

class Reading : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& text) {
    const auto path = directory_.path() / name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  ExampleReader reader(const std::string& name, const std::string& text, ReadOptions options = {}) {
    return ExampleReader(write(name, text), std::move(options));
  }
  // The message with which the file is refused.
  std::string refusal(const std::string& name, const std::string& text, ReadOptions options = {}) {
    try {
      reader(name, text, std::move(options));
    } catch (const base::Error& error) {
      return error.what();
    }
    return "";
  }

 private:
  base::TemporaryDirectory directory_;
};

struct Rows {
  std::vector<Example> examples;
  std::map<std::uint64_t, std::string> errors;  // by line
};

Rows all(ExampleReader& reader) {
  Rows rows;
  while (auto row = reader.next()) {
    if (auto* example = std::get_if<Example>(&*row))
      rows.examples.push_back(std::move(*example));
    else
      rows.errors[std::get<DatasetError>(*row).place.line] = std::get<DatasetError>(*row).what;
  }
  return rows;
}
Rows all(ExampleReader&& reader) { return all(reader); }

TEST_F(Reading, CsvHasQuotesLineEndsAndAByteOrderMark) {
  auto read = reader("a.csv",
                     "\xef\xbb\xbftext,category\r\nplain,one\r\n\"with, comma\",two\r\n"
                     "\"two \"\"lines\"\"\nof it\",one\r\n\r\nlast,two");
  EXPECT_EQ(describe(read.format()), "CSV, text in 'text', label in 'category'");
  EXPECT_TRUE(read.format().byte_order_mark);
  const Rows rows = all(read);
  ASSERT_EQ(rows.examples.size(), 4U);
  EXPECT_TRUE(rows.errors.empty());
  EXPECT_EQ(rows.examples[1].classification()->text, "with, comma");
  EXPECT_EQ(rows.examples[2].classification()->text, "two \"lines\"\nof it");
  EXPECT_EQ(rows.examples[2].place.line, 4U);
  EXPECT_EQ(rows.examples[3].place.line, 7U);
  EXPECT_EQ(rows.examples[3].classification()->labels, std::vector{"two"s});
}

TEST_F(Reading, RowIsReadAgainByItsPlace) {
  auto read = reader("a.csv", "text,label\n\"a\nb\",x\nc,y\n");
  const Rows rows = all(read);
  ASSERT_EQ(rows.examples.size(), 2U);
  for (const Example& example : rows.examples) {
    const Row again = read.at(example.place);
    EXPECT_EQ(std::get<Example>(again).classification()->text, example.classification()->text);
  }
  EXPECT_EQ(read.source(rows.examples[0].place), "\"a\nb\",x");
  EXPECT_EQ(read.header(), "text,label\n");
  read.rewind();
  EXPECT_EQ(all(read).examples.size(), 2U);
}

TEST_F(Reading, BadRecordsAreNamedAndTheRestIsRead) {
  const Rows rows = all(reader("a.csv",
                               "text,label\na,x\nonly one\nb,y,z\n\"c\" d,x\n\xff,x\n,x\ne,\n"
                               "\"never closed,x\nf,y\n"));
  ASSERT_EQ(rows.examples.size(), 2U);
  EXPECT_EQ(rows.examples[1].classification()->text, "f");
  const std::map<std::uint64_t, std::string> expected{
      {3, "it has 1 field, and the first line names 2 columns"},
      {4, "it has 3 fields, and the first line names 2 columns"},
      {5, "text follows the closing quote of a field, at byte 4 of the row"},
      {6, "it is not UTF-8 at byte 1 of the row (0xff)"},
      {7, "the text is empty"},
      {8, "the label is empty"},
      {9, "a quote that this row opens is never closed"}};
  EXPECT_EQ(rows.errors, expected);
}

TEST_F(Reading, SemicolonsAndTabsAreFound) {
  auto semicolons = reader("a.csv", "utterance;intent\nfirst, second;one\n");
  EXPECT_EQ(describe(semicolons.format()),
            "CSV with semicolons, text in 'utterance', label in 'intent'");
  EXPECT_EQ(all(semicolons).examples.at(0).classification()->text, "first, second");
  auto quoted = reader("a.tsv", "text\tlabel\n\"a \"\"b\"\"\"\tx\n");
  EXPECT_EQ(all(quoted).examples.at(0).classification()->text, "a \"b\"");
}

TEST_F(Reading, QuotesOfATsvWithoutQuotingAreLetters) {
  auto read = reader("a.tsv", "text\tlabel\n\"He\" said\tx\n\"Never closed\tx\n\"All\"\tx\n");
  EXPECT_EQ(describe(read.format()), "TSV without quoting, text in 'text', label in 'label'");
  const Rows rows = all(read);
  ASSERT_EQ(rows.examples.size(), 3U);
  EXPECT_EQ(rows.examples[1].classification()->text, "\"Never closed");
  EXPECT_EQ(rows.examples[2].classification()->text, "\"All\"");
}

TEST_F(Reading, ColumnsAreChosenByName) {
  const std::string text = "ID,section_header,dialogue\n1,GENHX,hello\n";
  EXPECT_NE(refusal("a.csv", text)
                .find("no text is recognised among 'ID', 'section_header', "
                      "'dialogue'; name them with --text and --label"),
            std::string::npos)
      << refusal("a.csv", text);
  EXPECT_NE(refusal("a.csv", text, {.text = "dialogue", .label = "section_heade", .limits = {}})
                .find("did you mean 'section_header'?"),
            std::string::npos);
  const Rows rows =
      all(reader("a.csv", text, {.text = "dialogue", .label = "section_header", .limits = {}}));
  EXPECT_EQ(rows.examples.at(0).classification()->labels, std::vector{"GENHX"s});
}

TEST_F(Reading, ChatHasWeightsToolsAndParts) {
  auto read = reader(
      "chat.jsonl",
      R"({"messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Hel"},{"type":"text","text":"lo"}]},{"role":"assistant","content":"Hi","weight":0},{"role":"user","content":"Weather?"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"get","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":""},{"role":"assistant","content":"Rain"}],"tools":[{"type":"function","function":{"name":"get"}}]})"
      "\n");
  EXPECT_EQ(describe(read.format()), "JSON lines, chat messages");
  const Rows rows = all(read);
  ASSERT_EQ(rows.examples.size(), 1U) << rows.errors.begin()->second;
  const auto& messages = rows.examples[0].conversation()->messages;
  ASSERT_EQ(messages.size(), 7U);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[1].content, "Hello");
  EXPECT_EQ(messages[2].weight, 0);
  EXPECT_EQ(messages[4].weight, 1);
  EXPECT_EQ(messages[4].fields["tool_calls"][0]["function"]["name"], "get");
  EXPECT_EQ(messages[5].fields["tool_call_id"], "c1");
  EXPECT_EQ(rows.examples[0].conversation()->tools.size(), 1U);
  const auto plain = template_messages(*rows.examples[0].conversation());
  EXPECT_EQ(plain[1].dump(), R"({"role":"user","content":"Hello"})");
}

TEST_F(Reading, AlpacasHistoryIsLearned) {
  const Rows rows = all(reader(
      "alpaca.json",
      R"([{"instruction":"Add","input":"1 2","output":"3","system":"S","history":[["q","a"]]},)"
      "\n"
      R"( {"instruction":"Say it","input":"","output":"it"}])"));
  ASSERT_EQ(rows.examples.size(), 2U);
  const auto& first = rows.examples[0].conversation()->messages;
  ASSERT_EQ(first.size(), 5U);
  EXPECT_EQ(first[0].role, "system");
  EXPECT_EQ(first[2].weight, 1);
  EXPECT_EQ(first[3].content, "Add\n1 2");
  EXPECT_EQ(first[4].weight, 1);
  EXPECT_EQ(rows.examples[1].conversation()->messages[0].content, "Say it");
  EXPECT_EQ(rows.examples[1].place.line, 2U);
}

TEST_F(Reading, ShareGptCallsFunctions) {
  const Rows rows = all(reader(
      "share.jsonl",
      R"({"conversations":[{"from":"human","value":"w?"},{"from":"function_call","value":"{\"name\":\"get\",\"arguments\":{\"a\":1}}"},{"from":"observation","value":"rain"},{"from":"gpt","value":"Rain."}],"system":"S","tools":"[{\"name\":\"get\"}]"})"
      "\n"));
  ASSERT_EQ(rows.examples.size(), 1U) << rows.errors.begin()->second;
  const Conversation& read = *rows.examples[0].conversation();
  ASSERT_EQ(read.messages.size(), 5U);
  EXPECT_EQ(read.messages[2].fields["tool_calls"][0]["function"]["arguments"]["a"], 1);
  EXPECT_EQ(read.messages[2].weight, 1);
  EXPECT_EQ(read.messages[3].role, "tool");
  EXPECT_EQ(read.tools[0]["name"], "get");
}

TEST_F(Reading, CompletionsAreTextsOrMessages) {
  const Rows texts = all(reader("a.jsonl", R"({"prompt":"p","completion":" c"})"
                                           "\n"));
  EXPECT_EQ(texts.examples.at(0).completion()->completion, " c");
  const Rows messages = all(reader(
      "b.jsonl",
      R"({"prompt":[{"role":"user","content":"q"},{"role":"assistant","content":"old"},{"role":"user","content":"r"}],"completion":[{"role":"assistant","content":"new"}]})"
      "\n"));
  const auto& read = messages.examples.at(0).conversation()->messages;
  EXPECT_EQ(read[1].weight, 0);
  EXPECT_EQ(read[3].weight, 1);
  const Rows plain = all(reader("c.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n"));
  EXPECT_EQ(plain.examples.at(1).completion()->completion, "b");
}

TEST_F(Reading, SlotsCountInCharactersAndBecomeBytes) {
  const Rows rows = all(reader(
      "slots.jsonl",
      "{\"text\":\"Přidej Romántica teď\",\"intent\":\"Add\",\"slots\":[{\"start\":7,\"end\":16,"
      "\"type\":\"list\",\"value\":\"Romántica\"}]}\n"
      "{\"text\":\"Přidej\",\"intent\":\"Add\",\"slots\":[{\"start\":0,\"end\":7,\"type\":\"x\"}]}"
      "\n"
      "{\"text\":\"Přidej\",\"intent\":\"Add\",\"slots\":[{\"start\":0,\"end\":2,\"type\":\"x\","
      "\"value\":\"P\"}]}\n"));
  ASSERT_EQ(rows.examples.size(), 1U);
  const Classification& read = *rows.examples[0].classification();
  EXPECT_EQ(read.slots, (std::vector{Slot{8, 18, "list"}}));
  EXPECT_EQ(read.text.substr(8, 10), "Romántica");
  EXPECT_EQ(rows.errors.at(2), "the slot from 0 to 7 ends after the text, which has 6 characters");
  EXPECT_NE(rows.errors.at(3).find("its 'value' is 'P'"), std::string::npos);
}

TEST_F(Reading, SpansOfTokensBecomeBytes) {
  auto read =
      reader("spans.json",
             R"([{"tokens":["the","big","pump"],"entities":[{"start":1,"end":3,"type":"T"}]}])");
  EXPECT_EQ(describe(read.format()), "a JSON array, text in 'tokens', spans in 'entities'");
  const Rows rows = all(read);
  EXPECT_EQ(rows.examples.at(0).classification()->slots, (std::vector{Slot{4, 12, "T"}}));
  EXPECT_TRUE(rows.examples.at(0).classification()->has_slots);
}

TEST_F(Reading, SeveralLabelsAreAList) {
  const Rows rows =
      all(reader("many.jsonl",
                 "{\"text\":\"a\",\"labels\":[\"x\",\"y\"]}\n{\"text\":\"b\",\"labels\":[]}\n"
                 "{\"text\":\"c\",\"labels\":[\"x\",\"x\"]}\n{\"text\":\"d\",\"label\":\"x\"}\n"));
  ASSERT_EQ(rows.examples.size(), 2U);
  EXPECT_TRUE(rows.examples[1].classification()->multiple);
  EXPECT_EQ(rows.errors.at(3), "label 'x' stands twice");
  EXPECT_EQ(rows.errors.at(4), "there is no 'labels'");
}

TEST_F(Reading, ShortAnswersThatRepeatAreLabels) {
  auto labels = reader("a.json", R"([{"input":"a","output":"x"},{"input":"b","output":"x"}])");
  EXPECT_EQ(describe(labels.format()), "a JSON array, text in 'input', label in 'output'");
  auto answers = reader("a.json", R"([{"input":"a","output":"One.\nTwo."}])");
  EXPECT_EQ(describe(answers.format()), "a JSON array, Alpaca");
  EXPECT_EQ(all(answers).examples.at(0).conversation()->messages[0].content, "a");
}

TEST_F(Reading, ArrayGoesOnAfterABrokenRow) {
  const Rows rows = all(reader("a.json",
                               "[\n"
                               "  {\"text\": \"a\", \"label\": \"x\"},\n"
                               "  {\"text\": \"b\", \"label\": \"x\",\n"
                               "  {\"text\": \"c\", \"label\": ]},\n"
                               "  {\"text\": \"d, \"label\": \"x\"},\n"
                               "  {\"text\": \"e\", \"label\": \"x\"},\n"
                               "  7\n"
                               "  {\"text\": \"f\", \"label\": \"y\"},\n"
                               "]\n"));
  std::string texts;
  for (const Example& example : rows.examples) texts += example.classification()->text;
  EXPECT_EQ(texts, "aef");
  EXPECT_EQ(rows.errors.count(3), 1U);
  EXPECT_EQ(rows.errors.at(4), "']' closes nothing");
  EXPECT_EQ(rows.errors.count(5), 1U);
  EXPECT_EQ(rows.errors.at(7), "a row is an object, and this is a number");
  EXPECT_EQ(rows.errors.at(8), "a comma is missing before this row");
  EXPECT_EQ(rows.errors.at(9), "a comma stands before the end of the array");
}

TEST_F(Reading, LimitsHoldWithoutEndingTheReading) {
  ReadOptions options;
  options.limits = {.row_bytes = 100, .depth = 3, .row_values = 10};
  const std::string longest(200, 'a');
  const Rows lines = all(reader("a.jsonl",
                                "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"" + longest +
                                    "\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":[[[[]]]]}\n"
                                    "{\"text\":\"c\",\"label\":\"x\"}\n",
                                options));
  EXPECT_EQ(lines.examples.size(), 2U);
  EXPECT_EQ(lines.errors.at(2), "it is longer than 100 bytes");
  EXPECT_EQ(lines.errors.at(3), "its values are nested more than 3 deep");
  const Rows records = all(
      reader("a.csv", "text,label\na,x\n" + longest + ",x\n\"" + longest + "\",x\nb,x\n", options));
  EXPECT_EQ(records.examples.size(), 2U);
  EXPECT_EQ(records.errors.size(), 2U);
}

TEST_F(Reading, WhatIsNoDataSetIsRefusedByName) {
  const std::pair<std::string, std::string> kFiles[]{
      {"", "is empty"},
      {"\n \n", "is empty"},
      {"\xff\xfet\0e\0"s, "UTF-16"},
      {"\x1f\x8b\x08", "gzip"},
      {"PK\x03\x04", "save the table as CSV"},
      {"PAR1", "Parquet"},
      {"{\n \"a\": [1]\n}\n", "one JSON object a line"},
      {"[]", "has no rows"},
      {"[1, 2]", "a row is an object, and this is a number"},
      {"text,label\n", "has no rows"},
      {"text,text\na,b\n", "names column 'text' twice"},
      {"just a line\nand another\n", "no text is recognised"},
      {"{\"prompt\":\"p\",\"chosen\":\"a\",\"rejected\":\"b\"}\n", "preferences"}};
  for (const auto& [text, cause] : kFiles)
    EXPECT_NE(refusal("file", text).find(cause), std::string::npos) << refusal("file", text);
  EXPECT_THROW(ExampleReader("/nowhere/at/all"), base::Error);
  EXPECT_THROW(ExampleReader("/tmp"), base::Error);
}

TEST_F(Reading, ManyRowsAreReadAcrossBuffers) {
  std::string text = "text,label\n";
  for (int i = 0; i < 20'000; ++i) text += "\"row " + std::to_string(i) + "\nmore\",x\n";
  auto read = reader("a.csv", text);
  std::uint64_t line = 2;
  std::size_t count = 0;
  while (const auto row = read.next()) {
    const auto& example = std::get<Example>(*row);
    ASSERT_EQ(example.place.line, line);
    ASSERT_EQ(example.classification()->text, "row " + std::to_string(count) + "\nmore");
    line += 2;
    ++count;
  }
  EXPECT_EQ(count, 20'000U);
  EXPECT_EQ(read.bytes_read(), text.size());
}

}  // namespace
}  // namespace malina::tune
