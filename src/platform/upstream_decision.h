// A question of ours as one to an upstream, and what it wrote as a decision.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "platform/decision.h"
#include "platform/upstream.h"

namespace malina::platform {

// Throws invalid_argument where the question is one that no upstream is asked: a choice of any
// number.
void check_for_upstream(const decide::Question& question);

// What is said to it: the message that a model of this machine gets.
UpstreamQuestion upstream_question(const decide::Question& question, std::string_view text,
                                   std::string_view upstream);
// Tokens of its message: for quotas, and where an upstream does not count.
std::int64_t prompt_tokens_guess(const UpstreamQuestion& question);

// Nullopt where it wrote what is no answer to the question, or was cut off. Not calibrated;
// escalated_to names it.
std::optional<Decision> upstream_decision(const decide::Question& question, std::string_view text,
                                          const UpstreamAnswer& answer, std::string_view upstream);
// Says in the decision why it stands: its upstream gave no answer.
void note_fault(Decision& decision, UpstreamFault fault);

}  // namespace malina::platform
