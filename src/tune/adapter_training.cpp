#include "tune/adapter_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "tune/recipe_json.h"
#include "tune/snapshot.h"

namespace malina::tune {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;

EpochReport best_of(const std::vector<EpochReport>& history) {
  const auto best = std::find_if(history.rbegin(), history.rend(),
                                 [](const EpochReport& report) { return report.best; });
  return best == history.rend() ? EpochReport{} : *best;
}

AdapterTraining::AdapterTraining(std::shared_ptr<const model::Model> model, math::CpuDevice& device,
                                 std::size_t classes, std::span<const TrainingExample> training,
                                 const AdapterTrainingOptions& options)
    : options_(options), trainer_(std::move(model), device, options.recipe, classes, training) {
  restore();
}

AdapterTraining::~AdapterTraining() = default;

Json AdapterTraining::state() const {
  Json epochs = Json::array();
  for (const EpochReport& report : history_)
    epochs.push_back({report.epoch, report.train_loss, report.loss, report.accuracy,
                      report.macro_f1, report.best});
  return {{"origin", options_.origin}, {"recipe", to_json(options_.recipe)},
          {"step", trainer_.step()},   {"positions", positions_},
          {"epoch_loss", epoch_loss_}, {"epochs", epochs}};
}

void AdapterTraining::save() {
  if (options_.snapshot.empty()) return;
  std::vector<std::span<const float>> arrays;
  for (const auto& array : trainer_.state().arrays) arrays.emplace_back(array);
  arrays.emplace_back(best_adapter_);
  arrays.emplace_back(best_head_);
  arrays.emplace_back(losses_);
  write_snapshot(options_.snapshot, state(), arrays);
}

void AdapterTraining::restore() {
  if (options_.snapshot.empty()) return;
  const auto arrays = trainer_.state().arrays;
  auto snapshot = read_snapshot(options_.snapshot, arrays);
  if (!snapshot) return;
  const Json& stored = snapshot->state;
  const std::string name = options_.snapshot.string();
  if (stored.at("origin") != options_.origin || stored.at("recipe") != to_json(options_.recipe))
    throw Error(Fault::invalid_argument,
                fmt::format("{} is of a job with another base, other data or another recipe: "
                            "remove it to begin anew",
                            name));
  if (snapshot->arrays.size() != arrays.size() + 3)
    throw Error(Fault::corrupt_file, fmt::format("{}: it holds other arrays", name));
  for (std::size_t i = 0; i < arrays.size(); ++i)
    if (!snapshot->arrays[i].empty())  // it did not fit its place
      throw Error(Fault::corrupt_file, fmt::format("{}: an array of another size", name));
  best_adapter_ = std::move(snapshot->arrays[arrays.size()]);
  best_head_ = std::move(snapshot->arrays[arrays.size() + 1]);
  losses_ = std::move(snapshot->arrays[arrays.size() + 2]);
  trainer_.set_step(stored.at("step"));
  positions_ = stored.value("positions", std::uint64_t{0});  // none in those of earlier versions
  epoch_loss_ = stored.at("epoch_loss");
  for (const Json& epoch : stored.at("epochs")) {
    EpochReport& report = history_.emplace_back();
    report = {epoch.at(0), epoch.at(1), epoch.at(2), epoch.at(3), epoch.at(4), epoch.at(5)};
    report.step = report.epoch * trainer_.steps_per_epoch();
    report.steps = last_step();
  }
}

std::uint64_t AdapterTraining::last_step() const {
  if (options_.only_epochs == 0) return trainer_.steps();
  return std::min(trainer_.steps(), options_.only_epochs * trainer_.steps_per_epoch());
}

bool AdapterTraining::exhausted() const {
  const auto best = std::find_if(history_.rbegin(), history_.rend(),
                                 [](const EpochReport& report) { return report.best; });
  return static_cast<std::size_t>(best - history_.rbegin()) >= options_.patience;
}

bool AdapterTraining::run(const TrainingEvents& events) {
  using Clock = std::chrono::steady_clock;
  auto saved = Clock::now();
  if (events.begun) events.begun(trainer_.step(), positions_);
  for (;;) {
    if (unmeasured()) {
      const bool ended = end_epoch(events);
      save();
      if (!ended) return false;
      saved = Clock::now();
    }
    if (trainer_.step() == last_step() || (exhausted() && !history_.empty())) return true;
    const StepReport report = trainer_.run_step();
    epoch_loss_ += report.loss;
    positions_ += report.positions;
    losses_.push_back(static_cast<float>(report.loss));
    if (events.step) events.step(report, last_step());
    const bool pause = events.pause && events.pause();
    if (pause ||
        std::chrono::duration<double>(Clock::now() - saved).count() > options_.snapshot_seconds) {
      save();
      saved = Clock::now();
    }
    if (pause) return false;
  }
}

bool AdapterTraining::unmeasured() const {
  return history_.size() < trainer_.step() / trainer_.steps_per_epoch();
}

bool AdapterTraining::end_epoch(const TrainingEvents& events) {
  const bool unseen = options_.only_epochs > 0;
  const auto measured = unseen ? EpochReport{} : measure([&](std::size_t done) {
    if (events.pause && events.pause()) return false;
    if (events.measured) events.measured(done, validation_rows());
    return true;
  });
  if (!measured) return false;
  EpochReport report = *measured;
  report.epoch = trainer_.step() / trainer_.steps_per_epoch();
  report.step = trainer_.step();
  report.steps = last_step();
  report.train_loss = epoch_loss_ / static_cast<double>(trainer_.steps_per_epoch());
  report.best =
      unseen || std::all_of(history_.begin(), history_.end(), [&](const EpochReport& other) {
        return report.macro_f1 > other.macro_f1 ||
               (report.macro_f1 == other.macro_f1 && report.loss < other.loss);
      });
  history_.push_back(report);
  epoch_loss_ = 0;
  if (report.best) keep_best();
  if (events.epoch) events.epoch(report);
  return true;
}

void AdapterTraining::keep_best() {
  best_adapter_.assign(trainer_.parameters().begin(), trainer_.parameters().end());
  best_head_.assign(trainer_.head().parameters().begin(), trainer_.head().parameters().end());
}

AdapterTraining::Parameters AdapterTraining::take_best() {
  return {std::move(best_adapter_), std::move(best_head_)};
}

void AdapterTraining::put_best(Parameters best) {
  best_adapter_ = std::move(best.adapter);
  best_head_ = std::move(best.head);
}

void AdapterTraining::use_best() {
  math::require(!best_adapter_.empty(), "training", "no epoch has ended");
  std::copy(best_adapter_.begin(), best_adapter_.end(), trainer_.parameters().begin());
  std::copy(best_head_.begin(), best_head_.end(), trainer_.head().parameters().begin());
}

}  // namespace malina::tune
