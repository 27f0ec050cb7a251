#include "serve/deciding.h"

#include <fmt/format.h>

#include <map>

#include "base/error.h"
#include "platform/answer.h"
#include "platform/service.h"
#include "platform/tuning.h"
#include "platform/upstream.h"
#include "serve/escalation.h"

namespace malina::serve {

namespace {

base::Error wrong(const std::string& path, const std::string& what) {
  return base::Error(base::Fault::invalid_argument, path + " " + what, {.parameter = path});
}

// What stands there as a text; otherwise `instead`.
std::string text_at(const Json& item, const char* name, const char* instead) {
  if (!item.is_object()) return instead;
  const auto found = item.find(name);
  return found != item.end() && found->is_string() ? found->get<std::string>() : instead;
}

// An assistant's parts bear other names.
std::string content_text(const Json& content, const std::string& path) {
  if (!content.is_array()) return platform::text_of_parts(content, path);
  Json parts = Json::array();
  for (const Json& part : content) {
    const std::string type = text_at(part, "type", "");
    const char* const text = type == "refusal" ? "refusal" : "text";
    Json& read = parts.emplace_back(part);
    if (type != "output_text" && type != "refusal") continue;
    read = Json::object();
    read["type"] = "input_text";
    if (part.contains(text)) read["text"] = part[text];
  }
  return platform::text_of_parts(parts, path);
}

std::string member(const Json& item, const char* name, const std::string& path) {
  const auto found = item.find(name);
  if (found == item.end()) throw wrong(fmt::format("{}.{}", path, name), "is missing");
  return content_text(*found, fmt::format("{}.{}", path, name));
}

struct Said {
  std::string who, text;
};

Said said(const Json& item, const std::string& path) {
  if (!item.is_object()) throw wrong(path, "must be an object");
  const std::string type = item.contains("type") ? text_at(item, "type", "") : "message";
  if (type == "function_call")
    return {"call of " + member(item, "name", path), member(item, "arguments", path)};
  if (type == "custom_tool_call")
    return {"call of " + member(item, "name", path), member(item, "input", path)};
  if (type == "function_call_output" || type == "custom_tool_call_output")
    return {"result", member(item, "output", path)};
  if (type != "message")
    throw wrong(path + ".type",
                "must be message, function_call, function_call_output, custom_tool_call or "
                "custom_tool_call_output");
  const std::string role = member(item, "role", path);
  for (const char* known : {"user", "assistant", "system", "developer"})
    if (role == known) return {role, member(item, "content", path)};
  throw wrong(path + ".role", "must be user, assistant, system or developer");
}

asio::awaitable<Decided> followed(Exchange& exchange, Answering& answering) {
  co_await answering.finish();
  Decided decided;
  decided.decisions = co_await exchange.elsewhere([&] {
    std::vector<platform::Decision> decisions;
    for (const auto& answer : answering.answers())
      decisions.push_back(std::move(answer->decisions().at(0)));
    return decisions;
  });
  for (const auto& answer : answering.answers()) {
    const platform::GenerationResult& result = answer->result();
    decided.input_tokens += result.prompt_tokens;
    decided.cached_tokens += result.cached_tokens;
    decided.output_tokens += result.completion_tokens;
  }
  co_return decided;
}

asio::awaitable<Decided> ask(Exchange& exchange, platform::Service& service, std::string model,
                             Questions questions, std::string_view action) {
  auto lease = co_await ready_model(exchange, service, model);
  Answering answering(exchange, service, std::move(lease));
  std::vector<Questions> requests;
  requests.push_back(std::move(questions));
  co_await answering.start(std::move(requests), action);
  co_return co_await followed(exchange, answering);
}

// Asks others, each once, what stands abstained in `decided` and has someone else to be asked.
asio::awaitable<void> escalate_abstained(Exchange& exchange, platform::Service& service,
                                         const std::vector<platform::QuestionPointer>& questions,
                                         const std::string& text, Decided& decided) {
  std::map<std::string, std::vector<std::size_t>> escalated;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const std::string target = platform::escalation_of(*questions[i]);
    if (decided.decisions[i].abstain && !target.empty()) escalated[target].push_back(i);
  }
  for (const auto& [target, chosen] : escalated) {
    if (const auto upstream = platform::upstream_of(target)) {
      Escalation escalation{
          .upstream = std::string(*upstream), .questions = {}, .places = chosen, .text = text};
      for (const std::size_t index : chosen) escalation.questions.push_back(questions[index]);
      co_await escalate(exchange, service, std::move(escalation), decided);
      continue;
    }
    Questions again;
    again.text = text;
    for (const std::size_t index : chosen) again.questions.push_back(questions[index]);
    Decided second =
        co_await ask(exchange, service, target, std::move(again), "decision.escalation");
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      platform::Decision& decision = decided.decisions[chosen[i]];
      decision = std::move(second.decisions[i]);
      platform::note_escalation(decision, target);
    }
    decided.input_tokens += second.input_tokens;
    decided.cached_tokens += second.cached_tokens;
    decided.output_tokens += second.output_tokens;
  }
}

}  // namespace

std::string decision_input(const Json& input) {
  if (input.is_string()) return input.get<std::string>();
  std::vector<Said> all;
  for (std::size_t i = 0; i < input.size(); ++i)
    all.push_back(said(input[i], fmt::format("input[{}]", i)));
  if (all.size() == 1 && all[0].who == "user") return all[0].text;
  std::string text;
  for (const Said& each : all)
    text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", each.who, each.text);
  return text;
}

asio::awaitable<Decided> decide_tuned(Exchange& exchange, platform::Service& service,
                                      platform::TunedRecord record, std::string text,
                                      std::string target) {
  if (!target.empty() && record.kind == "tagger")
    throw wrong("escalate_to", "is of classifiers: nobody else knows the types of a tagger");
  std::vector<platform::QuestionPointer> questions;
  if (!target.empty()) {
    questions = co_await exchange.elsewhere([&] {
      const platform::QuestionPointer own = platform::own_question(record.directory);
      return std::vector{platform::with_escalation(*own, target)};
    });
    check_escalation(exchange, service, questions[0], "escalate_to");
  }
  platform::ModelPool::Lease lease;
  lease.label = record.name;
  Answering answering(exchange, service, std::move(lease));
  co_await answering.start_tuned(std::move(record), text, "decision");
  Decided decided = co_await followed(exchange, answering);
  if (!questions.empty()) co_await escalate_abstained(exchange, service, questions, text, decided);
  co_return decided;
}

asio::awaitable<Decided> decide(Exchange& exchange, platform::Service& service, std::string model,
                                std::vector<platform::QuestionPointer> questions,
                                std::string text) {
  for (std::size_t i = 0; i < questions.size(); ++i)
    check_escalation(exchange, service, questions[i], fmt::format("questions[{}].escalate_to", i));
  Questions first;
  first.questions = questions;
  first.text = text;
  Decided decided = co_await ask(exchange, service, model, std::move(first), "decision");
  co_await escalate_abstained(exchange, service, questions, text, decided);
  co_return decided;
}

}  // namespace malina::serve
