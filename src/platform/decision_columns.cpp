#include "platform/decision_columns.h"

#include <fmt/format.h>

#include <algorithm>

namespace malina::platform {

using Json = nlohmann::ordered_json;

std::array<Json, DecisionColumns::kNames.size()> DecisionColumns::values_of(
    const Decision& decision) {
  return {Json(decision.answer),
          Json(decision.probability),
          Json(decision.confidence),
          Json(decision.label_mass),
          Json(decision.abstain),
          Json(decision.refusal),
          !decision.refusal.empty() ? Json() : decision.json.value("escalated_to", Json())};
}

std::vector<DecisionColumns> decision_columns(const std::vector<QuestionPointer>& questions,
                                              std::span<const std::string> taken) {
  std::vector<DecisionColumns> all;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const std::string name = question_name(*questions[i]);
    DecisionColumns& columns = all.emplace_back(
        DecisionColumns{.prefix = {}, .escalates = !escalation_of(*questions[i]).empty()});
    if (questions.size() > 1)
      columns.prefix = (name.empty() ? fmt::format("q{}", i + 1) : name) + "_";
    const auto clashes = [&] {
      for (std::size_t other = 0; other < i; ++other)
        if (all[other].prefix == columns.prefix) return true;
      for (std::size_t each = 0; each < columns.count(); ++each)
        if (std::ranges::find(taken, columns.name(each)) != taken.end()) return true;
      return false;
    };
    while (clashes()) columns.prefix = "decision_" + columns.prefix;
  }
  return all;
}

}  // namespace malina::platform
