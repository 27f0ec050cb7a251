// Reads every adapter that tests/broken_adapters/make_broken.py makes, and holds the verdict of its
// table.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "model/peft.h"

namespace malina::model {
namespace {

using base::Fault;

struct Case {
  std::string path;
  bool legal;
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

std::vector<Case> make_cases(const std::filesystem::path& directory) {
  const std::string command = "python3 '" MALINA_SOURCE_DIR
                              "/tests/broken_adapters/make_broken.py' '" +
                              directory.string() + "' >/dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  std::vector<Case> cases;
  std::ifstream table(directory / "table.tsv");
  for (std::string line; std::getline(table, line);) {
    const auto columns = split(line, '\t');
    cases.push_back({columns.at(0), columns.at(1) == "legal", split(columns.at(2), '|')});
  }
  return cases;
}

void expect_clear(const Case& each, const base::Error& error) {
  const std::string message = error.what();
  EXPECT_TRUE(
      std::any_of(each.words.begin(), each.words.end(),
                  [&](const std::string& word) { return message.find(word) != std::string::npos; }))
      << each.path << ": " << message;
  EXPECT_NE(message.find(each.path), std::string::npos) << "names no file: " << message;
  EXPECT_TRUE(
      std::all_of(message.begin(), message.end(), [](char c) { return c >= 0x20 && c < 0x7f; }))
      << each.path << " puts its own bytes on the terminal: " << message;
  EXPECT_TRUE(error.fault() == Fault::corrupt_file || error.fault() == Fault::unsupported ||
              error.fault() == Fault::not_found)
      << each.path << ": " << base::name(error.fault()) << ": " << message;
}

TEST(BrokenAdapters, AreRefusedWithOneClearSentence) {
  const base::TemporaryDirectory directory;
  const std::vector<Case> cases = make_cases(directory.path());
  EXPECT_GE(cases.size(), 80u);
  math::PlanningDevice device;
  const auto model = Model::plan(
      format::Checkpoint::open(MALINA_SOURCE_DIR "/tests/golden/tiny/untied_f32.gguf"), device);
  for (const Case& each : cases) {
    try {
      const PeftAdapter adapter = read_peft(directory.path() / each.path, *model);
      EXPECT_TRUE(each.legal) << each.path << " was read";
      EXPECT_EQ(adapter.warnings.size(), each.path == "key-unknown" ? 1u : 0u) << each.path;
    } catch (const base::Error& error) {
      EXPECT_FALSE(each.legal) << each.path << ": " << error.what();
      if (!each.legal) expect_clear(each, error);
    }
  }
}

}  // namespace
}  // namespace malina::model
