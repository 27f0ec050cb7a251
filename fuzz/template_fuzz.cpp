// A chat template and a conversation, both hostile: rendering ends within its budget, and of what
// the content says nothing counts as the template's own.
//
// Input: the template, a zero byte, then what goes into the conversation: a JSON object becomes
// variables, anything else the content of messages.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "finding.h"
#include "text/chat_template.h"

namespace {

using namespace malina;
using fuzz::require;
using Json = nlohmann::ordered_json;

constexpr std::string_view kMark = "\xEE\x80\x80";  // U+E000, in every content
constexpr text::TemplateBudget kBudget{.steps = 20'000, .depth = 100, .output_bytes = 200'000};

text::TemplateInput input_of(std::string_view rest) {
  text::TemplateInput input;
  std::string content(rest.substr(0, 1000));
  content += kMark;
  const Json variables = Json::parse(rest, nullptr, false);
  if (variables.is_object()) input.extra = variables;
  const Json call = {{"function", {{"name", content}, {"arguments", {{content, 1}}}}}};
  input.messages =
      Json::array({{{"role", "system"}, {"content", content}},
                   {{"role", "user"}, {"content", {{{"text", content}}}}},
                   {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", {call}}},
                   {{"role", content}, {"content", ""}}});
  input.tools = Json::array({call});
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  return input;
}

void check(const std::vector<text::Span>& spans, bool marks_are_content) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    require(!spans[i].text.empty());
    require(i == 0 || spans[i].trusted != spans[i - 1].trusted);
    size += spans[i].text.size();
    if (spans[i].trusted && marks_are_content) {
      require(spans[i].text.find(kMark) == std::string::npos);
    }
  }
  require(size <= kBudget.output_bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string_view source = bytes.substr(0, bytes.find('\0'));
  const std::string_view rest = source.size() < size ? bytes.substr(source.size() + 1) : "";
  // A template may spell the mark itself, with an escape too.
  const bool marks_are_content =
      source.find(kMark) == std::string_view::npos && source.find('\\') == std::string_view::npos;
  try {
    const text::ChatTemplate program(source);
    check(program.render(input_of(rest), kBudget), marks_are_content);
  } catch (const base::Error& error) {
    require(error.fault() != base::Fault::internal);
  }
  return 0;
}
