// POST /v1/decisions: typed questions about an input, as OpenAI's clients ask them.
#include <array>
#include <optional>

#include "base/error.h"
#include "platform/service.h"
#include "serve/deciding.h"
#include "serve/endpoint.h"

namespace malina::serve {

namespace {

constexpr std::array kBody{
    Field{.name = "model", .types = Type::text, .required = true, .shortest = 1, .longest = 256},
    Field{.name = "input",
          .types = Type::text | Type::array,
          .required = true,
          .shortest = 1,
          .help = "A text, or messages and calls, which are read as one text"},
    Field{.name = "questions",
          .types = Type::array,
          .shortest = 1,
          .longest = 400,
          .item_types = Type::object,
          .help =
              "predicate, choice, score and extract: docs/reference/decisions.md. Required, but "
              "for a tuned classifier, which has its own question"},
    Field{.name = "escalate_to",
          .types = Type::text,
          .shortest = 1,
          .longest = 256,
          .help =
              "Of a tuned classifier: the model, the alias or the upstream (upstream/NAME) that "
              "is asked its question where it abstains. Questions have their own"},
    Field{.name = "prompt_cache_key", .types = Type::text, .use = Use::inert},
    Field{.name = "prompt_cache_options", .types = Type::object, .use = Use::inert, .open = true},
    Field{.name = "safety_identifier", .types = Type::text, .use = Use::inert},
};

base::Error wrong_questions(const std::string& what) {
  return base::Error(base::Fault::invalid_argument, what, {.parameter = "questions"});
}

// By what is named: a classifier that brings its question, or a model that is asked.
asio::awaitable<Decided> decided_by(Exchange& exchange, platform::Service& service,
                                    const std::string& model) {
  const bool asks = exchange.body().contains("questions");
  std::optional<platform::TunedRecord> tuned =
      co_await exchange.elsewhere([&] { return service.tuned(exchange.caller(), model); });
  if (tuned && asks)
    throw wrong_questions("'" + model + "' was tuned for its own question: leave them out");
  if (!tuned && !asks) {
    // A model that there is not is said to be missing first.
    co_await exchange.elsewhere([&] { return service.model(exchange.caller(), model); });
    throw wrong_questions("questions is missing: only a tuned classifier has its own");
  }
  const std::string target = exchange.body().value("escalate_to", "");
  if (!tuned && !target.empty())
    throw base::Error(base::Fault::invalid_argument,
                      "escalate_to is of a tuned classifier: each question has its own",
                      {.parameter = "escalate_to"});
  std::vector<platform::QuestionPointer> questions;
  if (asks)
    questions = co_await exchange.beside(
        [&] { return platform::questions_of(exchange.take("questions"), "questions"); });
  std::string text =
      co_await exchange.beside([&] { return decision_input(exchange.take("input")); });
  if (tuned)
    co_return co_await decide_tuned(exchange, service, *std::move(tuned), std::move(text), target);
  co_return co_await decide(exchange, service, model, std::move(questions), std::move(text));
}

Json reply_of(const std::string& model, const Decided& decided) {
  Json reply = Json::object();
  reply["id"] = new_id("dec-");
  reply["object"] = "decision";
  reply["model"] = model;
  reply["answers"] = Json::array();
  for (const platform::Decision& decision : decided.decisions)
    reply["answers"].push_back(decision.json);
  Json& usage = reply["usage"];
  usage["input_tokens"] = decided.input_tokens;
  usage["input_tokens_details"]["cached_tokens"] = decided.cached_tokens;
  usage["input_tokens_details"]["cache_write_tokens"] = 0;
  usage["output_tokens"] = decided.output_tokens;
  usage["output_tokens_details"]["reasoning_tokens"] = 0;
  usage["total_tokens"] = decided.input_tokens + decided.output_tokens;
  return reply;
}

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const std::string model = exchange.body()["model"].get<std::string>();
  const Decided decided = co_await decided_by(exchange, service, model);
  co_await exchange.reply_made([&] { return reply_of(model, decided); });
}

}  // namespace

extern const Endpoint decisions{
    .method = Method::post,
    .path = "/v1/decisions",
    .needs = Permission::infer,
    .body = kBody,
    .has_body = true,
    .works = true,
    .summary = "Answers to typed questions, each with its probability",
    .details =
        "Whole labels are scored, in one batch that shares what they have in common. A tuned "
        "classifier is asked without questions: it has its own.",
    .tag = "openai",
    .answer_schema =
        R"({"type": "object", "required": ["answers", "model", "usage"],
      "properties": {"id": {"type": "string"}, "object": {"const": "decision"},
        "model": {"type": "string"},
        "answers": {"type": "array", "items": {"type": "object",
          "required": ["type", "name", "label_mass", "calibrated", "abstain", "escalated_to"],
          "properties": {
            "type": {"enum": ["predicate", "choice", "score", "extract"]},
            "name": {"type": ["string", "null"]}, "probability": {"type": ["number", "null"]},
            "confidence": {"type": ["number", "null"]}, "label_mass": {"type": ["number", "null"]},
            "probability_at_least": {"type": ["number", "null"]},
            "escalation_fault": {"type": "string"},
            "calibrated": {"type": "boolean"}, "abstain": {"type": "boolean"},
            "escalated_to": {"type": ["string", "null"]}}}},
        "usage": {"type": "object"}}})",
    .answer = answer};

}  // namespace malina::serve
