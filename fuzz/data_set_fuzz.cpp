// A data set of any format. Whatever is read can be read again from its place, spans lie in their
// texts between characters, and lines go forward.
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "finding.h"
#include "text/unicode.h"
#include "tune/data/example_text.h"
#include "tune/data/personal_data.h"
#include "tune/data/plain_text.h"
#include "tune/example_reader.h"

namespace {

using namespace malina;
using namespace malina::tune;
using fuzz::require;

bool begins_character(const std::string& text, std::size_t at) {
  return at == text.size() || (text[at] & 0xC0) != 0x80;
}

void check_example(const Example& example, const ExampleReader& reader) {
  if (const auto* one = example.classification()) {
    for (const Slot& slot : one->slots) {
      require(slot.start < slot.end && slot.end <= one->text.size());
      require(begins_character(one->text, slot.start) && begins_character(one->text, slot.end));
    }
    for (const std::string& label : one->labels) require(!label.empty());
  }
  const std::string text = whole_text(example);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = text::valid_character(std::string_view(text).substr(at));
    require(bytes > 0);
    at += bytes;
  }
  std::size_t end = 0;
  for (const PersonalDataFound& found : find_personal_data(text)) {
    require(found.begin >= end && found.begin < found.end && found.end <= text.size());
    end = found.end;
  }
  require(!shingles(plain_text(text)).empty());
  const Row again = reader.at(example.place);
  const auto* same = std::get_if<Example>(&again);
  require(same != nullptr);
  require(question_of(*same) == question_of(example) && answer_of(*same) == answer_of(example));
}

void read(const std::string& path) {
  try {
    ReadOptions options;
    options.limits.row_bytes = 4096;
    ExampleReader reader(path, options);
    std::uint64_t line = 0, rows = 0;
    while (const auto row = reader.next()) {
      ++rows;
      const auto* example = std::get_if<Example>(&*row);
      const RowPlace& place = example ? example->place : std::get<DatasetError>(*row).place;
      require(place.line >= line && place.line >= 1);
      line = place.line;
      if (example)
        check_example(*example, reader);
      else
        require(!std::get<DatasetError>(*row).what.empty());
    }
    reader.rewind();
    for (; reader.next(); --rows) require(rows > 0);
    require(rows == 0);
  } catch (const base::Error& error) {
    require(error.fault() == base::Fault::corrupt_file ||
            error.fault() == base::Fault::unsupported);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const base::TemporaryDirectory directory;
  // The name matters for two forms.
  static const std::vector<std::string> names{"data", "data.tsv", "data.jsonl"};
  for (const std::string& name : names) {
    const std::string path = (directory.path() / name).string();
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
    read(path);
  }
  return 0;
}
