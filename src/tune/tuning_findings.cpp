// What a tuning job finds out beside the classifier: a learning rate, what more labels would bring,
// labels that are perhaps wrong.
#include <fmt/format.h>

#include <algorithm>

#include "eval/learning_curve.h"
#include "eval/stratified.h"
#include "tune/data/wrong_labels.h"
#include "tune/rate_search.h"
#include "tune/tuning_curve.h"
#include "tune/tuning_part.h"

namespace malina::tune {

namespace {

// Beyond these a search for wrong labels would take longer than the baseline is allowed to.
constexpr std::size_t kFewestSuspectRows = 50, kMostSuspectRows = 20000;

// With a column for each of `names`; `labels` are some of these. Both ascending.
eval::ProbabilityTable widened(const eval::ProbabilityTable& table,
                               std::span<const std::string> labels,
                               std::span<const std::string> names) {
  eval::ProbabilityTable wide{names.size(), std::vector<double>(table.rows() * names.size())};
  for (std::size_t k = 0; k < labels.size(); ++k) {
    const auto column = static_cast<std::size_t>(
        std::lower_bound(names.begin(), names.end(), labels[k]) - names.begin());
    for (std::size_t i = 0; i < table.rows(); ++i) wide.row(i)[column] = table.row(i)[k];
  }
  return wide;
}

}  // namespace

std::optional<TrialResult> Tuning::trial(const std::string& name, const Recipe& recipe,
                                         std::span<const TrainingExample> examples,
                                         const TuningEvents& events) {
  AdapterTrainingOptions options = training_options();
  options.recipe = recipe;
  const std::size_t classes = report_.labels.size();
  const std::span<const TrainingExample> validation = validation_->examples;
  const TrialWork work{
      .begin =
          [&](const AdapterTrainingOptions& own) {
            return std::make_unique<ClassifierTraining>(model_, device_, classes, examples,
                                                        validation, own);
          },
      .answers = [&](AdapterTraining& training,
                     const ScoreProgress& progress) -> std::optional<std::vector<float>> {
        const auto table =
            static_cast<ClassifierTraining&>(training).probabilities(validation, progress);
        if (!table) return std::nullopt;
        return std::vector<float>(table->values.begin(), table->values.end());
      },
      .values = validation.size() * classes};
  if (events.stage) events.stage(name, 0, 1);
  return run_trial(name, work, std::move(options), events.training, trial_files_);
}

bool Tuning::search(const TuningEvents& events) {
  return search_learning_rate(request_.search, request_.recipe, report_.search,
                              [&](const std::string& name, const Recipe& recipe) {
                                return trial(name, recipe, training_->examples, events);
                              });
}

// The baseline or the probe, with the cost or shrinkage that was chosen on all rows.
eval::ProbabilityTable Tuning::learned(Method method, std::span<const std::size_t> rows) {
  base::ThreadPool& pool = device_.context().pool;
  std::vector<std::string> labels;
  for (const std::size_t row : rows) labels.push_back(training_->data.labels[row]);
  const auto names = eval::index_classes(labels).names;
  if (names.size() < 2) {
    const eval::ProbabilityTable certain{1, std::vector<double>(validation_->data.size(), 1.0)};
    return widened(certain, names, report_.labels);
  }
  if (method == Method::linear) {
    const auto linear =
        eval::LinearBaseline::fit(training_->data.subset(rows).texts, labels,
                                  stoppable(result_.linear->options(request_.recipe.seed)), pool);
    return widened(linear.probabilities(validation_->data.texts, pool), names, report_.labels);
  }
  const std::size_t width = model_->sizes().width;
  std::vector<float> features;
  for (const std::size_t row : rows) {
    const auto begin = training_->features.begin() + static_cast<std::ptrdiff_t>(row * width);
    features.insert(features.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
  }
  const auto probe = eval::LinearBaseline::fit_dense(
      eval::DenseRows{features, width}, labels,
      stoppable(result_.probe->options(request_.recipe.seed)), pool);
  return widened(probe.probabilities(eval::DenseRows{validation_->features, width}, pool), names,
                 report_.labels);
}

bool Tuning::adapters_of_curve(std::span<const std::size_t> sizes,
                               std::map<std::size_t, eval::ProbabilityTable>& tables,
                               const TuningEvents& events) {
  const auto order = eval::nested_order(training_->classes, request_.recipe.seed);
  if (adapter_training_ != nullptr) adapter_training_->rest();  // its memory is the trials'
  for (const std::size_t size : sizes) {
    if (size == order.size()) continue;  // was trained
    std::vector<TrainingExample> examples;
    for (std::size_t i = 0; i < size; ++i) examples.push_back(training_->examples[order[i]]);
    Recipe recipe = request_.recipe;
    if (automatic_epochs_) recipe.epochs = automatic_schedule(size).epochs;
    std::optional<TrialResult> result;
    try {
      result = trial(fmt::format("curve-{}", size), recipe, examples, events);
    } catch (const DivergedError&) {
      tables.clear();  // then there is no curve
      return true;
    }
    if (!result) return false;
    tables[size] = {report_.labels.size(), {result->answers.begin(), result->answers.end()}};
  }
  return true;
}

bool Tuning::measure_curves(const TuningEvents& events) {
  const auto sizes = curve_sizes(training_->data.size(), report_.labels.size());
  if (sizes.empty()) return true;
  std::map<std::size_t, eval::ProbabilityTable> adapted;
  if (request_.curve && result_.adapter && !adapters_of_curve(sizes, adapted, events)) return false;
  const bool adapter = !adapted.empty();
  if (events.stage) events.stage("learning curve", 0, 1);
  std::vector<CurveMember> members;
  for (const Rung& rung : report_.rungs) {
    const Method method = rung.members.front();
    if (rung.members.size() > 1 || (method == Method::lora && !adapter)) continue;
    if (method == Method::labels) continue;  // five trainings more would take hours
    members.push_back({method, &rung.probabilities, [&, method](std::span<const std::size_t> rows) {
                         return method == Method::lora ? adapted.at(rows.size())
                                                       : learned(method, rows);
                       }});
  }
  report_.curves = learning_curves(report_.rungs, members, training_->classes, validation_->classes,
                                   sizes, request_.recipe.seed, device_.context().pool);
  return true;
}

void Tuning::suspect(const TuningEvents& events) {
  for (const auto* files : {&request_.training, &request_.validation})
    for (const auto& file : *files) report_.data_files.push_back(file.string());
  std::vector<std::string> texts = training_->data.texts, labels = training_->data.labels;
  std::vector<LabelledTexts::Place> places = training_->data.places;
  const std::size_t before = report_.validation_from_training ? 0 : report_.training_files.size();
  for (std::size_t i = 0; i < validation_->data.size(); ++i) {
    texts.push_back(validation_->data.texts[i]);
    labels.push_back(validation_->data.labels[i]);
    const LabelledTexts::Place& place = validation_->data.places[i];
    places.push_back({place.file + before, place.line});
  }
  if (texts.size() < kFewestSuspectRows || texts.size() > kMostSuspectRows ||
      texts.size() < 2 * report_.labels.size())
    return;
  if (events.stage) events.stage("suspected labels", 0, 1);
  const auto found = suspected_wrong_labels(texts, labels, device_.context().pool, pause_.stop());
  report_.suspected_rows = found.size();
  for (std::size_t i = 0; i < std::min(found.size(), kMostSuspected); ++i)
    report_.suspected.push_back({places[found[i].row].file, places[found[i].row].line,
                                 found[i].given, found[i].suggested, found[i].margin});
}

}  // namespace malina::tune
