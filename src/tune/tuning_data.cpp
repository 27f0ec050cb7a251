// What a tuning learns from: reading the rows, dividing them, and what of them is held back.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "eval/stratified.h"
#include "tune/second_training.h"
#include "tune/tuning.h"
#include "tune/tuning_part.h"

namespace malina::tune {

using base::Error;
using base::Fault;

void Tuning::read() {
  training_ = std::make_unique<Part>();
  validation_ = std::make_unique<Part>();
  training_->data = read_labelled_texts(request_.training, request_.reading);
  report_.training_files = training_->data.files;
  report_.licence = training_->data.licence;
  if (!request_.validation.empty()) {
    validation_->data = read_labelled_texts(request_.validation, request_.reading);
    report_.validation_files = validation_->data.files;
  }
  if (!request_.test.empty()) {
    test_ = std::make_unique<Part>();
    test_->data = read_labelled_texts(request_.test, request_.reading);
    report_.test_files = test_->data.files;
    report_.test_rows = test_->data.size();
  }
  split();
  for (Part* part : {training_.get(), validation_.get(), test_.get()})
    if (part != nullptr) part->classes = classes_of(part->data.labels, report_.labels);
  if (report_.validation_from_training) gather();
  find_scope();
  if (request_.method == Method::labels) ask_for_labels();
  if (request_.method != Method::linear && request_.method != Method::labels) encode();
}

void Tuning::split() {
  const eval::ClassIndex index = eval::index_classes(training_->data.labels);
  report_.labels = index.names;
  if (index.names.size() < 2)
    throw Error(Fault::invalid_argument,
                "all rows have the same label: there is nothing to tell apart");
  if (validation_->data.size() == 0) {
    const std::size_t rows = training_->data.size();
    const double share = held_back_share(rows);
    const std::vector<double> shares{1 - share, share};
    const auto parts = eval::stratified_split(index.of, shares, request_.recipe.seed);
    if (parts[1].size() < kFewestValidation)
      throw Error(Fault::invalid_argument,
                  fmt::format("{} rows are too few to hold back some for validation: at least {} "
                              "are needed, or a validation file",
                              rows, kFewestValidation * 5));
    LabelledTexts all = std::move(training_->data);
    training_->data = all.subset(parts[0]);
    validation_->data = all.subset(parts[1]);
    report_.validation_from_training = true;
    // A label whose rows all went to validation would never be learned.
    report_.labels = eval::index_classes(training_->data.labels).names;
    if (report_.labels.size() != index.names.size())
      throw Error(Fault::invalid_argument,
                  fmt::format("{} of {} labels have too few rows to be held back as well as "
                              "learned: give a validation file",
                              index.names.size() - report_.labels.size(), index.names.size()));
  }
  check_validation_rows(validation_->data.size());
  if (request_.automatic_reading) {
    request_.form.twice = reads_twice(training_->data.size());
    request_.recipe.pooling = request_.form.twice ? Pooling::mean : Pooling::last;
  }
  const TrainingSchedule schedule = automatic_schedule(training_->data.size());
  automatic_epochs_ = request_.recipe.epochs == 0;
  if (automatic_epochs_) request_.recipe.epochs = schedule.epochs;
  if (request_.recipe.batch == 0) request_.recipe.batch = schedule.batch;
  report_.training_rows = training_->data.size();
  report_.validation_rows = validation_->data.size();
}

void Tuning::find_scope() {
  if (request_.out_of_scope.empty()) return;
  const auto& labels = report_.labels;
  const auto found = std::find(labels.begin(), labels.end(), request_.out_of_scope);
  if (found == labels.end())
    throw Error(Fault::invalid_argument,
                fmt::format("no training row has the label '{}', which is to be out of scope",
                            request_.out_of_scope));
  const auto& given = in_turn_ ? everything_.labels : validation_->data.labels;
  const std::size_t needed = in_turn_ ? 3 * kTurns : kFewestValidation;
  const auto rows = static_cast<std::size_t>(std::count(given.begin(), given.end(), *found));
  if (labels.size() < 3 || rows < needed)
    throw Error(
        Fault::invalid_argument,
        fmt::format("{} of {} {} have the label '{}', which is to be out of scope: {} are "
                    "needed to set a threshold by, and two labels beside it",
                    rows, given.size(), in_turn_ ? "rows" : "validation rows", *found, needed));
  // Adapters are measured on the rows that were held back alone.
  const auto& held_back = validation_->data.labels;
  const auto few = static_cast<std::size_t>(std::count(held_back.begin(), held_back.end(), *found));
  few_out_of_scope_ = few < kFewestValidation;
  const bool has_adapter = request_.method == Method::lora || request_.method == Method::labels ||
                           request_.method == Method::blend;
  if (few_out_of_scope_ && has_adapter)
    throw Error(Fault::invalid_argument,
                fmt::format("{} of {} rows that were held back have the label '{}': an adapter "
                            "needs {} to set a threshold by",
                            few, held_back.size(), *found, kFewestValidation));
  request_.calibration.out_of_scope = static_cast<std::uint32_t>(found - labels.begin());
}

void Tuning::gather() {
  for (const Part* part : {training_.get(), validation_.get()}) {
    const LabelledTexts& data = part->data;
    everything_.texts.insert(everything_.texts.end(), data.texts.begin(), data.texts.end());
    everything_.labels.insert(everything_.labels.end(), data.labels.begin(), data.labels.end());
    all_classes_.insert(all_classes_.end(), part->classes.begin(), part->classes.end());
  }
  in_turn_ = everything_.size() < kFewRows;
}

void Tuning::encode() {
  request_.form.max_tokens =
      std::min<std::size_t>(request_.form.max_tokens, model_->sizes().context);
  for (Part* part : {training_.get(), validation_.get(), test_.get()}) {
    if (part == nullptr) continue;
    ClassificationExamples encoded =
        classification_examples(part->data, part->classes, request_.form, *tokenizer_);
    part->examples = std::move(encoded.examples);
    report_.truncated += encoded.truncated;
    part->longest = encoded.longest;
  }
  // Not the test part's: it decides nothing.
  request_.recipe.rows = std::max({request_.recipe.rows, training_->longest, validation_->longest});
}

}  // namespace malina::tune
