// What a tuning job found out, for the terminal.
#pragma once

#include <span>
#include <string>
#include <string_view>

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
// What a search is judged by, and what that is called.
struct SearchMetric {
  const char* name;
  double tune::SearchTrial::* value;
};
void print_search(std::span<const tune::SearchTrial> search, SearchMetric metric, Console& console);
// `of`: what is wrong, "of the tokens " say; a title of its own then.
void print_curve(const tune::CurveReport& curve, Console& console);
void print_curve(const tune::CurveReport& curve, std::string_view title, std::string_view of,
                 Console& console);

void print_tuning_report(const platform::TuneOutcome& outcome, Console& console);

}  // namespace malina::app
