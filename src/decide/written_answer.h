// Answers that another program wrote as text, as an upstream does: read as strictly as a model of
// our own is held to.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "decide/answer.h"

namespace malina::decide {

// What `written` says where it is nothing but an answer to `question` about `text`; otherwise
// nullopt. Of a predicate, a choice of one and a score it is one of labels_of(), white space around
// it aside, and letters of ASCII in another case where that leaves no doubt. Of an extract it is
// "none", or lines that are each a piece of the text by the rules of VerbatimReader, most_spans of
// them at most. `at_least`: that the answer is right, if the writer's probabilities are; it
// abstains where that is known and below the question's threshold. Throws internal for a choice of
// any number.
std::optional<Answer> read_written(const Question& question, std::string_view text,
                                   std::string_view written, std::optional<double> at_least);

// Bytes that such an answer has at most.
std::size_t longest_written(const Question& question, std::string_view text);

}  // namespace malina::decide
