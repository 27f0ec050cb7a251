// What an example asks and what it answers, as texts to compare.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tune/data/check.h"
#include "tune/example.h"

namespace malina::tune {

// The text, the prompt, or what users say in a conversation. A text that is learned as a whole is
// what it asks. Instructions of the system are not part of it.
std::string question_of(const Example& example);
// Labels in order, the completion, or what is to be learned of a conversation.
std::string answer_of(const Example& example);
// All that is said: where personal data is looked for.
std::string whole_text(const Example& example);

}  // namespace malina::tune
