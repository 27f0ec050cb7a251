// Sections of the pages of tuning jobs.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "platform/html_page.h"
#include "platform/tuning_plots.h"
#include "tune/tuning_report.h"

namespace malina::platform {

std::string duration(double seconds);          // "1 min 02 s"
std::string sentence(std::string text);        // escaped, with a capital
std::string bar(const eval::Estimate& share);  // and its interval, as a picture beside the figures

std::string p_text(const std::optional<double>& p);      // "" where there is none
std::string with_interval(const eval::Estimate& share);  // "91.3 % (90.1 % to 92.4 %)"

// Reliability diagrams of the validation rows before and after calibration, and of the test rows
// (may be empty); the last two as tables too.
void add_reliability(HtmlPage& page, std::span<const eval::ReliabilityBin> before,
                     std::span<const eval::ReliabilityBin> after,
                     std::span<const eval::ReliabilityBin> test);
// What is wrong where only the most confident rows are answered; `test` may be empty.
void add_coverage(HtmlPage& page, std::span<const eval::RiskCoveragePoint> validation,
                  std::span<const eval::RiskCoveragePoint> test, std::optional<double> threshold);
// `losses` may be empty.
void add_training(HtmlPage& page, std::string_view title,
                  std::span<const tune::EpochReport> history,
                  std::span<const tune::StepLoss> losses, const tune::Recipe& recipe,
                  const MetricNames& names = {});

struct DataSources {
  std::size_t training_rows, validation_rows, test_rows;
  bool validation_from_training;
  std::span<const base::Digest> training, validation, test;  // of the files
  std::string_view licence;
};
// Begins the table of what the job was made from, which add_origin() ends.
void add_data(HtmlPage& page, const DataSources& sources);
// An empty digest: no base is used.
void add_origin(HtmlPage& page, std::string_view base_name, std::string_view base_digest,
                std::string_view base_licence, std::string_view version);

// What is answered, and why nothing is. `whole`: answers of taggers.
std::string answered(const std::optional<eval::AbstentionThreshold>& abstention,
                     double target_accuracy, double guarantee, bool whole);
// `metric`: by which they were compared.
void add_search(HtmlPage& page, std::span<const tune::SearchTrial> trials, double learning_rate,
                std::string_view metric = "macro F1");
void add_curves(HtmlPage& page, std::span<const tune::CurveReport> curves);
void add_suspected(HtmlPage& page, const tune::TuningReport& report);

}  // namespace malina::platform
