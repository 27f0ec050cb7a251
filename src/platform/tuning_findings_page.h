// Sections of the page of a tuning job: what it found out beside the classifier.
#pragma once

#include "platform/html_page.h"
#include "tune/tuning_report.h"

namespace malina::platform {

void add_search(HtmlPage& page, const tune::TuningReport& report, double learning_rate);
void add_curves(HtmlPage& page, const tune::TuningReport& report);
void add_suspected(HtmlPage& page, const tune::TuningReport& report);

}  // namespace malina::platform
