// Opens every file that tests/broken_gguf/make_broken.py makes, and holds the verdict of its table.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "format/checkpoint.h"

namespace malina::format {
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

// What the script printed, or what went wrong with it.
std::string make_files(const std::filesystem::path& directory) {
  const std::string command = "python3 '" MALINA_SOURCE_DIR "/tests/broken_gguf/make_broken.py' '" +
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
    if (columns.size() != 3 || (columns[1] != "legal" && columns[1] != "refused")) {
      ADD_FAILURE() << "not a line of the table: " << line;
      continue;
    }
    cases.push_back({columns[0], columns[1] == "legal", split(columns[2], '|')});
  }
  return cases;
}

void read_everything(const Checkpoint& checkpoint) {
  std::vector<std::byte> data;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    data.resize(tensor.bytes);
    checkpoint.read(tensor, 0, data);
    EXPECT_EQ(checkpoint.find(tensor.name), &tensor);
    EXPECT_EQ(tensor.encoding->row_bytes(tensor.columns()) * tensor.rows(), tensor.bytes);
  }
  for (const Metadata::Entry& entry : checkpoint.metadata().entries())
    EXPECT_EQ(checkpoint.metadata().find(entry.key), &entry.value);
}

void expect_clear(const Case& each, const base::Error& error) {
  const std::string message = error.what();
  const bool fits = std::any_of(each.words.begin(), each.words.end(), [&](const std::string& word) {
    return message.find(word) != std::string::npos;
  });
  EXPECT_TRUE(fits) << each.path << ": " << message;
  EXPECT_NE(message.find(".gguf"), std::string::npos) << "names no file: " << message;
  EXPECT_TRUE(
      std::all_of(message.begin(), message.end(), [](char c) { return c >= 0x20 && c < 0x7f; }))
      << each.path << " puts its own bytes on the terminal: " << message;
  const Fault fault = error.fault();
  EXPECT_TRUE(fault == Fault::corrupt_file || fault == Fault::unsupported ||
              fault == Fault::not_found || fault == Fault::invalid_argument)
      << each.path << ": " << base::name(fault) << ": " << message;
}

TEST(BrokenGguf, IsRefusedWithOneClearSentence) {
  const base::TemporaryDirectory directory;
  const std::string output = make_files(directory.path());
  ASSERT_NE(output.find("broken files and"), std::string::npos) << output;
  const std::vector<Case> cases = read_table(directory.path());
  const auto legal =
      std::count_if(cases.begin(), cases.end(), [](const Case& c) { return c.legal; });
  EXPECT_GE(std::ssize(cases) - legal, 200);
  EXPECT_GE(legal, 50);
  for (const Case& each : cases) {
    try {
      const auto checkpoint = Checkpoint::open(directory.path() / each.path);
      EXPECT_TRUE(each.legal) << each.path << " was opened";
      if (each.legal) read_everything(*checkpoint);
    } catch (const base::Error& error) {
      EXPECT_FALSE(each.legal) << each.path << ": " << error.what();
      if (!each.legal) expect_clear(each, error);
    }
  }
}

}  // namespace
}  // namespace malina::format
