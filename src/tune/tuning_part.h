// The data of a tuning job, within tune/tuning*.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tune/tuning.h"

namespace malina::tune {

struct Comparison {
  double p_value;
  bool better;  // the second is right more often
};
// By McNemar's exact test.
Comparison compare(std::span<const std::uint32_t> expected, const eval::ProbabilityTable& first,
                   const eval::ProbabilityTable& second);
// On all rows where both know them, otherwise on the validation rows.
Comparison compare(std::span<const std::uint32_t> all, std::span<const std::uint32_t> validation,
                   const Rung& first, const Rung& second);

// Where the probe alone was chosen, and held-out rows are likelier by linear and probe together,
// each at its temperature: the place of these, and both losses, in nats a row. Otherwise nothing.
struct Likelier {
  std::size_t rung;
  double alone, together;
};
std::optional<Likelier> likelier_with_linear(std::span<const Rung> rungs, std::size_t chosen,
                                             std::span<const std::uint32_t> all,
                                             std::span<const std::uint32_t> validation);

// Tells the stage, and asks whether to pause. `events` must outlive it.
ScoreProgress progress_of(std::string_view stage, std::size_t total, const TuningEvents& events);

// One part of the data.
struct Tuning::Part {
  LabelledTexts data;
  std::vector<std::uint32_t> classes;
  std::vector<TrainingExample> examples;        // empty until they are needed
  std::vector<TrainingExample> label_examples;  // of the adapter that writes labels; as those
  std::vector<std::string> asked;               // texts as labels are asked for; not of training
  std::vector<float> features;                  // of the probe; empty until they are needed
  std::size_t longest = 0;                      // example, in tokens
};

}  // namespace malina::tune
