#include "decide/written_answer.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/error.h"
#include "decide/prompt.h"
#include "decide/verbatim.h"

namespace malina::decide {

namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
}

bool equal_letters(std::string_view a, std::string_view b) {
  return base::ascii_lower(a) == base::ascii_lower(b);
}

std::optional<std::size_t> label_index(const std::vector<std::string>& labels,
                                       std::string_view written) {
  const auto exact = std::ranges::find(labels, written);
  if (exact != labels.end()) return static_cast<std::size_t>(exact - labels.begin());
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (!equal_letters(labels[i], written)) continue;
    if (found) return std::nullopt;
    found = i;
  }
  return found;
}

bool read_label(const Question& question, std::string_view written, Answer& answer) {
  const auto index = label_index(labels_of(question), written);
  if (!index) return false;
  answer.best = *index;
  answer.holds = *index == 0;  // of a predicate: Yes
  answer.score = static_cast<double>(*index);
  return true;
}

bool read_spans(const Question& question, std::string_view text, std::string_view written,
                Answer& answer) {
  VerbatimReader reader(text, question.most_spans);
  bool none = false;
  for (std::size_t start = 0; start <= written.size();) {
    const std::size_t end = std::min(written.find('\n', start), written.size());
    const std::string_view line = trimmed(written.substr(start, end - start));
    start = end + 1;
    if (line.empty()) continue;
    if (none) return false;  // more than that
    reader.accept(line);
    const auto piece = reader.complete();
    if (!piece) {
      none = equal_letters(line, VerbatimReader::kNone) && reader.pieces().empty();
      if (!none) return false;
      continue;
    }
    // A reader forgives white space that is no part of the piece; here there is none.
    if (piece->end - piece->begin != line.size()) return false;
    reader.accept("\n");
  }
  if (reader.pieces().empty() && !none) return false;
  for (const Piece& piece : reader.pieces()) answer.spans.push_back(span_of(text, piece));
  return true;
}

}  // namespace

std::optional<Answer> read_written(const Question& question, std::string_view text,
                                   std::string_view written, std::optional<double> at_least) {
  if (question.multiple)
    throw base::Error(base::Fault::internal, "a choice of any number has no written answer");
  Answer answer;
  answer.written = true;
  const bool read = question.type == QuestionType::extract
                        ? read_spans(question, text, written, answer)
                        : read_label(question, trimmed(written), answer);
  if (!read) return std::nullopt;
  answer.probability_at_least = at_least;
  answer.abstain = at_least && question.abstain_below && *at_least < *question.abstain_below;
  return answer;
}

std::size_t longest_written(const Question& question, std::string_view text) {
  if (question.type == QuestionType::extract) return text.size() + question.most_spans + 8;
  std::size_t longest = 0;
  for (const std::string& label : labels_of(question)) longest = std::max(longest, label.size());
  return longest;
}

}  // namespace malina::decide
