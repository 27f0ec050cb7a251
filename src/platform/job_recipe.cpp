#include "platform/job_recipe.h"

#include <fmt/format.h>

#include "base/error.h"
#include "platform/method_name.h"

namespace malina::platform {

namespace {

constexpr std::string_view kFull = "full";

// What was asked for in place of what `malina tune` begins with.
void set_recipe(const TuningJob& job, tune::Recipe& recipe, std::size_t& patience) {
  recipe.adapter.alpha = 2 * static_cast<float>(recipe.adapter.rank);
  recipe.seed = static_cast<std::uint64_t>(job.seed);
  const Hyperparameters& asked = job.hyperparameters;
  if (asked.fast) recipe.precision = math::Precision::fast;
  if (asked.batch_size) recipe.batch = static_cast<std::size_t>(*asked.batch_size);
  if (asked.learning_rate_multiplier)
    recipe.learning_rate *= static_cast<float>(*asked.learning_rate_multiplier);
  if (asked.epochs) {  // so many and no fewer; the best one is kept all the same
    recipe.epochs = static_cast<std::size_t>(*asked.epochs);
    patience = recipe.epochs;
  }
}

base::Error refusal(std::string_view technique, const char* why) {
  return base::Error(base::Fault::invalid_argument, fmt::format("technique {}: {}", technique, why),
                     {.code = "invalid_value", .parameter = "hyperparameters.technique"});
}

tune::Method method_of(const std::string& technique, TuneTask task) {
  if (task == TuneTask::generation)
    throw refusal(technique, "is of labelled texts, and the data teach a model to write");
  const auto method = method_named(technique);
  if (!method) throw refusal(technique, "there is none that is called so");
  return *method;
}

}  // namespace

bool is_full(const TuningJob& job) { return job.hyperparameters.technique == kFull; }

void set_recipes(const TuningJob& job, TuneRequest& request) {
  tune::TuningRequest& tuning = request.tuning;
  // As many rows as there are decide.
  tuning.recipe.epochs = tuning.recipe.batch = 0;
  tuning.automatic_reading = true;
  const std::string& technique = job.hyperparameters.technique;
  const bool full = is_full(job);
  if (full && task_of_data(tuning) != TuneTask::generation)
    throw refusal(kFull, "is of conversations and completions, and the data have labels or spans");
  if (!technique.empty() && !full) tuning.method = method_of(technique, task_of_data(tuning));
  set_recipe(job, tuning.recipe, tuning.patience);
  request.generation.recipe = tune::generation_recipe(full);
  set_recipe(job, request.generation.recipe, request.generation.patience);
}

}  // namespace malina::platform
