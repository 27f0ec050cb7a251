// The data of a tuning job, within tune/tuning*.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tune/tuning.h"

namespace malina::tune {

inline constexpr std::size_t kTurns = 5;  // folds of which each is left out once

struct Comparison {
  double p_value;
  bool better, worse;  // the second is right more often, or less often
};
// By McNemar's exact test.
Comparison compare(std::span<const std::uint32_t> expected, const eval::ProbabilityTable& first,
                   const eval::ProbabilityTable& second);

// The labels of the rows by which rungs are compared.
struct RungRows {
  std::span<const std::uint32_t> all, validation;
};
// On all rows where both know them, otherwise on the validation rows.
Comparison compare(const RungRows& rows, const Rung& first, const Rung& second);
// Of probabilities, by Student's paired t-test on the Brier scores of the same rows, each rung at
// the temperature by which these are likeliest. Better, worse: by the mean score.
Comparison compare_probabilities(const RungRows& rows, const Rung& first, const Rung& second);
// By what one rung beats another, and how surely.
struct Beaten {
  bool by_answers;  // otherwise by probabilities
  double p_value;
};
// Whether the second beats the first significantly: it is right more often (p by McNemar's test),
// or right no less often with better probabilities (p by their test). The Brier score sees what the
// count of right answers does not: how sure each was. With few rows it tells two rungs apart
// sooner. One that is always right is not beaten: its temperature, and so its sureness, is
// arbitrary.
std::optional<Beaten> beats(const RungRows& rows, const Rung& first, const Rung& second,
                            double significance);
// From the cheapest on, each rung gives way to the cheapest dearer one that beats it significantly:
// what is kept is beaten by no dearer one, and has beaten what it took the place of. `on_all_rows`:
// of the dearer ones those alone count that know all rows. There is one rung at least.
struct Choice {
  std::size_t rung = 0;
  std::string reason;  // one sentence, without its stop
};
Choice choose(std::span<const Rung> rungs, const RungRows& rows, double significance,
              bool on_all_rows);

// The mean Brier score of the rows that the rung was measured on, at their likeliest temperature.
double mean_brier(const RungRows& rows, const Rung& rung);

// Where the probe alone was chosen, and held-out rows are likelier by linear and probe together,
// each at its temperature: the place of these, and both losses, in nats a row. Otherwise nothing.
struct Likelier {
  std::size_t rung;
  double alone, together;
};
std::optional<Likelier> likelier_with_linear(std::span<const Rung> rungs, std::size_t chosen,
                                             const RungRows& rows);

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
