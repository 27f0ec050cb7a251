// What a model takes in memory, and how its keys and values are divided.
#pragma once

#include <cstdint>

#include "platform/generation.h"

namespace malina::engine {
struct EngineOptions;
}
namespace malina::model {
class Model;
}

namespace malina::platform {

struct ModelFile;

// Counted before any of a model is read.
struct MemoryNeed {
  std::uint64_t weights = 0;
  std::uint64_t cache = 0;        // keys and values of RunOptions::parallel whole contexts
  std::uint64_t least_cache = 0;  // of one context, or of kLeastContext where none was asked for
  std::uint64_t activations = 0;
};
MemoryNeed memory_need(const ModelFile& file, const RunOptions& options);

// How the engine of a loaded model is to run: the context that was asked for, or as much of the
// model's own as has room, and as many whole contexts together as are asked for and have. Throws
// out_of_memory for a context without room, invalid_argument for a type of keys and values that
// there is not.
engine::EngineOptions engine_options(const model::Model& model, const RunOptions& options);

}  // namespace malina::platform
