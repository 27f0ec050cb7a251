#include "platform/tuning_plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "platform/html_page.h"

namespace malina::platform {

Plot reliability_plot(std::span<const eval::ReliabilityBin> bins, std::string title) {
  Plot plot{.title = std::move(title),
            .description =
                "Of answers with about the same confidence, the share that is right. On the "
                "diagonal the two are equal.",
            .x = {.name = "confidence", .percent = true},
            .y = {.name = "right", .percent = true},
            .series = {{.name = "", .mark = PlotMark::line_and_dots, .points = {}}}};
  plot.width = 310, plot.height = 300;  // three fit beside each other
  plot.guides.push_back({{0, 0}, {1, 1}});
  for (const eval::ReliabilityBin& bin : bins) {
    if (bin.rows == 0) continue;
    const auto right = static_cast<std::size_t>(bin.accuracy * static_cast<double>(bin.rows) + 0.5);
    const eval::Interval interval = eval::wilson_interval(right, bin.rows);
    plot.series[0].points.push_back(
        {bin.confidence, bin.accuracy, std::pair{interval.low, interval.high}});
    plot.bars.push_back({bin.low, bin.high, static_cast<double>(bin.rows),
                         fmt::format("{:.0f} to {:.0f} %: {} rows", 100 * bin.low, 100 * bin.high,
                                     grouped(bin.rows))});
  }
  return plot;
}

Plot risk_coverage_plot(std::span<const eval::RiskCoveragePoint> points,
                        std::optional<double> threshold, std::string title) {
  Plot plot{.title = std::move(title),
            .description =
                "The share of answers that is wrong where only the most confident rows are "
                "answered, against the share of rows that is answered.",
            .x = {.name = "answered", .percent = true},
            .y = {},
            .series = {{.name = "", .mark = PlotMark::line, .points = {}}}};
  std::vector<double> risks{0.01};
  for (const eval::RiskCoveragePoint& point : points) {
    plot.series[0].points.push_back({point.coverage, point.risk});
    risks.push_back(point.risk);
  }
  plot.y = axis_of("wrong among these", risks);
  plot.y.low = 0;
  plot.y.percent = true;
  if (!threshold) return plot;
  double coverage = 0;  // of the rows at or above the threshold
  for (const eval::RiskCoveragePoint& point : points)
    if (point.threshold >= *threshold) coverage = point.coverage;
  plot.mark = {coverage, fmt::format("threshold {:.3f}", *threshold)};
  return plot;
}

namespace {

PlotAxis epoch_axis(std::span<const tune::EpochReport> history) {
  return {.name = "epoch", .low = 0, .high = static_cast<double>(history.back().epoch)};
}

void mark_best(std::span<const tune::EpochReport> history, Plot& plot) {
  for (const tune::EpochReport& epoch : history)
    if (epoch.best) plot.mark = {static_cast<double>(epoch.epoch), "kept"};
}

}  // namespace

Plot loss_plot(std::span<const tune::EpochReport> history, std::span<const tune::StepLoss> losses) {
  Plot plot{
      .title = "Loss",
      .description =
          "Mean loss of training steps, and of the validation rows after each epoch, in nats.",
      .x = epoch_axis(history),
      .y = {},
      .series = {{.name = "training steps", .mark = PlotMark::line, .points = {}},
                 {.name = "validation rows", .mark = PlotMark::line_and_dots, .points = {}}}};
  std::vector<double> values{0};
  const double last_step = losses.empty() ? 1 : static_cast<double>(losses.back().step);
  for (const tune::StepLoss& point : losses) {
    plot.series[0].points.push_back(
        {static_cast<double>(point.step) / last_step * plot.x.high, point.loss});
    values.push_back(point.loss);
  }
  for (const tune::EpochReport& epoch : history) {
    plot.series[1].points.push_back({static_cast<double>(epoch.epoch), epoch.loss});
    values.push_back(epoch.loss);
  }
  plot.y = axis_of("nats", values);
  mark_best(history, plot);
  return plot;
}

Plot metric_plot(std::span<const tune::EpochReport> history, const MetricNames& names) {
  Plot plot{.title = "Validation rows after each epoch",
            .description = fmt::format("Of the validation rows after each epoch: {} and {}.",
                                       names.accuracy, names.f1),
            .x = epoch_axis(history),
            .y = {},
            .series = {{.name = names.accuracy, .mark = PlotMark::line_and_dots, .points = {}},
                       {.name = names.f1, .mark = PlotMark::line_and_dots, .points = {}}}};
  std::vector<double> values;
  for (const tune::EpochReport& epoch : history) {
    const auto at = static_cast<double>(epoch.epoch);
    plot.series[0].points.push_back({at, epoch.accuracy});
    plot.series[1].points.push_back({at, epoch.macro_f1});
    values.push_back(epoch.accuracy);
    values.push_back(epoch.macro_f1);
  }
  plot.y = axis_of("share", values);
  plot.y.high = std::min(plot.y.high, 1.0);
  plot.y.percent = true;
  mark_best(history, plot);
  return plot;
}

Plot learning_curve_plot(std::span<const tune::CurveReport> curves) {
  Plot plot{.title = "Errors by training rows",
            .description =
                "The share of wrong answers on the validation rows against the number of training "
                "rows, measured and as the fitted law has it.",
            .x = {.name = "training rows", .logarithmic = true},
            .y = {},
            .series = {}};
  plot.width = 620;
  std::vector<double> errors{0.01};
  const std::size_t rows = curves.front().points.back().rows;
  const double most = static_cast<double>(rows + curves.front().forecasts.back().more);
  for (const tune::CurveReport& curve : curves) {
    PlotSeries measured{
        .name = tune::name(curve.members), .mark = PlotMark::dots, .points = {}, .curve = {}};
    for (const auto& point : curve.points) {
      measured.points.push_back({static_cast<double>(point.rows), point.error.value,
                                 std::pair{point.error.interval.low, point.error.interval.high}});
      errors.push_back(point.error.interval.high);
    }
    const auto least = static_cast<double>(curve.points.front().rows);
    constexpr int kSteps = 40;
    for (int i = 0; i <= kSteps; ++i) {
      const double at = least * std::pow(most / least, static_cast<double>(i) / kSteps);
      measured.curve.push_back({at, curve.law.error(at)});
    }
    plot.series.push_back(std::move(measured));
  }
  plot.x.low = static_cast<double>(curves.front().points.front().rows) * 0.9;
  plot.x.high = most * 1.05;
  plot.y = axis_of("wrong", errors);
  plot.y.low = 0;
  plot.y.high = std::min(plot.y.high, 1.0);
  plot.y.percent = true;
  plot.mark = {static_cast<double>(rows), "rows there are"};
  return plot;
}

}  // namespace malina::platform
