#include "decide/question.h"

#include <fmt/format.h>

#include <array>
#include <set>

#include "base/error.h"
#include "base/json_text.h"
#include "base/quote.h"
#include "decide/question_fields.h"

namespace malina::decide {

using base::Error;
using base::Fault;

std::string_view name(QuestionType type) {
  constexpr std::array<std::string_view, 4> kNames{"predicate", "choice", "score", "extract"};
  return kNames[static_cast<std::size_t>(type)];
}

namespace {

const std::vector<std::string> kTypes{"predicate", "choice", "score", "extract"};

QuestionType type_of(const Fields& fields) {
  const std::string word = fields.word("type", kTypes);
  for (const auto type : {QuestionType::predicate, QuestionType::choice, QuestionType::score})
    if (word == name(type)) return type;
  return QuestionType::extract;
}

// A text, or OpenAI's list of parts.
std::string instructions_of(const Fields& fields, const QuestionLimits& limits) {
  const Json& json = fields.required("instructions");
  const std::string path = fields.path("instructions");
  std::string text = text_of_parts(json, path);
  if (text.find_first_not_of(" \t\r\n") == text.npos) throw refusal(path, "is empty");
  check_size(text, limits.instructions_bytes, path);
  return text;
}

Option option_of(const Json& json, const std::string& path, const char* key,
                 const QuestionLimits& limits) {
  Option option;
  const auto label = [&](const Json& value, const std::string& where) {
    if (value.is_boolean() && std::string_view(key) == "value") {
      option.boolean = true;
      option.label = value.get<bool>() ? "true" : "false";
    } else if (value.is_string()) {
      option.label = value.get<std::string>();
    } else {
      throw refusal(where, "must be a text");
    }
    check_label(option.label, limits.label_bytes, where);
  };
  if (!json.is_object()) {
    label(json, path);
    return option;
  }
  const Fields fields(json, path, {key, "description"});
  label(fields.required(key), fields.path(key));
  option.description = fields.text("description", limits.description_bytes);
  return option;
}

std::vector<Option> options_of(const Fields& fields, const char* list, const char* key,
                               const QuestionLimits& limits) {
  const Json& json = fields.required(list);
  const std::string path = fields.path(list);
  if (!json.is_array()) throw refusal(path, "must be a list");
  std::vector<Option> options;
  for (std::size_t i = 0; i < json.size(); ++i)
    options.push_back(option_of(json[i], fmt::format("{}[{}]", path, i), key, limits));
  check_options(options, path, limits.options);
  return options;
}

Question question_of(const Json& json, const std::string& path, const QuestionLimits& limits) {
  const Fields fields(json, path,
                      {"type", "name", "instructions", "choices", "levels", "multiple",
                       "normalization", "prior", "abstain_below", "escalate_to", "most_spans"});
  Question question;
  question.type = type_of(fields);
  question.name = fields.text("name", limits.name_bytes);
  question.instructions = instructions_of(fields, limits);
  const bool choice = question.type == QuestionType::choice;
  const bool extract = question.type == QuestionType::extract;
  if (choice) question.options = options_of(fields, "choices", "value", limits);
  if (question.type == QuestionType::score)
    question.options = options_of(fields, "levels", "label", limits);
  fields.only_for("choices", choice, "a choice");
  fields.only_for("levels", question.type == QuestionType::score, "a score");
  fields.only_for("multiple", choice, "a choice");
  fields.only_for("most_spans", extract, "an extract");
  for (const char* each : {"normalization", "prior"})
    fields.only_for(each, !extract, "a question with labels");
  question.multiple = fields.flag("multiple");
  if (fields.find("normalization") != nullptr &&
      fields.word("normalization", {"sum", "mean"}) == "mean")
    question.normalisation = Normalisation::mean;
  if (fields.find("prior") != nullptr)
    question.subtract_prior = fields.word("prior", {"none", "content_free"}) == "content_free";
  question.abstain_below = fields.number("abstain_below", 0, 1);
  question.escalate_to = fields.text("escalate_to", limits.name_bytes);
  if (!question.escalate_to.empty() && !question.abstain_below)
    throw refusal(fields.path("escalate_to"),
                  "needs 'abstain_below': what is not answered is passed on");
  if (const auto most = fields.number("most_spans", 1, 1000))
    question.most_spans = static_cast<std::size_t>(*most);
  return question;
}

void check_names(const std::vector<Question>& questions, const std::string& path) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < questions.size(); ++i)
    if (!questions[i].name.empty() && !names.insert(questions[i].name).second)
      throw refusal(fmt::format("{}[{}].name", path, i),
                    fmt::format("two questions are named '{}'", questions[i].name));
}

}  // namespace

std::vector<Question> parse_questions(const Json& json, const std::string& path,
                                      const QuestionLimits& limits) {
  if (json.is_object()) return {question_of(json, path, limits)};
  if (!json.is_array()) throw refusal(path, "must be a question or a list of questions");
  if (json.empty()) throw refusal(path, "has no question");
  if (json.size() > limits.questions)
    throw refusal(path,
                  fmt::format("has {} questions, more than {}", json.size(), limits.questions));
  std::vector<Question> questions;
  for (std::size_t i = 0; i < json.size(); ++i)
    questions.push_back(question_of(json[i], fmt::format("{}[{}]", path, i), limits));
  check_names(questions, path);
  return questions;
}

