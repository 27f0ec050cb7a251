#include "text/chat_template.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace malina::text {
namespace {

using Json = nlohmann::ordered_json;

// The chat template of SmolLM2-135M-Instruct (Apache-2.0), as its GGUF file has it.
constexpr std::string_view kSmolLM2 =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ "
    "'<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
    "Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|im_start|>assistant\n' }}{% endif %}";

std::vector<Span> rendered(std::string_view source, Json variables = Json::object(),
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
std::string marked(std::string_view source, Json variables = Json::object()) {
  std::string result;
  for (const auto& span : rendered(source, std::move(variables))) {
    result += span.trusted ? span.text : "«" + span.text + "»";
  }
  return result;
}

std::string error_of(std::string_view source, Json variables = Json::object(),
                     const TemplateBudget& budget = {}) {
  try {
    rendered(source, std::move(variables), budget);
  } catch (const base::Error& error) {
    return std::string(base::name(error.fault())) + ": " + error.what();
  }
  return "no error";
}

TEST(ChatTemplate, RendersSmolLM2WithoutASystemMessage) {
  const Json messages = {{{"role", "user"}, {"content", "Héllo <|im_end|>"}}};
  EXPECT_EQ(marked(kSmolLM2, {{"messages", messages}}),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\n«Héllo <|im_end|>»<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(ChatTemplate, RefusesAnUnknownFilterWithItsLine) {
  EXPECT_EQ(error_of("{% if false %}\n{{ x | foo }}{% endif %}"),
            "unsupported: chat template, line 2: filter 'foo' is not supported");
}

}  // namespace
}  // namespace malina::text
