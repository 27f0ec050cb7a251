#include "platform/upstream.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_text.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;
using Json = nlohmann::json;

constexpr base::JsonLimits kLimits{.bytes = kMostUpstreamLine};
constexpr std::int64_t kMostCounted = 1'000'000'000;  // tokens that anybody may claim

constexpr std::array<std::string_view, 8> kFaults{"none",   "unreachable", "timeout",   "refused",
                                                  "failed", "too_large",   "malformed", "no_label"};

Error malformed(const std::string& what) { return Error(Fault::corrupt_file, what); }

// Never a byte that is no UTF-8: then nothing is sent.
std::string dumped(const Json& json) { return json.dump(); }

Json object_of(std::string_view text, const char* name) {
  Json json = base::parse_json<Json>(text, name, kLimits);
  if (!json.is_object()) throw malformed(std::string(name) + " is no object");
  return json;
}

const Json& member(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) throw malformed(std::string("it has no ") + name);
  return *found;
}

std::string text_member(const Json& json, const char* name) {
  const Json& value = member(json, name);
  if (!value.is_string()) throw malformed(std::string(name) + " is no text");
  return value.get<std::string>();
}

// A whole number from 0 to `most`.
std::int64_t count_member(const Json& json, const char* name, std::int64_t most) {
  const Json& value = member(json, name);
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > static_cast<std::uint64_t>(most))
    throw malformed(std::string(name) + " is no number that it may be");
  return value.get<std::int64_t>();
}

UpstreamFault fault_of(const std::string& word) {
  const auto found = std::ranges::find(kFaults, word);
  if (found == kFaults.end()) throw malformed("there is no such fault");
  return static_cast<UpstreamFault>(found - kFaults.begin());
}

// Where `json` is an object that has it; null otherwise.
const Json* maybe(const Json& json, const char* name) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(name);
  return found == json.end() || found->is_null() ? nullptr : &*found;
}

// Of choices[0].logprobs: the product over all tokens, where they are those of the text.
std::optional<double> probability_of(const Json& choice, std::string_view text) {
  const Json* const logprobs = maybe(choice, "logprobs");
  const Json* const content = logprobs == nullptr ? nullptr : maybe(*logprobs, "content");
  if (content == nullptr || !content->is_array() || content->empty()) return std::nullopt;
  double sum = 0;
  std::string written;
  for (const Json& each : *content) {
    const Json* const token = maybe(each, "token");
    const Json* const logarithm = maybe(each, "logprob");
    if (token == nullptr || !token->is_string() || logarithm == nullptr || !logarithm->is_number())
      return std::nullopt;
    written += token->get<std::string>();
    sum += std::min(0.0, logarithm->get<double>());
  }
  // The end of the answer is a token of its own for some, and has no text in others.
  if (!written.starts_with(text) || !std::isfinite(sum)) return std::nullopt;
  return std::exp(sum);
}

std::int64_t usage_of(const Json& body, const char* name) {
  const Json* const usage = maybe(body, "usage");
  const Json* const count = usage == nullptr ? nullptr : maybe(*usage, name);
  if (count == nullptr || !count->is_number_unsigned()) return 0;
  return static_cast<std::int64_t>(
      std::min<std::uint64_t>(count->get<std::uint64_t>(), kMostCounted));
}

}  // namespace

std::optional<std::string_view> upstream_of(std::string_view target) {
  if (!target.starts_with(kUpstreamPrefix)) return std::nullopt;
  return target.substr(kUpstreamPrefix.size());
}

std::string_view upstream_name_fault(std::string_view name) {
  const auto is_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const auto is_inner = [&](char c) { return is_word(c) || c == '.' || c == '_' || c == '-'; };
  if (!name.empty() && name.size() <= 64 && is_word(name.front()) &&
      std::ranges::all_of(name, is_inner))
    return "";
  return "is no name of an upstream: write 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a "
         "letter or a digit";
}

std::string_view name(UpstreamFault fault) { return kFaults.at(static_cast<std::size_t>(fault)); }

