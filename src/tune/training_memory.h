// What training takes in memory, before it is run: bytes of everything that comes beside model and
// data, each from its own sizes, as the same code would allocate it on a planning device.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tune/trainer.h"
#include "tune/tuning_plan.h"

namespace malina::tune {

using MemoryParts = std::vector<TuningPlan::Memory>;
std::uint64_t bytes_of(const MemoryParts& parts);
// Of the examples themselves.
std::uint64_t bytes_of(std::span<const TrainingExample> examples);
// Of the process, now.
std::uint64_t resident_bytes();

// The share of recipe.rows that the largest micro-batch uses: of training examples those of a step,
// in any order at most; of validation examples, which are read without regard to steps, all that
// fit.
double filled_share(std::span<const TrainingExample> training,
                    std::span<const TrainingExample> validation, const Recipe& recipe);

inline constexpr const char* kAdapterPart = "adapter and optimiser";

// Training of an adapter with a head of so many classes; 0: the vocabulary is the head. `filled`:
// the share of recipe.rows that is ever used. What no micro-batch reaches never becomes resident.
MemoryParts adapter_training_memory(const std::shared_ptr<const model::Model>& model,
                                    const Recipe& recipe, std::size_t classes, double filled);

// Of the parts of such a training: another beside it that has an adapter of its own, while the
// first rests (a learning curve's).
void add_trial(MemoryParts& parts);

// "" where so many bytes are at most `most`.
std::string shortage(std::uint64_t bytes, std::uint64_t most);
// Throws base::Error(out_of_memory), which names all parts, where they are more than `most`.
void check_memory(const MemoryParts& parts, std::uint64_t most);

// A plan of these parts beside what is resident already, and of what the machine has.
TuningPlan plan_of(const MemoryParts& parts, std::uint64_t resident);

}  // namespace malina::tune
