// Tuning of marked spans as a verb of the platform: a tagger that stands under its own name.
#pragma once

#include <memory>

#include "platform/tuning.h"

namespace malina::platform {

// The base may be null (method `linear`). Throws base::Error as tune::SpanTuning does;
// already_exists where the output is there; io. The output appears complete or not at all.
TuneOutcome run_span_tuning(const TuneRequest& request, const ResolvedModel* base,
                            std::shared_ptr<const ModelFile> file, Processor& processor,
                            const TunedClassifiers& classifiers, const tune::TuningEvents& events,
                            const ProgressSink& progress);

// What a tagger answers: that it extracts the types that it knows.
QuestionPointer span_question(const std::vector<std::string>& types);
Decision span_decision(const decide::Question& question, const std::string& text,
                       const std::vector<std::string>& types, const tune::SpanAnswer& answer);

}  // namespace malina::platform
