// Tuning what a model writes, as a verb of the platform: a base from the store, conversations or
// completions, and an adapter that stands in the store afterwards.
#pragma once

#include <memory>

#include "platform/model_store.h"
#include "platform/progress.h"
#include "platform/tuning.h"
#include "text/chat_template.h"

namespace malina::platform {

// Null where the model has none; what it refuses is said when a conversation needs it.
const text::ChatTemplate* writing_template(const ModelFile& file);

// The result is BASE:SUFFIX in the store, or a PEFT directory where `request.output` is given.
// Throws base::Error as tune::GenerationTuning does; invalid_argument where the base is not in the
// store and there is no output; already_exists; io.
TuneOutcome run_generation_tuning(const TuneRequest& request, const ResolvedModel& base,
                                  std::shared_ptr<const ModelFile> file, Processor& processor,
                                  ModelStore& store, const tune::TuningEvents& events,
                                  const ProgressSink& progress);

}  // namespace malina::platform
