// What a tuning job found out, for the terminal.
#pragma once

#include <span>
#include <string>

#include "app/console.h"
#include "platform/tuning.h"

namespace malina::app {

std::string percent(double share);  // "91.3 %"

// Parts that reports have in common: of answers as confident as this, how many are right; what is
// wrong where only the most confident are answered; what more labels would bring.
void print_bins(std::span<const eval::ReliabilityBin> bins, Console& console);
void print_coverage(std::span<const eval::RiskCoveragePoint> points, Console& console);
// Where it abstains, and what is right of the rest. `wholly`: "wholly " of taggers.
void print_abstention(const eval::AbstentionThreshold& abstention, const char* wholly,
                      Console& console);
// `metric`: what macro F1 is called, or where there is none (a model that writes) accuracy.
void print_search(std::span<const tune::SearchTrial> search, const char* metric, Console& console);
void print_curve(const tune::CurveReport& curve, Console& console);

void print_tuning_report(const platform::TuneOutcome& outcome, Console& console);

}  // namespace malina::app
