// Broken files of every format (tests/broken_data_sets), each with what is to be said of it:
// expected.json has the good rows and the bad lines, or why the file is refused as a whole.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "tune/example_reader.h"

namespace malina::tune {
namespace {

using Json = nlohmann::ordered_json;

const std::filesystem::path kFolder = MALINA_SOURCE_DIR "/tests/broken_data_sets";

// What reading a file gives, as expected.json says it.
Json outcome(const std::filesystem::path& path) {
  try {
    ExampleReader reader(path);
    Json errors = Json::object();
    int rows = 0;
    while (const auto row = reader.next()) {
      if (const auto* error = std::get_if<DatasetError>(&*row))
        errors[std::to_string(error->place.line)] = error->what;
      else
        ++rows;
    }
    return {{"rows", rows}, {"errors", errors}};
  } catch (const base::Error& error) {
    std::string what = error.what();
    const std::string name = path.string();
    for (auto at = what.find(name); at != std::string::npos; at = what.find(name))
      what.replace(at, name.size(), "FILE");
    return {{"refused", what}, {"fault", std::string(base::name(error.fault()))}};
  }
}

TEST(BrokenData, EachFileIsToldWhatIsWrongWithIt) {
  const Json expected = Json::parse(std::ifstream(kFolder / "expected.json"));
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.path().filename() != "expected.json") files.insert(entry.path().filename().string());
  ASSERT_GT(files.size(), 30U);
  for (const std::string& file : files) {
    const Json found = outcome(kFolder / file);
    EXPECT_EQ(found, expected.value(file, Json())) << '"' << file << "\": " << found.dump();
  }
  EXPECT_EQ(expected.size(), files.size());
}

}  // namespace
}  // namespace malina::tune
