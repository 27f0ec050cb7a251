#include "platform/upstream_decision.h"

#include <algorithm>

#include "base/error.h"
#include "decide/prompt.h"
#include "decide/written_answer.h"

namespace malina::platform {

void check_for_upstream(const decide::Question& question) {
  if (question.multiple)
    throw base::Error(base::Fault::invalid_argument,
                      "a choice of any number is not asked of an upstream: its values would be "
                      "questions of their own");
}

UpstreamQuestion upstream_question(const decide::Question& question, std::string_view text,
                                   std::string_view upstream) {
  // A token has one byte at least; some write white space or an end beside the answer.
  const std::size_t most = decide::longest_written(question, text) + 8;
  return {.upstream = std::string(upstream),
          .message = decide::message_of(question, text),
          .most_tokens = std::min(most, kMostUpstreamTokens)};
}

// English has more than four bytes a token, other languages more tokens and more bytes a letter.
std::int64_t prompt_tokens_guess(const UpstreamQuestion& question) {
  return static_cast<std::int64_t>(question.message.size() / 3 + 1);
}

std::optional<Decision> upstream_decision(const decide::Question& question, std::string_view text,
                                          const UpstreamAnswer& answer, std::string_view upstream) {
  if (!answer.whole) return std::nullopt;
  auto read = decide::read_written(question, text, answer.text, answer.probability);
  if (!read) return std::nullopt;
  read->escalated_to = std::string(kUpstreamPrefix) + std::string(upstream);
  Decision decision;
  decision.answer = decide::answer_text(question, *read);
  decision.abstain = read->abstain;
  decision.json = decide::to_json(question, *read);
  if (!extracts(question)) decision.systemone = decide::to_systemone(question, *read);
  return decision;
}

void note_fault(Decision& decision, UpstreamFault fault) {
  decision.json["escalation_fault"] = name(fault);
  if (decision.systemone.is_object()) decision.systemone["escalation_fault"] = name(fault);
}

}  // namespace malina::platform
