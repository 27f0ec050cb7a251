// How well a model foretells a text.
#pragma once

#include <functional>
#include <string_view>

#include "platform/generation.h"
#include "platform/language_model.h"

namespace malina::engine {
class Engine;
}

namespace malina::platform {

// Of a text in windows of 512 tokens, as many as fit in the context, each token but a window's
// first scored. `adapter`: null for the model alone. `progress` gets the share done. Throws
// invalid_argument where nothing can be scored.
PerplexityResult measure_perplexity(engine::Engine& engine, std::string_view text,
                                    const LoadedAdapter& adapter,
                                    const std::function<void(double)>& progress);

}  // namespace malina::platform
