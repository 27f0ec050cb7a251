// Tuning all weights of a small model, as a verb of the platform: the result is a model of its own.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "platform/model_store.h"
#include "platform/progress.h"
#include "platform/tuning.h"

namespace malina::platform {

// What the result is called: BASE-SUFFIX, since it needs no base any more.
std::string full_name(const ResolvedModel& base, const std::string& suffix);

// Where a GGUF file's metadata has what a directory has in kTunedModelName and README.md.
inline constexpr std::string_view kTunedKey = "malina.tuned", kCardKey = "malina.model_card";

// For requests whose `generation.recipe` is full. The result has the base's tensors, in float32,
// and stands in the store as full_name(), as a GGUF file; where `request.output` is given it is
// there instead, a GGUF file if that ends in .gguf, otherwise a Hugging Face directory. Either
// appears complete or not at all. A dry run counts memory, and tries a few steps where
// that suffices: `outcome.plan`. Throws base::Error as tune::GenerationTuning does;
// out_of_memory with what is needed for what; unsupported where the model has experts or, for a
// directory, what such a one has no words for; already_exists; io.
TuneOutcome run_full_tuning(const TuneRequest& request, const ResolvedModel& base,
                            std::shared_ptr<const ModelFile> file, Processor& processor,
                            ModelStore& store, const tune::TuningEvents& events,
                            const ProgressSink& progress);

}  // namespace malina::platform