std::vector<Question> parse_question_file(std::string_view text, const std::string& file) {
  const Json json =
      base::parse_json<Json>(text, file, {.bytes = std::size_t{8} << 20, .members = 64});
  try {
    // {"questions": [...]} too, as a request has it.
    if (json.is_object() && json.size() == 1 && json.contains("questions"))
      return parse_questions(json["questions"], "questions");
    return parse_questions(json, "");
  } catch (const Error& error) {
    throw Error(error.fault(), file + ": " + error.what(), error.details());
  }
}

namespace {

// "criteria": of a choice labels, or descriptions by label; of a score levels; of a noul (a
// predicate) what its two answers mean.
void add_criteria(Question& question, const Fields& fields, const QuestionLimits& limits) {
  const std::string path = fields.path("criteria");
  const Json* json = fields.find("criteria");
  if (question.type == QuestionType::predicate) {
    if (json == nullptr) return;
    const Fields meanings(*json, path, {"false", "true"});
    for (const char* each : {"true", "false"})
      if (const std::string text = meanings.text(each, limits.description_bytes); !text.empty())
        question.instructions += fmt::format("\n{}: {}", each, text);
    return;
  }
  if (json == nullptr) throw refusal(path, "is missing");
  if (json->is_object() && question.type == QuestionType::choice) {
    for (const auto& [label, description] : json->items()) {
      check_label(label, limits.label_bytes, path);
      Option option{label};
      if (!description.is_null() && !description.is_string())
        throw refusal(fmt::format("{}.{}", path, label), "must be a text");
      if (description.is_string()) option.description = description.get<std::string>();
      check_size(option.description, limits.description_bytes, fmt::format("{}.{}", path, label));
      question.options.push_back(std::move(option));
    }
  } else if (json->is_array()) {
    for (std::size_t i = 0; i < json->size(); ++i) {
      const std::string where = fmt::format("{}[{}]", path, i);
      if (!(*json)[i].is_string()) throw refusal(where, "must be a text");
      question.options.push_back({(*json)[i].get<std::string>()});
      check_label(question.options.back().label, limits.label_bytes, where);
    }
  } else {
    throw refusal(path, question.type == QuestionType::choice
                            ? "must be a list of labels, or descriptions by label"
                            : "must be a list of levels, the lowest first");
  }
  check_options(question.options, path, limits.options);
}

}  // namespace

namespace {

// What a member of the request has for a question: the same for all, or by their names or types.
class ByQuestion {
 public:
  // Throws where it has something for nobody. Borrows both.
  ByQuestion(const char* member, const Json& given, const Json& questions)
      : member_(member), given_(given) {
    if (!given.is_object()) return;
    for (const auto& [key, value] : given.items())
      if (!questions.contains(key) && key != "choice" && key != "score" && key != "noul")
        throw refusal(member, fmt::format("has {}, which is neither a question's name nor a type",
                                          base::in_quotes(key)));
  }

  struct Found {
    std::string path;
    const Json& value;  // null where there is none
  };
  Found of(const std::string& name, const std::string& type) const {
    if (!given_.is_object()) return {member_, given_};
    const std::string key = given_.contains(name) ? name : type;
    static const Json none;
    return {member_ + "." + key, given_.contains(key) ? given_[key] : none};
  }

 private:
  const std::string member_;
  const Json& given_;
};

std::optional<double> threshold_of(const ByQuestion::Found& found) {
  const auto& [path, value] = found;
  if (value.is_null()) return std::nullopt;
  if (!value.is_number() || !(value >= 0 && value <= 1))
    throw refusal(path, "must be a number from 0 to 1");
  return value.get<double>();
}

std::string target_of(const ByQuestion::Found& found, const Question& question,
                      const QuestionLimits& limits) {
  const auto& [path, value] = found;
  if (value.is_null()) return "";
  if (!value.is_string() || value.get_ref<const std::string&>().empty())
    throw refusal(path, "must be a text, and not empty");
  check_size(value.get_ref<const std::string&>(), limits.name_bytes, path);
  if (!question.abstain_below)
    throw refusal(path, fmt::format("needs 'abstain' for {}: what is not answered is passed on",
                                    base::in_quotes(question.name)));
  return value.get<std::string>();
}

}  // namespace

std::vector<Question> parse_systemone(const Json& json, const std::string& path,
                                      const Json& abstain, const Json& escalate_to,
                                      const QuestionLimits& limits) {
  if (!json.is_object() || json.empty())
    throw refusal(path, "must be an object of questions by name, with at least one");
  if (json.size() > limits.questions)
    throw refusal(path,
                  fmt::format("has {} questions, more than {}", json.size(), limits.questions));
  const ByQuestion thresholds("abstain", abstain, json);
  const ByQuestion targets("escalate_to", escalate_to, json);
  std::vector<Question> questions;
  for (const auto& [name, each] : json.items()) {
    const Fields fields(each, fmt::format("{}.{}", path, name),
                        {"type", "instructions", "criteria"});
    check_size(name, limits.name_bytes, path);
    Question& question = questions.emplace_back();
    question.name = name;
    const std::string type = fields.word("type", {"choice", "score", "noul"});
    question.type = type == "choice"  ? QuestionType::choice
                    : type == "score" ? QuestionType::score
                                      : QuestionType::predicate;
    question.instructions = instructions_of(fields, limits);
    question.abstain_below = threshold_of(thresholds.of(name, type));
    question.escalate_to = target_of(targets.of(name, type), question, limits);
    add_criteria(question, fields, limits);
  }
  return questions;
}

}  // namespace malina::decide
