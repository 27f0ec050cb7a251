#include "text/chat_template.h"

#include <gtest/gtest.h>

#include "text/test_templates.h"

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

TEST(ChatTemplate, RendersSmolLM2WithoutASystemMessage) {
  const Json messages = {{{"role", "user"}, {"content", "Héllo <|im_end|>"}}};
  EXPECT_EQ(marked(kSmolLM2, {{"messages", messages}}),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\n«Héllo <|im_end|>»<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(ChatTemplate, TellsTheTimeWithoutPaddingAsPythonOnLinuxDoes) {
  for (const std::string directive : {"d", "m", "H", "I", "M", "S", "j", "y"})
    EXPECT_EQ(marked("{{ strftime_now('%-" + directive + "') == strftime_now('%" + directive +
                         "')|int|string }}",
                     Json::object()),
              "True")
        << directive;
  EXPECT_NE(error_of("{{ strftime_now('%-a') }}"), "no error");
  EXPECT_NE(error_of("{{ strftime_now('%-') }}"), "no error");
}

TEST(ChatTemplate, RefusesAnUnknownFilterWithItsLine) {
  EXPECT_EQ(error_of("{% if false %}\n{{ x | foo }}{% endif %}"),
            "unsupported: chat template, line 2: filter 'foo' is not supported");
}

std::string repeated(std::string_view text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

TEST(ChatTemplate, EndsHostileTemplatesByItsBudget) {
  const std::pair<std::string, std::string> all[] = {
      {"{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}", "nests deeper"},
      {"{{ " + repeated("not ", 5000) + "1 }}", "nests deeper"},
      {"{{ 1" + repeated(" + 1", 5000) + " }}", "nests deeper"},
      {"{{ x" + repeated("|trim", 5000) + " }}", "nests deeper"},
      {repeated("{% if 1 %}", 5000), "nests deeper"},
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nests deeper"},
      {"{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "steps"},
      {"{{ 'a' * 10 ** 12 }}", "longer than"},
      {"{{ '%999999999d' % 1 }}", "longer than"},
      {"{{ ([0] * 10 ** 12) | length }}", "steps"},
      {"{{ range(10 ** 9) }}", "more than 100000 items"},
      {"{% set n = namespace(l=[]) %}{% for i in range(9999) %}{% set n.l = [n.l] %}{% endfor %}",
       "nested deeper"},
      {"{% set n = namespace(g=[1]) %}{% for i in range(9999) %}"
       "{% set n.g = n.g | map('string') %}{% endfor %}{{ n.g | list }}",
       "nested deeper"},
      {"{{ ('[' * 5000) | fromjson }}", "nested deeper"},
  };
  for (const auto& [source, reason] : all) {
    const std::string error = error_of(source);
    EXPECT_NE(error.find(reason), std::string::npos) << source.substr(0, 100) << "\n" << error;
  }
}

// Found by comparing random templates with Jinja2.
TEST(ChatTemplate, FollowsJinja2IntoItsCorners) {
  const auto raises = [](std::string_view source) { return error_of(source) != "no error"; };
  EXPECT_TRUE(raises("{{ dict(q, a=1) }}"));
  EXPECT_TRUE(raises("{{ [] is filter }}"));
  EXPECT_TRUE(raises("{{ 'a'.splitlines([]) }}"));
  EXPECT_TRUE(raises("{% filter length %}a{% endfilter %}"));
  EXPECT_EQ(marked("{{ [1] | truncate }}{{ (q | truncate) is defined }}"), "[1]False");
  EXPECT_EQ(marked("{% set n = namespace() %}{% set n.a = {'k': n}.items() %}{{ n.a }}"),
            "dict_items([('k', <Namespace {'a': ...}>)])");
  // Python's generators find out when they are asked for an item.
  EXPECT_EQ(marked("{{ (1 | items) is defined }}{{ (1 | batch(2)) is defined }}"), "TrueTrue");
  EXPECT_TRUE(raises("{{ 1 | items | list }}") && raises("{{ 1 | batch(2) | list }}"));
  EXPECT_TRUE(raises("{{ ([] | batch) is defined }}") &&
              raises("{{ ({} | items(1)) is defined }}"));
  EXPECT_EQ(marked("{{ 'abc' | batch(2.0) | list }}{{ 'abc' | batch(2, 'x') | list }}"),
            "[['a', 'b'], ['c']][['a', 'b'], ['c', 'x']]");
  EXPECT_EQ(error_of("{{ 10 ** 39 }}"),
            "unsupported: chat template, line 1: integers beyond 127 bits are not supported");
}

}  // namespace
}  // namespace malina::text
