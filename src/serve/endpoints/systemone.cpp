// POST /v1/systemone: typed questions about a state, as Jev's and sysone's clients ask them.
#include <array>

#include "base/error.h"
#include "serve/deciding.h"
#include "serve/endpoint.h"

namespace malina::serve {

namespace {

constexpr std::array kBody{
    Field{.name = "model", .types = Type::text, .required = true, .shortest = 1, .longest = 256},
    Field{.name = "state",
          .types = Type::text | Type::object | Type::array,
          .required = true,
          .shortest = 1,
          .item_types = Type::text,
          .open = true,
          .help = "A text, texts, or an object, which is read as its JSON"},
    Field{.name = "questions",
          .types = Type::object,
          .required = true,
          .shortest = 1,
          .longest = 400,
          .open = true,
          .help = "By name: {type: choice | score | noul, instructions, criteria}"},
    Field{.name = "abstain",
          .types = Type::number | Type::object,
          .least = 0,
          .most = 1,
          .open = true,
          .help = "A threshold of the answer's probability, or thresholds by question or type"},
    Field{.name = "escalate_to",
          .types = Type::text | Type::object,
          .shortest = 1,
          .longest = 256,
          .open = true,
          .help =
              "The model, the alias or the upstream (upstream/NAME) that is asked what is below "
              "the threshold, or those by question or type"},
    Field{.name = "stream", .use = Use::refused, .neutral = "[false]"},
};

std::string state_text(const Json& state) {
  if (state.is_string()) return state.get<std::string>();
  if (state.is_object()) return state.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string text;
  for (const Json& each : state) text += (text.empty() ? "" : "\n") + each.get<std::string>();
  return text;
}

Json reply_of(const std::string& model, const std::vector<std::string>& names,
              const Decided& decided) {
  Json reply = Json::object();
  reply["id"] = new_id("dec-");
  reply["model"] = model;
  reply["answers"] = Json::object();
  for (std::size_t i = 0; i < names.size(); ++i)
    reply["answers"][names[i]] = decided.decisions[i].systemone;
  reply["usage"]["input_tokens"] = decided.input_tokens;
  reply["usage"]["output_tokens"] = decided.output_tokens;
  return reply;
}

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const Json& body = exchange.body();
  const Json abstain = body.value("abstain", Json());
  const Json escalate_to = body.value("escalate_to", Json());
  std::vector<platform::QuestionPointer> questions = co_await exchange.beside([&] {
    return platform::systemone_questions_of(exchange.take("questions"), "questions", abstain,
                                            escalate_to);
  });
  std::vector<std::string> names;
  for (const auto& question : questions) names.push_back(platform::question_name(*question));
  std::string text = co_await exchange.beside([&] { return state_text(exchange.take("state")); });
  const std::string model = body["model"].get<std::string>();
  Decided decided;
  try {
    decided = co_await decide(exchange, service, model, std::move(questions), std::move(text));
  } catch (const base::Error& error) {  // which speaks of OpenAI's fields
    base::ErrorDetails details = error.details();
    if (details.parameter == "input") details.parameter = "state";
    if (details.parameter.ends_with(".escalate_to")) details.parameter = "escalate_to";
    throw base::Error(error.fault(), error.what(), details);
  }
  co_await exchange.reply_made([&] { return reply_of(model, names, decided); });
}

}  // namespace

extern const Endpoint systemone{
    .method = Method::post,
    .path = "/v1/systemone",
    .needs = Permission::infer,
    .body = kBody,
    .has_body = true,
    .works = true,
    .summary = "Answers to typed questions, as System One's clients ask them",
    .tag = "malina",
    .answer_schema =
        R"({"type": "object", "required": ["id", "model", "answers", "usage"],
      "properties": {"id": {"type": "string"}, "model": {"type": "string"},
        "answers": {"type": "object", "additionalProperties": {"type": "object"}},
        "usage": {"type": "object"}}})",
    .answer = answer};

}  // namespace malina::serve
