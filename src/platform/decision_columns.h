// What the answer to a question adds to a row of a table.
#pragma once

#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/decision.h"

namespace malina::platform {

struct DecisionColumns {
  std::string prefix;
  bool escalates;  // has the last one
  static constexpr std::array<std::string_view, 7> kNames{
      "answer", "probability", "confidence", "label_mass", "abstain", "error", "escalated_to"};
  static constexpr std::size_t kError = 5;

  std::size_t count() const { return kNames.size() - (escalates ? 0 : 1); }
  std::string name(std::size_t i) const { return prefix + std::string(kNames[i]); }
  // Of a refused decision only the error means something, of others all but the error.
  static std::array<nlohmann::ordered_json, kNames.size()> values_of(const Decision& decision);
};

// For each question, so that no name is `taken` or twice there.
std::vector<DecisionColumns> decision_columns(const std::vector<QuestionPointer>& questions,
                                              std::span<const std::string> taken);

}  // namespace malina::platform
