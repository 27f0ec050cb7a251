// For tests: what a chat template renders, in a form that a test can spell.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/chat_template.h"

namespace malina::text {

// `variables`: an object; its `messages` are those of the conversation.
inline std::vector<Span> rendered(
    std::string_view source, nlohmann::ordered_json variables = nlohmann::ordered_json::object(),
    const TemplateBudget& budget = {}) {
  TemplateInput input;
  if (variables.contains("messages")) {
    input.messages = variables["messages"];
    variables.erase("messages");
  }
  input.extra = std::move(variables);
  return ChatTemplate(source).render(input, budget);
}

// Trusted parts as they are, the others in «».
inline std::string marked(std::string_view source,
                          nlohmann::ordered_json variables = nlohmann::ordered_json::object()) {
  std::string result;
  for (const auto& span : rendered(source, std::move(variables))) {
    result += span.trusted ? span.text : "«" + span.text + "»";
  }
  return result;
}

inline std::string error_of(std::string_view source,
                            nlohmann::ordered_json variables = nlohmann::ordered_json::object(),
                            const TemplateBudget& budget = {}) {
  try {
    rendered(source, std::move(variables), budget);
  } catch (const base::Error& error) {
    return std::string(base::name(error.fault())) + ": " + error.what();
  }
  return "no error";
}

}  // namespace malina::text
