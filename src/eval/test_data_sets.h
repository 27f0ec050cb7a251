// For tests and benchmarks: public labelled texts, which stand beside the source tree
// (../shared/data, or the folder that MALINA_TEST_DATA names) and are no part of it.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/csv.h"

namespace malina::eval {

struct LabelledTexts {
  std::vector<std::string> texts, labels;
  void add(std::string text, std::string label) {
    texts.push_back(std::move(text));
    labels.push_back(std::move(label));
  }
};

struct TestData {
  LabelledTexts train, test;
};

inline std::filesystem::path test_data_folder() {
  if (const char* folder = std::getenv("MALINA_TEST_DATA")) return folder;
  return std::filesystem::path(MALINA_SOURCE_DIR).parent_path() / "shared" / "data";
}

inline bool has_test_data() { return std::filesystem::exists(test_data_folder() / "banking77"); }

inline std::string test_file(const std::string& name) {
  std::ifstream stream(test_data_folder() / name, std::ios::binary);
  if (!stream) throw std::runtime_error("cannot read " + (test_data_folder() / name).string());
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Columns of the text and of the label.
inline LabelledTexts read_table(const std::string& name, char separator, std::size_t text,
                                std::size_t label) {
  const std::string content = test_file(name);
  LabelledTexts result;
  if (separator == ',') {
    std::size_t place = 0;
    base::CsvReader reader([&](std::span<char> buffer) {
      const std::size_t count = std::min(buffer.size(), content.size() - place);
      std::copy_n(content.data() + place, count, buffer.data());
      place += count;
      return count;
    });
    base::CsvRecord record;
    for (bool header = true; reader.next(record); header = false)
      if (!header) result.add(record.fields.at(text), record.fields.at(label));
    return result;
  }
  std::istringstream lines(content);  // no quotes
  std::string line;
  for (bool header = true; std::getline(lines, line); header = false) {
    std::vector<std::string> fields;
    std::istringstream row(line);
    for (std::string field; std::getline(row, field, separator);) fields.push_back(field);
    if (!header) result.add(fields.at(text), fields.at(label));
  }
  return result;
}

inline std::string between(const std::string& text, std::string_view before,
                           std::string_view after) {
  const std::size_t begin = text.find(before);
  const std::size_t from = begin == std::string::npos ? 0 : begin + before.size();
  const std::size_t end = text.rfind(after);
  return text.substr(from, end == std::string::npos || end < from ? end : end - from);
}

inline LabelledTexts read_complaints(const std::string& name, std::string_view before) {
  LabelledTexts result;
  for (const auto& item : nlohmann::json::parse(test_file("cfpb_complaints/" + name)))
    result.add(between(item.at("input"), before, "\nProduct"), item.at("output"));
  return result;
}

inline LabelledTexts read_intents(const std::string& name) {
  LabelledTexts result;
  std::istringstream lines(test_file("snips/" + name));
  for (std::string line; std::getline(lines, line);) {
    const auto item = nlohmann::json::parse(line);
    result.add(item.at("text"), item.at("intent"));
  }
  return result;
}

inline LabelledTexts read_clinc(const nlohmann::json& data, const std::string& part) {
  LabelledTexts result;
  for (const auto& item : data.at(part)) result.add(item.at(0), item.at(1));
  return result;
}

// banking77, cfpb, snips, clinc150 (in scope), sib200-czech, sib200-english.
inline TestData read_test_data(const std::string& name) {
  if (name == "banking77")
    return {read_table("banking77/train.csv", ',', 0, 1),
            read_table("banking77/test.csv", ',', 0, 1)};
  if (name == "cfpb")
    return {read_complaints("cfpb_train.json", "Narrative:"),
            read_complaints("cfpb_test.json", "Comment:")};
  if (name == "snips") return {read_intents("train.jsonl"), read_intents("test.jsonl")};
  if (name == "clinc150") {
    const auto data = nlohmann::json::parse(test_file("clinc150/data_full.json"));
    return {read_clinc(data, "train"), read_clinc(data, "test")};
  }
  if (name == "sib200-czech" || name == "sib200-english") {
    const std::string folder = name == "sib200-czech" ? "sib200/ces_Latn/" : "sib200/eng_Latn/";
    return {read_table(folder + "train.tsv", '\t', 2, 1),
            read_table(folder + "test.tsv", '\t', 2, 1)};
  }
  throw std::runtime_error(name + " is no data set that is known here");
}

}  // namespace malina::eval
