// What a tuning report draws.
#pragma once

#include <span>
#include <string>

#include "platform/plot.h"
#include "tune/tuning_report.h"

namespace malina::platform {

// How often answers of a confidence are right; bars: how many rows there are.
Plot reliability_plot(const eval::CalibrationMeasures& measures, std::string title);
// The share of wrong answers against the share of rows that are answered.
Plot risk_coverage_plot(const tune::AnswerReport& answers, const eval::Calibration& calibration,
                        std::string title);
// Losses of an adapter's training by epochs, and what the validation rows said.
Plot loss_plot(std::span<const tune::EpochReport> history, std::span<const tune::StepLoss> losses);
// The share of wrong answers against the rows learned from, measured and as the law has it.
Plot learning_curve_plot(const tune::TuningReport& report);
Plot metric_plot(std::span<const tune::EpochReport> history);

}  // namespace malina::platform
