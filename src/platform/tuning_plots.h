// What a tuning report draws.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "platform/plot.h"
#include "tune/tuning_report.h"

namespace malina::platform {

// How often answers of a confidence are right; bars: how many rows there are.
Plot reliability_plot(std::span<const eval::ReliabilityBin> bins, std::string title);
// The share of wrong answers against the share of rows that are answered; a mark at the threshold.
Plot risk_coverage_plot(std::span<const eval::RiskCoveragePoint> points,
                        std::optional<double> threshold, std::string title);
// Losses of an adapter's training by epochs, and what the validation rows said.
Plot loss_plot(std::span<const tune::EpochReport> history, std::span<const tune::StepLoss> losses);
// The share of wrong answers against the rows learned from, measured and as the law has it.
Plot learning_curve_plot(std::span<const tune::CurveReport> curves);
// What accuracy and macro_f1 of the history are called.
struct MetricNames {
  std::string accuracy = "accuracy", f1 = "macro F1";
};
Plot metric_plot(std::span<const tune::EpochReport> history, const MetricNames& names = {});

}  // namespace malina::platform
