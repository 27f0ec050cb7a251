// The report of a tuning job as one HTML page. Nothing of the texts is in it: names of labels,
// figures, digests.
#pragma once

#include <string>

#include "tune/classifier_manifest.h"

namespace malina::platform {

std::string tuning_report_page(const tune::TuningReport& report, const tune::TuningRequest& request,
                               const tune::ManifestFacts& facts);

}  // namespace malina::platform
