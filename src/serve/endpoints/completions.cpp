// POST /v1/completions: texts or tokens continued, scored or filled in, without a template.
#include <array>

#include "base/utf8.h"
#include "platform/language_model.h"
#include "platform/log_probabilities_json.h"
#include "serve/answering.h"
#include "serve/api_error.h"
#include "serve/endpoint.h"
#include "serve/generation_fields.h"
#include "serve/openai_json.h"

namespace malina::serve {

namespace {

constexpr std::size_t kMostPrompts = 128;
constexpr std::size_t kMostAnswers = 128;   // prompts times n
constexpr std::size_t kDefaultTokens = 16;  // OpenAI's

constexpr std::array kStreamOptionFields{
    Field{.name = "include_usage", .types = Type::boolean},
    Field{.name = "include_obfuscation", .types = Type::boolean, .use = Use::inert}};

constexpr std::array kCompletionFields{
    Field{.name = "model", .types = Type::text, .required = true, .shortest = 1, .longest = 256},
    Field{.name = "prompt",
          .types = Type::text | Type::array,
          .required = true,
          .help = "A text (empty only with a suffix), a list of texts, a list of token ids, or a "
                  "list of such lists"},
    Field{.name = "suffix",
          .types = Type::text,
          .help = "What stands after the text to be filled in, for models made to do that"},
    Field{.name = "max_tokens",
          .types = Type::integer,
          .least = 0,
          .most = 1e9,
          .help = "16 where it is not given; 0 only scores the prompt, with echo and logprobs"},
    Field{.name = "n", .types = Type::integer, .least = 1, .most = 8},
    Field{.name = "best_of", .types = Type::integer, .use = Use::refused, .neutral = "[1]"},
    Field{.name = "logprobs", .types = Type::integer, .least = 0, .most = 20},
    Field{.name = "echo", .types = Type::boolean},
    Field{.name = "stream_options", .types = Type::object, .fields = kStreamOptionFields},
};
const auto kBody = joined(kCompletionFields, kSamplingFields, kStreamFields, kInertFields);

struct Asked {
  std::string model;
  std::vector<platform::CompletionRequest> requests;  // one for each prompt
  std::size_t count = 1;                              // choices of a prompt
  bool stream = false, include_usage = false, log_probabilities = false;
};

bool all_integers(const Json& list) {
  return std::ranges::all_of(list, [](const Json& each) { return each.is_number_integer(); });
}

std::vector<std::int32_t> token_ids(const Json& list, const std::string& place) {
  std::vector<std::int32_t> ids;
  for (const Json& each : list) {
    if (!each.is_number_integer() || each < 0 || each > 2147483647)
      throw bad_request("'" + place + "' has what is no token id", "prompt", "invalid_value");
    ids.push_back(each.get<std::int32_t>());
  }
  return ids;
}

// One request without its options for each prompt.
std::vector<platform::CompletionRequest> prompts(Json prompt) {
  std::vector<platform::CompletionRequest> requests;
  const auto add = [&](Json& each, const std::string& place) {
    platform::CompletionRequest& request = requests.emplace_back();
    if (each.is_string())
      request.text = std::move(each.get_ref<std::string&>());
    else if (each.is_array() && !each.empty())
      request.tokens = token_ids(each, place);
    else
      throw bad_request("'" + place + "' must be a string or a list of token ids that is not empty",
                        "prompt", "invalid_value");
  };
  if (prompt.is_string() || all_integers(prompt)) {
    add(prompt, "prompt");
    return requests;
  }
  if (prompt.size() > kMostPrompts)
    throw bad_request("'prompt' has more than 128 prompts", "prompt", "invalid_value");
  for (std::size_t i = 0; i < prompt.size(); ++i)
    add(prompt[i], "prompt[" + std::to_string(i) + "]");
  return requests;
}

void read_options(const Json& body, platform::CompletionRequest& request) {
  request.sampling = sampling_of(body);
  request.stop = stops_of(body);
  request.max_tokens = body.value("max_tokens", kDefaultTokens);
  request.echo = body.value("echo", false);
  if (body.contains("logprobs")) request.log_probabilities = body["logprobs"].get<std::size_t>();
  if (body.contains("suffix")) request.suffix = body["suffix"].get<std::string>();
}

Asked read(Exchange& exchange) {
  const Json& body = exchange.body();
  Asked asked;
  asked.model = body["model"].get<std::string>();
  asked.count = body.value("n", std::size_t{1});
  asked.stream = body.value("stream", false);
  asked.log_probabilities = body.contains("logprobs");
  if (body.contains("stream_options")) {
    if (!asked.stream)
      throw bad_request("'stream_options' needs \"stream\": true", "stream_options",
                        "invalid_value");
    asked.include_usage = body["stream_options"].value("include_usage", false);
  }
  if (body["prompt"] == "" && !body.contains("suffix"))
    throw bad_request("'prompt' is empty", "prompt", "invalid_value");
  std::vector<platform::CompletionRequest> each = prompts(exchange.take("prompt"));
  if (each.size() * asked.count > kMostAnswers)
    throw bad_request("'prompt' and 'n' ask for more than 128 answers", "n", "invalid_value");
  for (platform::CompletionRequest& request : each) {
    read_options(body, request);
    if (request.tokens && request.suffix)
      throw bad_request("'suffix' needs a prompt that is text", "suffix", "invalid_value");
    if (request.suffix && request.echo)
      throw bad_request("'echo' and 'suffix' exclude each other", "echo", "invalid_value");
    if (request.max_tokens == 0 && !request.echo)
      throw bad_request("'max_tokens' 0 needs \"echo\": true", "max_tokens", "invalid_value");
  }
  asked.requests = std::move(each);
  return asked;
}

Json frame_of(const Asked& asked) {
  return {{"id", new_id("cmpl-")},
          {"object", "text_completion"},
          {"created", unix_time()},
          {"model", asked.model},
          {"choices", Json::array()}};
}

Json whole(const Asked& asked, const Answering& answering) {
  Json body = frame_of(asked);
  for (const auto& answer : answering.answers()) {
    const platform::GenerationResult& result = answer->result();
    Json choice{{"index", body["choices"].size()},
                {"text", result.text},
                {"logprobs", nullptr},
                {"finish_reason", finish_reason(result)}};
    if (asked.log_probabilities)
      choice["logprobs"] = platform::completion_log_probabilities(result.scores);
    body["choices"].push_back(std::move(choice));
  }
  body["usage"] = usage_json(answering.answers(), asked.count);
  body["system_fingerprint"] = nullptr;
  return body;
}

// Where the tokens of a piece begin. Of one that holds a part of a character only, where that
// begins.
void place_scores(platform::AnswerPiece& piece, std::size_t& characters) {
  std::size_t at = characters;
  for (platform::ScoredToken& score : piece.scores) {
    score.text_offset = at;
    if (!score.text.starts_with("bytes:\\x")) at += base::code_points(score.text);
  }
  characters += base::code_points(piece.text);
}

asio::awaitable<void> pieces(Exchange& exchange, const Asked& asked, Answering& answering) {
  Json frame = frame_of(asked);
  if (asked.include_usage) frame["usage"] = nullptr;
  co_await answering.wait_for_turn();
  answering.set_ping(": ping\n\n");
  co_await exchange.begin_stream("text/event-stream; charset=utf-8");
  std::vector<std::size_t> characters(answering.answers().size());  // of each answer so far
  while (auto next = co_await answering.next()) {
    place_scores(next->piece, characters[next->index]);
    Json choice{{"index", next->index},
                {"text", next->piece.text},
                {"logprobs", nullptr},
                {"finish_reason", nullptr}};
    if (asked.log_probabilities && !next->piece.scores.empty())
      choice["logprobs"] = platform::completion_log_probabilities(next->piece.scores);
    if (next->ended)
      choice["finish_reason"] = finish_reason(answering.answers()[next->index]->result());
    else if (next->piece.text.empty() && next->piece.scores.empty())
      continue;
    Json json = frame;
    json["choices"].push_back(std::move(choice));
    co_await exchange.write(event(json));
  }
  co_await answering.settle();
  std::string end;
  if (asked.include_usage) {
    Json json = frame;
    json["usage"] = usage_json(answering.answers(), asked.count);
    end += event(json);
  }
  co_await exchange.write(std::move(end) + "data: [DONE]\n\n");
  co_await exchange.end_stream();
}

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  Asked asked = co_await exchange.beside([&] { return read(exchange); });
  Answering answering(exchange, service, co_await ready_model(exchange, service, asked.model));
  co_await answering.start(std::move(asked.requests), "completion", asked.count);
  if (asked.stream) {
    co_await pieces(exchange, asked, answering);
    co_return;
  }
  co_await answering.finish();
  co_await exchange.reply_made([&] { return whole(asked, answering); });
}

constexpr std::string_view kAnswer = R"({
  "type": "object",
  "required": ["id", "object", "created", "model", "choices", "usage"],
  "properties": {
    "id": {"type": "string"}, "object": {"const": "text_completion"},
    "created": {"type": "integer"}, "model": {"type": "string"},
    "choices": {"type": "array", "minItems": 1, "items": {
      "type": "object", "required": ["index", "text", "logprobs", "finish_reason"],
      "properties": {
        "index": {"type": "integer"}, "text": {"type": "string"},
        "logprobs": {"type": ["object", "null"]},
        "finish_reason": {"enum": ["stop", "length"]}}}},
    "usage": {"$ref": "#/components/schemas/Usage"}}})";

}  // namespace

extern const Endpoint completions{.method = Method::post,
                                  .path = "/v1/completions",
                                  .needs = Permission::infer,
                                  .body = kBody,
                                  .has_body = true,
                                  .works = true,
                                  .summary = "A text continued, scored or filled in",
                                  .tag = "openai",
                                  .answer_schema = kAnswer,
                                  .stream_type = "text/event-stream",
                                  .answer = answer};

}  // namespace malina::serve