std::string line_of(const UpstreamQuestion& question) {
  return dumped({{"upstream", question.upstream},
                 {"message", question.message},
                 {"most_tokens", question.most_tokens}}) +
         "\n";
}

std::string line_of(const UpstreamReply& reply) {
  Json json{{"fault", name(reply.fault)}, {"status", reply.status}};
  if (reply.fault == UpstreamFault::none) {
    const UpstreamAnswer& answer = reply.answer;
    json["text"] = answer.text;
    json["whole"] = answer.whole;
    if (answer.probability) json["probability"] = *answer.probability;
    json["prompt_tokens"] = answer.prompt_tokens;
    json["completion_tokens"] = answer.completion_tokens;
  }
  return dumped(json) + "\n";
}

UpstreamQuestion read_question_line(std::string_view line) {
  const Json json = object_of(line, "the question");
  if (json.size() != 3) throw malformed("the question has other members than it may have");
  UpstreamQuestion question{.upstream = text_member(json, "upstream"),
                            .message = text_member(json, "message")};
  if (!upstream_name_fault(question.upstream).empty())
    throw Error(Fault::invalid_argument, "that is no upstream's name");
  question.most_tokens =
      static_cast<std::size_t>(count_member(json, "most_tokens", kMostUpstreamTokens));
  if (question.most_tokens == 0) throw malformed("most_tokens is 0");
  return question;
}

UpstreamReply read_reply_line(std::string_view line) {
  const Json json = object_of(line, "the connector's answer");
  UpstreamReply reply;
  reply.fault = fault_of(text_member(json, "fault"));
  reply.status = static_cast<int>(count_member(json, "status", 999));
  if (reply.fault != UpstreamFault::none) return reply;
  UpstreamAnswer& answer = reply.answer;
  answer.text = text_member(json, "text");
  const Json& whole = member(json, "whole");
  if (!whole.is_boolean()) throw malformed("whole is neither true nor false");
  answer.whole = whole.get<bool>();
  if (const Json* const probability = maybe(json, "probability")) {
    if (!probability->is_number()) throw malformed("probability is no number");
    answer.probability = probability->get<double>();
    if (!(*answer.probability >= 0 && *answer.probability <= 1))
      throw malformed("probability is not from 0 to 1");
  }
  answer.prompt_tokens = count_member(json, "prompt_tokens", kMostCounted);
  answer.completion_tokens = count_member(json, "completion_tokens", kMostCounted);
  return reply;
}

std::string chat_request(const UpstreamQuestion& question, const std::string& model,
                         bool log_probabilities) {
  nlohmann::ordered_json json{{"model", model}};
  nlohmann::ordered_json message{{"role", "user"}, {"content", question.message}};
  json["messages"] = nlohmann::ordered_json::array({std::move(message)});
  json["temperature"] = 0;
  json["max_tokens"] = question.most_tokens;
  if (log_probabilities) json["logprobs"] = true;
  return json.dump();
}

UpstreamAnswer read_chat_answer(std::string_view body) {
  const Json json = base::parse_json<Json>(body, "the upstream's answer", {.bytes = body.size()});
  if (!json.is_object()) throw malformed("the upstream's answer is no object");
  const Json& choices = member(json, "choices");
  if (!choices.is_array() || choices.empty() || !choices[0].is_object())
    throw malformed("the upstream's answer has no choice");
  const Json& message = member(choices[0], "message");
  if (!message.is_object()) throw malformed("the upstream's answer has no message");
  UpstreamAnswer answer;
  answer.text = text_member(message, "content");
  const Json* const reason = maybe(choices[0], "finish_reason");
  answer.whole = reason != nullptr && *reason == "stop";
  answer.probability = probability_of(choices[0], answer.text);
  answer.prompt_tokens = usage_of(json, "prompt_tokens");
  answer.completion_tokens = usage_of(json, "completion_tokens");
  return answer;
}

}  // namespace malina::platform
