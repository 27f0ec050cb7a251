#include "tune/training_memory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <numeric>

#include "base/error.h"
#include "base/machine.h"
#include "model/transposed_weights.h"

namespace malina::tune {

using base::Error;
using base::Fault;

namespace {

constexpr const char* kActivations = "activations and gradients";

std::uint64_t mib_up(std::uint64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; }

}  // namespace

std::uint64_t bytes_of(const MemoryParts& parts) {
  return std::accumulate(
      parts.begin(), parts.end(), std::uint64_t{0},
      [](std::uint64_t sum, const TuningPlan::Memory& part) { return sum + part.bytes; });
}

std::uint64_t bytes_of(std::span<const TrainingExample> examples) {
  std::uint64_t bytes = examples.size_bytes();
  for (const TrainingExample& example : examples)
    bytes += example.tokens.capacity() * sizeof(std::int32_t) +
             example.targets.capacity() * sizeof(std::int32_t) +
             example.weights.capacity() * sizeof(float);
  return bytes;
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

double filled_share(std::span<const TrainingExample> training,
                    std::span<const TrainingExample> validation, const Recipe& recipe) {
  std::vector<std::size_t> lengths;
  for (const TrainingExample& example : training) lengths.push_back(example.tokens.size());
  const std::size_t batch = std::min(recipe.batch, lengths.size());
  std::partial_sort(lengths.begin(), lengths.begin() + static_cast<std::ptrdiff_t>(batch),
                    lengths.end(), std::greater<>());
  std::size_t step = 0, read = 0;
  for (std::size_t i = 0; i < batch; ++i) step += lengths[i];
  for (const TrainingExample& example : validation) read += example.tokens.size();
  return std::min(1.0,
                  static_cast<double>(std::max(step, read)) / static_cast<double>(recipe.rows));
}

MemoryParts adapter_training_memory(const std::shared_ptr<const model::Model>& model,
                                    const Recipe& recipe, std::size_t classes, double filled) {
  math::PlanningDevice device;
  const model::TrainingPass pass(model, device,
                                 {.max_rows = recipe.rows,
                                  .rank = recipe.adapter.rank,
                                  .recompute = recipe.recompute,
                                  .precision = recipe.precision});
  MemoryParts parts{{kActivations, static_cast<std::uint64_t>(
                                       static_cast<double>(device.allocated_bytes()) * filled)}};
  if (recipe.precision == math::Precision::fast) {
    math::PlanningDevice turned;
    const model::TransposedWeights weights(*model, turned);
    parts.push_back({"weights turned for the way back", turned.allocated_bytes()});
  }
  const std::size_t width = model->sizes().width, head = classes * width;
  math::PlanningDevice small;
  const model::TrainableAdapter adapter(*model, recipe.adapter, recipe.seed, small);
  // Parameters and gradients; two moments; the best epoch's; the result.
  parts.push_back(
      {kAdapterPart, small.allocated_bytes() + (4 * adapter.size() + 6 * head) * sizeof(float)});
  if (classes > 0) return parts;
  math::PlanningDevice scores;
  const OutputHead vocabulary(model, scores, 0, recipe.rows, 0);
  // Scores of its blocks; hidden states that are trained, and their gradients.
  parts.push_back(
      {"vocabulary head", scores.allocated_bytes() + 2 * recipe.rows * width * sizeof(float)});
  return parts;
}

void add_trial(MemoryParts& parts) {
  for (const TuningPlan::Memory& part : MemoryParts(parts))
    if (part.name == kAdapterPart) parts.push_back({"adapter of a learning curve", part.bytes});
}

std::string shortage(std::uint64_t bytes, std::uint64_t most) {
  if (bytes <= most) return "";
  return fmt::format("it needs {} MiB of memory beside model and data, and {} MiB are available",
                     mib_up(bytes), most >> 20);
}

void check_memory(const MemoryParts& parts, std::uint64_t most) {
  const std::string what = shortage(bytes_of(parts), most);
  if (what.empty()) return;
  std::string all;
  bool kept = false;  // activations
  for (const TuningPlan::Memory& part : parts) {
    kept = kept || part.name == kActivations;
    all += fmt::format("{}{} {}", all.empty() ? "" : ", ", part.name, mib_up(part.bytes));
  }
  throw Error(Fault::out_of_memory,
              fmt::format("{}: {}{}", what, all, kept ? "; --recompute takes less" : ""));
}

TuningPlan plan_of(const MemoryParts& parts, std::uint64_t resident) {
  TuningPlan plan;
  plan.memory.push_back({"program, model and data", resident});
  plan.memory.insert(plan.memory.end(), parts.begin(), parts.end());
  plan.peak_bytes = resident + bytes_of(parts);
  plan.usable_bytes = resident + base::read_machine().usable_bytes();
  return plan;
}

}  // namespace malina::tune
