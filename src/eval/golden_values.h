// For tests: tests/golden/eval/statistics.json, made by tests/golden/eval_golden.py.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace malina::eval {

inline const nlohmann::json& golden_values() {
  static const nlohmann::json values =
      nlohmann::json::parse(std::ifstream(MALINA_SOURCE_DIR "/tests/golden/eval/statistics.json"));
  return values;
}

}  // namespace malina::eval
