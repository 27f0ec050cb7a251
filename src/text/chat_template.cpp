#include "text/chat_template.h"

#include <algorithm>
#include <array>

#include "text/jinja_interpreter.h"
#include "text/jinja_json.h"
#include "text/jinja_parser.h"
#include "text/jinja_scope.h"
#include "text/jinja_unicode.h"

namespace malina::text {
namespace {

using jinja::Runtime;
using jinja::Type;
using jinja::Value;

constexpr std::array<std::string_view, 8> kRoles = {"assistant", "developer", "function", "ipython",
                                                    "model",     "system",    "tool",     "user"};

Value message(Runtime& runtime, const nlohmann::ordered_json& json) {
  Value value = jinja::from_json(runtime, json, false);
  if (!value.is(Type::dict)) return value;
  auto& dict = value.as<jinja::Dict>();
  const Value* role = dict.find("role");
  if (role == nullptr || !role->is(Type::text)) return value;
  const auto* const known = std::find(kRoles.begin(), kRoles.end(), role->text()->bytes());
  if (known != kRoles.end()) {
    dict.set(runtime, Value::text("role"), Value::text(std::string(*known)));
  }
  return value;
}

Value messages(Runtime& runtime, const nlohmann::ordered_json& json) {
  if (!json.is_array()) return jinja::from_json(runtime, json, false);
  jinja::Values items;
  for (const auto& item : json) items.push_back(message(runtime, item));
  return jinja::make_list(runtime, std::move(items), false);
}

void add_token(Runtime& runtime, jinja::Dict& context, std::string name, const std::string& token) {
  if (token.empty()) return;
  if (jinja::first_invalid_utf8(token)) runtime.fail(name + " is not valid UTF-8");
  context.set(runtime, Value::text(std::move(name)), Value::text(token));
}

// Later ones replace earlier ones, as Python's keyword arguments do.
void fill(Runtime& runtime, jinja::Dict& context, const TemplateInput& input) {
  const auto set = [&](std::string name, Value value) {
    context.set(runtime, Value::text(std::move(name)), std::move(value));
  };
  set("messages", messages(runtime, input.messages));
  set("tools", jinja::from_json(runtime, input.tools, false));
  set("documents", Value::none());
  set("add_generation_prompt", Value::boolean(input.add_generation_prompt));
  add_token(runtime, context, "bos_token", input.bos_token);
  add_token(runtime, context, "eos_token", input.eos_token);
  if (input.extra.is_null()) return;
  if (!input.extra.is_object()) runtime.fail("the further variables are not an object");
  for (const auto& [name, value] : input.extra.items()) {
    set(name, jinja::from_json(runtime, value, false));
  }
}

}  // namespace

struct ChatTemplate::Program {
  jinja::Tree tree;
};

ChatTemplate::ChatTemplate(std::string_view source) {
  auto program = std::make_unique<Program>();
  program->tree = jinja::parse(source);
  jinja::place_variables(program->tree);
  program_ = std::move(program);
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::vector<Span> ChatTemplate::render(const TemplateInput& input,
                                       const TemplateBudget& budget) const {
  Runtime runtime(budget, input.now);
  jinja::Dict context;
  fill(runtime, context, input);
  const auto text = jinja::render(runtime, program_->tree, context);
  std::vector<Span> spans;
  std::size_t begin = 0;
  for (const auto& run : text->runs()) {
    spans.push_back({std::string(text->bytes().substr(begin, run.end - begin)), run.trusted});
    begin = run.end;
  }
  return spans;
}

std::string join(const std::vector<Span>& spans) {
  std::string text;
  for (const auto& span : spans) text += span.text;
  return text;
}

}  // namespace malina::text
