// How a job's plan is made, within tune/tuning_plan*.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "eval/text_features.h"
#include "tune/step_time.h"
#include "tune/training_memory.h"
#include "tune/tuning_part.h"

namespace malina::tune {

class Tuning::Planner {
 public:
  Planner(Tuning& tuning, TuningEvents events)
      : tuning_(tuning), events_(std::move(events)), request_(tuning.request_) {}

  TuningPlan make();

  // --- memory: tuning_plan_memory.cpp ---

  // Of the stage that takes most, beside what is resident: writing labels is one of them where it
  // fits into `most`, and is left out otherwise.
  MemoryParts working_memory(std::uint64_t most);
  // After it: why `automatic` will not write labels; "" where it may.
  const std::string& labels_left_out() const { return labels_left_out_; }

 private:
  std::size_t rows() const { return tuning_.training_->data.size(); }
  std::size_t classes() const { return tuning_.report_.labels.size(); }
  void stage(const std::string& name) const {
    if (events_.stage) events_.stage("trying " + name, 0, 1);
  }

  void measure_words();
  MemoryParts kept_by_others() const;
  // Of liblinear: its nodes, rows of the trials, and doubles of the columns for each thread; the
  // tables of a trial's weights come and go.
  std::uint64_t linear_work(std::uint64_t model) const;
  std::uint64_t linear_bytes() const;
  std::uint64_t feature_bytes() const;
  std::uint64_t probe_bytes() const;
  MemoryParts adapter_memory() const;
  MemoryParts label_memory() const;

  // --- time: tuning_plan.cpp ---

  base::ThreadPool& pool() const { return tuning_.device_.context().pool; }
  void add(const std::string& name, double seconds) { plan_.stages.push_back({name, seconds}); }
  void linear();
  void probe();
  void adapter();
  // What it takes beside the rest of the plan, which is of what is trained in any case.
  void last_rung();
  void labels();
  double curve_seconds(const StepTime& time, double scored) const;

  static constexpr const char* kTestRows = "test rows";
  static constexpr double kCost = 16;
  static constexpr std::size_t kFeatureTexts = 400;

  Tuning& tuning_;
  const TuningEvents events_;
  const TuningRequest& request_;
  TuningPlan plan_;
  std::uint64_t values_ = 0;  // of the words' features, in all rows
  std::string labels_left_out_;
  std::uint64_t label_bytes_ = 0;  // beside what is resident
  bool may_climb_ = false;         // to labels
  eval::TextFeatures features_;
  double per_token_ = 0;
};

}  // namespace malina::tune
