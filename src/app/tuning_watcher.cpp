#include "app/tuning_watcher.h"

#include <fmt/format.h>

#include "app/interrupt.h"
#include "app/tuning_report.h"

namespace malina::app {

void TuningWatcher::clear() {
  if (console_.error_is_terminal()) console_.status("\r\x1b[K");
}

void TuningWatcher::line(const std::string& text) {
  bar_.hide();
  console_.status("\r\x1b[K" + text);
}

void TuningWatcher::keep(const std::string& text) {
  if (!console_.error_is_terminal()) return;
  bar_.hide();
  clear();
  console_.status(text);
}

tune::TuningEvents TuningWatcher::events() {
  tune::TuningEvents events;
  events.stage = [this](std::string_view stage, std::size_t done, std::size_t total) {
    if (total > 1)
      bar_({stage, done, total, 0, "texts"});
    else if (console_.error_is_terminal())
      line(std::string(stage));
  };
  events.rung = [this](const tune::Rung& rung) { add(rung); };
  events.training.step = [this](const tune::StepReport& step, std::uint64_t steps) {
    add(step, steps);
  };
  events.training.epoch = [this](const tune::EpochReport& epoch) {
    keep(fmt::format(
        "  epoch {}: train loss {:.4f}, validation loss {:.4f}, accuracy {}, macro F1 {}{}\n",
        epoch.epoch, epoch.train_loss, epoch.loss, percent(epoch.accuracy), percent(epoch.macro_f1),
        epoch.best ? "  (best)" : ""));
  };
  events.training.measured = [this](std::size_t done, std::size_t total) {
    // The bar would end the job by an exception; it is paused with a snapshot.
    if (!InterruptScope::requested()) bar_({"validation rows", done, total, 0, "texts"});
  };
  events.training.pause = [] { return InterruptScope::requested(); };
  return events;
}

void TuningWatcher::add(const tune::Rung& rung) {
  keep(fmt::format("{}: {} of the validation rows are right ({} to {}), {}{}\n",
                   tune::name(rung.members), percent(rung.validation.accuracy.value),
                   percent(rung.validation.accuracy.interval.low),
                   percent(rung.validation.accuracy.interval.high), human_seconds(rung.seconds),
                   rung.p_value ? fmt::format(", against linear p = {:.3g}", *rung.p_value) : ""));
}

void TuningWatcher::add(const tune::StepReport& step, std::uint64_t steps) {
  const auto now = Clock::now();
  if (step.step <= last_step_) positions_ = 0;  // another training begins
  last_step_ = step.step;
  if (positions_ == 0) begun_ = now;
  // The first step's own time is not known: it counts from the second one.
  const double seconds = std::chrono::duration<double>(now - begun_).count();
  const double rate = seconds > 0 ? static_cast<double>(positions_) / seconds : 0;
  if (positions_ == 0) first_step_ = step.step;
  positions_ += step.positions;
  smoothed_ = smoothed_ == 0 ? step.loss : 0.9 * smoothed_ + 0.1 * step.loss;
  if (!console_.error_is_terminal() || now - shown_ < std::chrono::milliseconds(200)) return;
  shown_ = now;
  const double done = static_cast<double>(step.step - first_step_);
  const double left = done > 0 ? seconds / done * static_cast<double>(steps - step.step) : 0;
  line(fmt::format("training  step {}/{}  loss {:.4f}  {:.0f} tokens/s  {} left", step.step, steps,
                   smoothed_, rate, done > 0 ? human_seconds(left) : "..."));
}

}  // namespace malina::app
