// A model's own chat template: a sandboxed subset of Jinja2 that gives Jinja2's result byte for
// byte.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_template_budget.h"
#include "text/tokenizer.h"

namespace malina::text {

// What a template sees. Variables are those that Transformers passes: `messages`, `tools`,
// `documents` (none, unless `extra` has it), `add_generation_prompt`, and the special tokens.
struct TemplateInput {
  nlohmann::ordered_json messages;  // array of {role, content, ...}
  nlohmann::ordered_json tools;     // array, or null: none in the template
  nlohmann::ordered_json extra = nlohmann::ordered_json::object();  // further variables
  bool add_generation_prompt = true;
  std::string bos_token = {}, eos_token = {};  // an empty one is undefined in the template
  std::chrono::system_clock::time_point now = std::chrono::system_clock::now();  // strftime_now
};

// Immutable after construction; safe on many threads.
class ChatTemplate {
 public:
  // Parses and checks every construct. An unsupported or malformed one throws
  // base::Error(unsupported / corrupt_file) with its line: "chat template, line 12: filter 'foo' is
  // not supported".
  explicit ChatTemplate(std::string_view source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // The text with the provenance of each part: literals and bos/eos of the template are trusted,
  // anything derived from messages, tools or extra is not (a string is a sequence of pieces and
  // each piece keeps its own provenance through concatenation, slicing, trim, replace, tojson,
  // ...). A message's role is the template's own word where it is one of the usual ones (system,
  // user, assistant, tool, ...): templates write control tokens as '<|' + role + '|>'. Neighbouring
  // spans differ in provenance and none is empty. raise_exception() throws
  // base::Error(invalid_argument) with the template's own message. So does everything at which
  // Jinja2 raises, always with the line.
  std::vector<Span> render(const TemplateInput& input, const TemplateBudget& budget = {}) const;

 private:
  struct Program;
  std::unique_ptr<const Program> program_;
};

std::string join(const std::vector<Span>& spans);  // the plain text

}  // namespace malina::text
