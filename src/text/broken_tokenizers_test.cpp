// Opens every directory that tests/broken_tokenizers/make_broken.py makes, and holds the verdict of
// its table.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "text/hugging_face_tokenizer.h"
#include "text/tokenizer.h"

namespace malina::text {
namespace {

using base::Fault;

struct Case {
  std::string path, verdict;
  std::vector<std::string> words;
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> pieces(1);
  for (const char c : text)
    if (c == separator)
      pieces.emplace_back();
    else
      pieces.back() += c;
  return pieces;
}

// What the script printed, or what went wrong with it.
std::string make_files(const std::filesystem::path& directory) {
  const std::string command = "python3 '" MALINA_SOURCE_DIR
                              "/tests/broken_tokenizers/make_broken.py' '" +
                              directory.string() + "' 2>&1";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return "cannot run " + command;
  std::string output;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  if (::pclose(pipe) != 0) return "failed: " + output;
  return output;
}

std::vector<Case> read_table(const std::filesystem::path& directory) {
  std::vector<Case> cases;
  std::ifstream table(directory / "table.tsv");
  for (std::string line; std::getline(table, line);) {
    const auto columns = split(line, '\t');
    if (columns.size() == 3)
      cases.push_back({columns[0], columns[1], split(columns[2], '|')});
    else
      ADD_FAILURE() << "not a line of the table: " << line;
  }
  return cases;
}

void open_and_use(const std::filesystem::path& directory) {
  format::MetadataBuilder builder;
  add_hugging_face_tokenizer(directory, builder);
  const format::Metadata metadata = builder.build(directory.string());
  const auto tokenizer = Tokenizer::create(metadata);
  const auto tokens = tokenizer->encode(" hello <s> he\n\xff", {.parse_special = true});
  static_cast<void>(tokenizer->decode(tokens, true));
}

void expect_clear(const Case& each, const base::Error& error) {
  const std::string message = error.what();
  EXPECT_TRUE(
      std::any_of(each.words.begin(), each.words.end(),
                  [&](const std::string& word) { return message.find(word) != std::string::npos; }))
      << each.path << ": " << message;
  EXPECT_TRUE(message.find(".json") != std::string::npos ||
              message.find("tokenizer.model") != std::string::npos ||
              message.find("chat template") != std::string::npos)
      << "names no file: " << message;
  EXPECT_TRUE(
      std::all_of(message.begin(), message.end(), [](char c) { return c >= 0x20 && c < 0x7f; }))
      << each.path << " puts its own bytes on the terminal: " << message;
  const Fault fault = error.fault();
  EXPECT_TRUE(fault == Fault::corrupt_file || fault == Fault::unsupported ||
              fault == Fault::not_found)
      << each.path << ": " << base::name(fault) << ": " << message;
}

TEST(BrokenTokenizers, AreRefusedWithOneClearSentence) {
  const base::TemporaryDirectory directory;
  const std::string output = make_files(directory.path());
  ASSERT_NE(output.find(" broken"), std::string::npos) << output;
  std::map<std::string, int> broken;
  for (const Case& each : read_table(directory.path())) {
    if (each.verdict == "refused") ++broken[each.path.substr(0, each.path.find('/'))];
    try {
      open_and_use(directory.path() / each.path);
      EXPECT_NE(each.verdict, "refused") << each.path << " was opened";
    } catch (const base::Error& error) {
      EXPECT_NE(each.verdict, "legal") << each.path << ": " << error.what();
      if (each.verdict == "refused") expect_clear(each, error);
    }
  }
  EXPECT_GE(broken["json"], 150);
  EXPECT_GE(broken["model"], 100);
  EXPECT_GE(broken["settings"], 100);
}

}  // namespace
}  // namespace malina::text
