// The report of a tuning job for spans as one HTML page. Nothing of the texts is in it: names of
// types, figures, digests.
#pragma once

#include <string>

#include "tune/span_tuning.h"

namespace malina::platform {

std::string span_report_page(const tune::SpanReport& report, const tune::SpanRequest& request,
                             const tune::SpanFacts& facts);

}  // namespace malina::platform
