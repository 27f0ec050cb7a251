// Data sets before training: what is wrong with them, and cutting them into parts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "platform/progress.h"
#include "tune/data/check.h"
#include "tune/data/split.h"

namespace malina::platform {

using tune::DataReport;
using tune::SplitReport;
using tune::SplitRequest;

struct DataCheckRequest {
  std::filesystem::path train;
  std::optional<std::filesystem::path> validation = {}, test = {};
  std::string text = {}, label = {};           // keys or columns; "": the usual names
  std::string model = {};                      // whose tokens are counted; "": characters alone
  std::optional<std::size_t> max_tokens = {};  // of a row; of the model's context where not set
  bool suspect_labels = false;  // look for labels that are probably wrong, which takes minutes
  double near = 0.8;
  double most_leaks = 0.01;
};

// The report under the keys of docs/reference/json.md: text of the data set is in it where a list
// names labels, otherwise lines alone.
nlohmann::ordered_json data_report_json(const DataReport& report);
nlohmann::ordered_json split_report_json(const SplitReport& report);
// One page that needs nothing else: no script, no other file, what is of the data set escaped.
std::string data_report_page(const DataReport& report);

std::string severity_name(tune::Severity severity);  // "error", "warning"
std::string answers_name(tune::Answers answers);     // "labels", "spans", "free"

}  // namespace malina::platform
