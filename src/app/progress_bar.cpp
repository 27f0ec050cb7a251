#include "app/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace malina::app {

namespace {

using namespace std::chrono_literals;

constexpr auto kQuietFor = 1s;
constexpr auto kBetween = 100ms;
constexpr std::string_view kClearLine = "\r\x1b[K";

}  // namespace

std::string human_seconds(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::ceil(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string progress_line(const platform::Progress& progress, double seconds) {
  constexpr std::size_t kCells = 20;
  const std::uint64_t new_bytes =
      progress.done_bytes - std::min(progress.done_bytes, progress.kept_bytes);
  const double rate = seconds > 0 ? static_cast<double>(new_bytes) / seconds : 0;
  if (progress.total_bytes == 0 && progress.done_bytes == 0) return std::string(progress.step);
  if (progress.total_bytes == 0)
    return fmt::format("{}  {}  {}/s", progress.step, human_bytes(progress.done_bytes),
                       human_bytes(static_cast<std::uint64_t>(rate)));
  const double total = std::max(1.0, static_cast<double>(progress.total_bytes));
  const double share = std::clamp(static_cast<double>(progress.done_bytes) / total, 0.0, 1.0);
  const auto filled = static_cast<std::size_t>(share * kCells);
  std::string line = fmt::format("{}  {:3.0f} %  [{:#<{}}{:-<{}}]", progress.step,
                                 std::floor(share * 100), "", filled, "", kCells - filled);
  if (rate > 0) {
    const std::string speed = progress.unit.empty() ? human_bytes(static_cast<std::uint64_t>(rate))
                                                    : fmt::format("{:.0f} {}", rate, progress.unit);
    line += fmt::format("  {}/s  {} left", speed, human_seconds((1 - share) * total / rate));
  }
  return line;
}

ProgressBar::~ProgressBar() { hide(); }

void ProgressBar::hide() {
  if (visible_) console_.status(kClearLine);
  visible_ = false;
}

void ProgressBar::operator()(const platform::Progress& progress) {
  if (InterruptScope::requested()) throw base::Error(base::Fault::cancelled, "stopped on request");
  if (!console_.error_is_terminal()) return;
  const auto now = Clock::now();
  if (step_ != progress.step || progress.done_bytes < done_) {  // or the same one once more
    step_ = progress.step;
    begun_ = now;
    shown_ = now - kBetween;
  }
  done_ = progress.done_bytes;
  if (now - begun_ < kQuietFor || now - shown_ < kBetween) return;
  shown_ = now;
  visible_ = true;
  const double seconds = std::chrono::duration<double>(now - begun_).count();
  console_.status(std::string(kClearLine) + progress_line(progress, seconds));
}

}  // namespace malina::app
