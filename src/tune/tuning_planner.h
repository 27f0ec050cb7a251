// How a job's plan is made, within tune/tuning_plan*.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "eval/text_features.h"
#include "tune/tuning_part.h"

namespace malina::tune {

// What one step of training and one token of scoring take, in seconds.
struct StepTime {
  double per_position = 0, per_scored = 0;
  double positions = 0;  // of a step
};

class Tuning::Planner {
 public:
  Planner(Tuning& tuning, const TuningEvents& events)
      : tuning_(tuning), events_(events), request_(tuning.request_) {}

  TuningPlan make();

 private:
  using Sizes = std::vector<std::pair<std::string, std::uint64_t>>;

  std::size_t rows() const { return tuning_.training_->data.size(); }
  std::size_t classes() const { return tuning_.report_.labels.size(); }
  void stage(const std::string& name) const {
    if (events_.stage) events_.stage("trying " + name, 0, 1);
  }

  // --- memory: tuning_plan_memory.cpp ---

  static std::uint64_t resident_bytes();
  // What they take stays until the job ends, but no other stage needs it.
  bool ask_for_labels();
  void count_memory();
  static std::uint64_t sum(const Sizes& sizes);
  // Training, and scoring, beside what the stages before them keep.
  std::vector<Sizes> label_stages(Sizes kept) const;
  // Of liblinear: its nodes, rows of the trials, and doubles of the columns for each thread; the
  // tables of a trial's weights come and go.
  std::uint64_t linear_work(std::uint64_t model) const;
  std::uint64_t feature_bytes() const;
  std::uint64_t probe_bytes() const;
  // A pass has room for recipe.rows tokens, of which a micro-batch uses the first: what none
  // reaches never becomes resident.
  double filled() const;
  Sizes adapter_bytes() const;
  // Of the adapter with a head while another is trained (Trainer::rest): all but its activations.
  Sizes::value_type resting_adapter_bytes() const;
  // The question is in every micro-batch, and the engine that scores comes when the pass has gone.
  Sizes label_bytes() const;
  // `filled`: the share of recipe.rows that is ever used; `head`: its parameters.
  Sizes training_bytes(const Recipe& recipe, double filled, std::size_t head) const;

  // --- time: tuning_plan.cpp ---

  base::ThreadPool& pool() const { return tuning_.device_.context().pool; }
  void add(const std::string& name, double seconds) { plan_.stages.push_back({name, seconds}); }
  void linear();
  void probe();
  void adapter();
  // What it takes beside the rest of the plan, which is of what is trained in any case.
  void last_rung();
  void labels();
  // As search() has them.
  double search_epochs() const;
  double curve_seconds(const StepTime& time, double scored) const;

  static constexpr const char* kTestRows = "test rows";
  static constexpr double kCost = 16;
  static constexpr std::size_t kFeatureTexts = 400;

  Tuning& tuning_;
  const TuningEvents& events_;
  const TuningRequest& request_;
  TuningPlan plan_;
  std::uint64_t resident_ = 0, values_ = 0, asked_bytes_ = 0;
  bool may_climb_ = false;  // to labels
  eval::TextFeatures features_;
  double per_token_ = 0;
};

}  // namespace malina::tune
