// A model's own chat template: a sandboxed subset of Jinja2 that gives Jinja2's result byte for byte.
#pragma once

#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace malina::text {

// Bounds on one rendering; passing one throws base::Error(invalid_argument) that says which.
struct TemplateBudget {
  std::size_t steps = 1'000'000;         // statements and expressions evaluated
  std::size_t depth = 64;                // nesting of expressions, blocks, macros and values
  std::size_t output_bytes = 8'000'000;  // rendered text, and any one string made on the way
};

struct TemplateInput {
  nlohmann::ordered_json messages;            // array of {role, content, ...}
  nlohmann::ordered_json tools;               // array, or null: undefined in the template
  nlohmann::ordered_json extra = nlohmann::ordered_json::object();  // further variables
  bool add_generation_prompt = true;
  std::string bos_token, eos_token;
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
  // anything derived from messages, tools or extra is not (a string is a sequence of pieces and each
  // piece keeps its own provenance through concatenation, slicing, trim, replace, tojson, ...).
  // raise_exception() throws base::Error(invalid_argument) with the template's own message.
  std::vector<Span> render(const TemplateInput& input, const TemplateBudget& budget = {}) const;

 private:
  struct Program;
  std::unique_ptr<const Program> program_;
};

std::string join(const std::vector<Span>& spans);  // the plain text

}  // namespace malina::text
