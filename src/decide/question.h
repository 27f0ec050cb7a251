// A typed question: what is asked of a text, and which answers there are.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace malina::decide {

using Json = nlohmann::ordered_json;

enum class QuestionType {
  predicate,  // is a statement about the text true
  choice,     // one of several values; or any number of them (Question::multiple)
  score,      // a level of an ordered scale
  extract,    // stretches of the text itself
};
std::string_view name(QuestionType type);

// How the log-probabilities of a label's tokens become its score (label_scores.h).
enum class Normalisation { sum, mean };

struct Option {
  std::string label;             // as a model writes it: a choice's value, a level's label
  std::string description = {};  // may be empty
  bool boolean = false;          // the value is JSON's true or false, not a text
};

struct Question {
  QuestionType type = QuestionType::predicate;
  std::string name = {};  // may be empty
  std::string instructions = {};
  std::vector<Option> options = {};  // of a choice; of a score the levels, the lowest first
  bool multiple = false;             // of a choice: each value is a predicate of its own

  Normalisation normalisation = Normalisation::sum;
  bool subtract_prior = false;          // what the model says without a text is taken off
  std::optional<double> abstain_below;  // of the answer's probability
  std::string escalate_to = {};         // who is asked where it abstains: an alias or an upstream
  std::size_t most_spans = 16;          // of extract
};

struct QuestionLimits {
  std::size_t questions = 400;  // as OpenAI's decisions
  std::size_t options = 1000;   // OpenAI: 255
  std::size_t label_bytes = 512;
  std::size_t description_bytes = 4096;
  std::size_t instructions_bytes = std::size_t{64} << 10;
  std::size_t name_bytes = 128;
};

// One question, or a list of them, in OpenAI's wire (types/decision_create_params.py):
//
//   {"type": "predicate", "name": "urgent", "instructions": "The message is urgent."}
//   {"type": "choice", "instructions": "...", "choices": [{"value": "a", "description": "..."}]}
//   {"type": "score", "instructions": "...", "levels": [{"label": "low"}, {"label": "high"}]}
//
// and of our own {"type": "extract"}, "multiple", "normalization" (sum | mean), "prior" (none |
// content_free), "abstain_below", "escalate_to", "most_spans"; a choice or a level may be the text
// alone. Throws base::Error(invalid_argument) with the JSON path: "questions[1].choices[0].value:
// ..."; `path` is that of `json`, which may be empty.
std::vector<Question> parse_questions(const Json& json, const std::string& path,
                                      const QuestionLimits& limits = {});

// The questions of the file: parse_questions() after base::parse_json().
std::vector<Question> parse_question_file(std::string_view text, const std::string& file);

// POST /v1/systemone's: a map of {type: choice | score | noul, instructions, criteria} by name, in
// its order. `abstain`: the request's threshold, `escalate_to`: who is asked what is below it; or
// an object of them by question or by type; null: none.
std::vector<Question> parse_systemone(const Json& json, const std::string& path,
                                      const Json& abstain = {}, const Json& escalate_to = {},
                                      const QuestionLimits& limits = {});

}  // namespace malina::decide
