#include "tune/generation_tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "base/shuffle.h"

namespace malina::tune {

using base::Error;
using base::Fault;

namespace {

constexpr std::size_t kFewestRows = 10;  // in all; below it nothing can be said of the result
constexpr double kHeldBack = 0.1;        // of the rows, where there is no validation file
constexpr std::size_t kMostHeldBack = 1000;

void describe(const GenerationData& data, GenerationReport::Part& part) {
  part.rows = data.rows - data.too_long;
  part.examples = data.examples.size();
  part.too_long = data.too_long;
  part.tokens = data.tokens;
  part.learned = data.learned;
  part.files = data.files;
}

// Moves examples whose row is marked.
GenerationData taken(GenerationData& from, const std::vector<bool>& marked) {
  GenerationData rest, result;
  for (std::size_t i = 0; i < from.examples.size(); ++i) {
    GenerationData& to = marked[from.rows_of[i]] ? result : rest;
    to.tokens += from.examples[i].tokens.size();
    to.learned += from.examples[i].trained();
    to.longest = std::max(to.longest, from.examples[i].tokens.size());
    to.examples.push_back(std::move(from.examples[i]));
    to.rows_of.push_back(from.rows_of[i]);
  }
  result.rows = static_cast<std::size_t>(std::count(marked.begin(), marked.end(), true));
  rest.rows = from.rows - result.rows;
  rest.too_long = from.too_long;
  rest.files = std::move(from.files);
  rest.licence = std::move(from.licence);
  from = std::move(rest);
  return result;
}

}  // namespace

Recipe generation_recipe(bool full) {
  Recipe recipe;
  recipe.full = full;
  recipe.learning_rate = full ? 2e-5F : 5e-4F;
  recipe.batch = 16;
  recipe.epochs = 0;
  return recipe;
}

std::size_t generation_epochs(std::size_t examples, std::size_t batch) {
  constexpr std::size_t kSteps = 200, kLeast = 3, kMost = 15;
  const std::size_t steps = std::max<std::size_t>(1, (examples + batch - 1) / batch);
  return std::clamp((kSteps + steps - 1) / steps, kLeast, kMost);
}

FullTuningMemory full_tuning_memory(std::shared_ptr<const format::Checkpoint> checkpoint,
                                    std::size_t rows, bool recompute) {
  math::PlanningDevice plan;
  const auto model = model::Model::plan(model::in_float32(std::move(checkpoint)), plan);
  model::check_trainable(*model);
  const std::uint64_t weights = model->weight_bytes();
  math::PlanningDevice beside;
  const model::TrainingPass pass(model, beside, {.max_rows = rows, .recompute = recompute});
  const OutputHead head(model, beside, 0, rows, 0);
  return {.weights = weights,
          .gradients = weights,
          .moments = 2 * weights,
          .best = weights,
          .activations = beside.allocated_bytes()};
}

void FullTuningMemory::check(std::uint64_t usable) const {
  if (bytes() <= usable) return;
  const auto mib = [](std::uint64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; };
  throw Error(Fault::out_of_memory,
              fmt::format("training all weights needs {} MiB of memory and {} MiB are available: "
                          "weights {}, gradients {}, two moments {}, the best epoch's weights {}, "
                          "activations {}; recomputing these (--recompute) takes less for the "
                          "last, and an adapter in place of all weights a fraction",
                          mib(bytes()), mib(usable), mib(weights), mib(gradients), mib(moments),
                          mib(best), mib(activations)));
}

GenerationTuning::GenerationTuning(std::shared_ptr<const model::Model> model,
                                   const text::Tokenizer& tokenizer,
                                   const text::ChatTemplate* chat_template, math::CpuDevice& device,
                                   GenerationRequest request)
    : model_(std::move(model)),
      device_(device),
      request_(std::move(request)),
      form_{&tokenizer, chat_template, request_.max_tokens},
      leftovers_(trial_files(request_.snapshot)) {}

GenerationTuning::~GenerationTuning() = default;

void GenerationTuning::read() {
  training_ = read_generation_data(request_.training, form_, request_.reading, request_.skip_long);
  if (training_.rows - training_.too_long < kFewestRows)
    throw Error(Fault::invalid_argument,
                fmt::format("{} rows are too few to learn from: at least {} are needed",
                            training_.rows - training_.too_long, kFewestRows));
  if (request_.validation.empty())
    hold_back();
  else
    validation_ =
        read_generation_data(request_.validation, form_, request_.reading, request_.skip_long);
  describe(training_, report_.training);
  describe(validation_, report_.validation);
  report_.licence = training_.licence;
  report_.longest = std::max(training_.longest, validation_.longest);
  request_.recipe.rows = std::max(request_.recipe.rows, report_.longest);
  automatic_epochs_ = request_.recipe.epochs == 0;
  if (automatic_epochs_)
    request_.recipe.epochs = generation_epochs(training_.examples.size(), request_.recipe.batch);
}

void GenerationTuning::hold_back() {
  // A row that was too long has no example: it is no choice.
  std::vector<std::size_t> rows(training_.rows_of);
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  base::Random random(request_.recipe.seed + 2);
  base::shuffle(rows, random);
  const auto share = static_cast<std::size_t>(kHeldBack * static_cast<double>(rows.size()) + 0.5);
  rows.resize(std::clamp<std::size_t>(share, 1, kMostHeldBack));
  std::vector<bool> marked(training_.rows, false);
  for (const std::size_t row : rows) marked[row] = true;
  validation_ = taken(training_, marked);
  report_.validation_from_training = true;
}

// All that decides the examples, beside the recipe.
std::string GenerationTuning::origin() const {
  std::string text = fmt::format("writing, base {} max_tokens {} skip_long {}\n",
                                 request_.base_digest, request_.max_tokens, request_.skip_long);
  for (const base::Digest& digest : report_.training.files)
    text += "training " + digest.text() + "\n";
  for (const base::Digest& digest : report_.validation.files)
    text += "validation " + digest.text() + "\n";
  return text;
}

AdapterTrainingOptions GenerationTuning::training_options() const {
  // A snapshot holds seconds of writing where it holds a whole model five times.
  constexpr double kAdapterSeconds = 60, kFullSeconds = 600;
  return {.recipe = request_.recipe,
          .patience = request_.patience,
          .snapshot = request_.snapshot,
          .snapshot_seconds = request_.recipe.full ? kFullSeconds : kAdapterSeconds,
          .origin = origin()};
}

bool GenerationTuning::run(const GenerationEvents& events) {
  if (run_ == nullptr) {
    if (!search(events)) return false;
    if (events.stage) events.stage("the base on the validation rows", 0, 1);
    // Before a snapshot is read: then the base's weights are no longer there.
    if (request_.recipe.full)
      report_.before = Trainer(model_, device_, request_.recipe, 0, training_.examples)
                           .evaluate(validation_.examples)
                           .value();
    run_ = std::make_unique<GenerationTraining>(model_, device_, training_.examples,
                                                validation_.examples, training_options());
    if (!request_.recipe.full) report_.before = run_->of_base();
  }
  if (!run_->run(events.training)) return false;
  if (request_.recipe.full)
    weights_ = &run_->best_weights();
  else
    result_ = run_->best();
  report_.history = run_->history();
  for (const EpochReport& epoch : report_.history)
    if (epoch.best)
      report_.after = {
          .loss = epoch.loss, .accuracy = epoch.accuracy, .weight = report_.before.weight};
  return measure_curve(events);
}

namespace {

// So many of them, spread evenly.
std::vector<std::size_t> some_of(std::vector<std::size_t> rows, std::size_t most) {
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  const std::size_t count = std::min(rows.size(), most);
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < count; ++i) chosen.push_back(rows[i * rows.size() / count]);
  return chosen;
}

}  // namespace

GenerationCertificate GenerationTuning::certificate() {
  const std::vector<std::size_t> chosen =
      some_of(validation_.rows_of, GenerationCertificate::kExamples);
  GenerationCertificate certificate;
  auto next = chosen.begin();
  std::size_t number = 0, first = 0;
  for (const auto& path : validation_files()) {
    ExampleReader reader(path, request_.reading);
    for (; next != chosen.end(); ++number) {
      const auto read = reader.next();
      if (!read) break;
      if (number != *next) continue;
      ++next;
      while (validation_.rows_of[first] != number) ++first;
      std::size_t last = first;
      while (last < validation_.rows_of.size() && validation_.rows_of[last] == number) ++last;
      const auto examples = std::span(validation_.examples).subspan(first, last - first);
      GenerationCertificate::Row& row = certificate.rows.emplace_back();
      row.row = row_json(std::get<Example>(*read));
      row.tokens = examples_digest(examples);
      for (const TrainingExample& example : examples) row.length += example.tokens.size();
      row.log_probability = -run_->evaluate(examples).loss;
    }
  }
  return certificate;
}

}  // namespace malina::tune
