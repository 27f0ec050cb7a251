#include "tune/data/part_facts.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "tune/data/example_text.h"
#include "tune/data/plain_text.h"

namespace malina::tune {

namespace {

constexpr std::size_t kLongestLabel = 200;   // bytes
constexpr std::size_t kMostLabels = 20'000;  // distinct
constexpr std::size_t kBins = 40;            // of a histogram
constexpr std::size_t kFewAnswers = 20;      // rows: too few to tell labels by

using Counted = std::vector<std::pair<std::string, std::uint64_t>>;

Counted most_first(const std::unordered_map<std::string, std::uint64_t>& counts) {
  Counted sorted(counts.begin(), counts.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  return sorted;
}

std::uint32_t narrow(std::size_t value) {
  return static_cast<std::uint32_t>(
      std::min<std::size_t>(value, std::numeric_limits<std::uint32_t>::max()));
}

// Percentiles are the nearest ranks: values that rows have.
Lengths lengths_of(std::vector<std::uint32_t> values) {
  Lengths lengths;
  if (values.empty()) return lengths;
  std::sort(values.begin(), values.end());
  const auto rank = [&](std::size_t percent) {
    return values[(values.size() * percent + 99) / 100 - 1];
  };
  lengths.p50 = rank(50);
  lengths.p95 = rank(95);
  lengths.most = values.back();
  for (const std::uint32_t value : values) lengths.sum += value;
  lengths.bin_width = std::max<std::uint64_t>(1, (lengths.most + kBins) / kBins);
  lengths.bins.resize(static_cast<std::size_t>(lengths.most / lengths.bin_width) + 1);
  for (const std::uint32_t value : values)
    ++lengths.bins[static_cast<std::size_t>(value / lengths.bin_width)];
  return lengths;
}

}  // namespace

void PartFacts::bad(DatasetError error) {
  ++report_.bad_rows;
  if (report_.errors.size() < kMostListed) report_.errors.push_back(std::move(error));
}

void PartFacts::take(const Row& row) {
  if (const auto* error = std::get_if<DatasetError>(&row)) return bad(*error);
  const auto& example = std::get<Example>(row);
  if (request_.count_tokens) {
    std::size_t tokens = 0;
    try {
      tokens = request_.count_tokens(example);
    } catch (const base::Error& error) {
      if (error.fault() != base::Fault::invalid_argument) throw;
      // The model's template refuses the conversation: this row's fault, as any other.
      return bad({example.place, error.what()});
    }
    tokens_.push_back(narrow(tokens));
    if (request_.max_tokens && tokens > *request_.max_tokens) {
      ++report_.truncated_rows;
      report_.truncated.push_back({example.place.line, tokens});
    }
  }
  const std::string question = question_of(example), answer = answer_of(example);
  rows_.push_back({example.place, text_hash(question), text_hash(answer)});
  wrappers_.add(question);
  characters_.push_back(narrow(base::code_points(question)));
  if (!example.licence.empty() &&
      (licences_.size() < kMostListed || licences_.contains(example.licence)))
    ++licences_[example.licence];
  take_answers(example, answer);
  take_personal_data(example);
}

void PartFacts::take_answers(const Example& example, const std::string& answer) {
  if (const auto* one = example.classification()) {
    for (const Slot& slot : one->slots)
      if (slot_types_.size() < kMostLabels || slot_types_.contains(slot.type))
        ++slot_types_[slot.type];
    report_.several_labels = report_.several_labels || one->multiple;
    labelled_ = labelled_ || !one->labels.empty();
    for (const std::string& label : one->labels)
      if (labels_.size() < kMostLabels || labels_.contains(label)) ++labels_[label];
    return;
  }
  if (free_answers_) return;
  free_answers_ = answer.empty() || answer.size() > kLongestLabel ||
                  (labels_.size() >= kMostLabels && !labels_.contains(answer));
  if (free_answers_)
    labels_.clear();
  else
    ++labels_[answer];
}

void PartFacts::take_personal_data(const Example& example) {
  std::vector<PersonalData> seen;
  for (const PersonalDataFound& found : find_personal_data(whole_text(example))) {
    PersonalDataCount& count = report_.personal_data[found.kind];
    ++count.occurrences;
    if (std::find(seen.begin(), seen.end(), found.kind) != seen.end()) continue;
    seen.push_back(found.kind);
    ++count.rows;
    if (count.lines.size() < kMostListed) count.lines.push_back(example.place.line);
  }
}

void PartFacts::finish() {
  report_.rows = rows_.size();
  report_.slot_types = most_first(slot_types_);
  report_.licences = most_first(licences_);
  report_.characters = lengths_of(std::move(characters_));
  if (request_.count_tokens) report_.tokens = lengths_of(std::move(tokens_));
  report_.wrappers = wrappers_.find();
  const bool classification = report_.format.schema == Schema::labelled;
  // Answers of chats and completions are labels where each comes five times and more.
  const bool repeat = !free_answers_ && rows_.size() >= kFewAnswers && !labels_.empty() &&
                      labels_.size() * 5 <= rows_.size();
  if (classification)
    report_.answers = labelled_ ? Answers::labels : Answers::spans;
  else
    report_.answers = repeat ? Answers::labels : Answers::free;
  if (report_.answers == Answers::labels) report_.labels = most_first(labels_);
}

}  // namespace malina::tune
