#include "app/plan_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "app/generation_report.h"
#include "app/progress_bar.h"

namespace malina::app {

namespace {

void print_data(const platform::TuneOutcome& outcome, Console& console) {
  const std::string name = printable(outcome.name);
  if (outcome.generation) {
    const tune::GenerationReport& report = *outcome.generation;
    console.print("{}: {} training and {} validation rows; {} tokens, {} of them learned\n", name,
                  grouped(report.training.rows), grouped(report.validation.rows),
                  grouped(report.training.tokens), grouped(report.training.learned));
    return print_left_out(report, console);
  }
  const auto rows = [&](std::size_t kinds, const char* what, const auto& report) {
    console.print("{}: {} {}, {} training and {} validation rows\n", name, kinds, what,
                  grouped(report.training_rows), grouped(report.validation_rows));
  };
  if (outcome.spans) return rows(outcome.spans->types.size(), "types of spans", *outcome.spans);
  rows(outcome.report.labels.size(), "labels", outcome.report);
}

void print_memory(const tune::TuningPlan& plan, Console& console) {
  std::vector<std::vector<std::string>> rows{{"MEMORY", ""}};
  for (const auto& part : plan.memory) rows.push_back({part.name, human_bytes(part.bytes)});
  rows.push_back({"at its peak", human_bytes(plan.peak_bytes)});
  console.print("\n{}", table(rows, {1}));
}

void print_time(const tune::TuningPlan& plan, Console& console) {
  std::vector<std::vector<std::string>> rows{{"TIME", ""}};
  for (const auto& stage : plan.stages) rows.push_back({stage.name, human_seconds(stage.seconds)});
  rows.push_back({"in all, at most", human_seconds(plan.seconds)});
  console.print("\n{}", table(rows, {1}));
  if (plan.steps > 0)
    console.print(
        "\n{} steps of {} texts, {} epochs of {} tokens, {:.0f} tokens/s; it ends sooner where "
        "epochs bring nothing more.\n",
        grouped(plan.steps), plan.batch, plan.epochs, grouped(plan.positions),
        plan.positions_per_second);
}

}  // namespace

void print_plan(const platform::TuneOutcome& outcome, Console& console) {
  const tune::TuningPlan& plan = *outcome.plan;
  print_data(outcome, console);
  print_memory(plan, console);
  if (!plan.fits()) {
    const auto has = [&](std::string_view name) {
      return std::any_of(plan.memory.begin(), plan.memory.end(),
                         [&](const auto& part) { return part.name == name; });
    };
    console.print("\nThere are {}: it does not fit.{}{}\n", human_bytes(plan.usable_bytes),
                  has("activations and gradients") ? " --recompute takes less." : "",
                  has("gradients") ? " An adapter takes a fraction of it." : "");
    return;
  }
  print_time(plan, console);
  if (plan.labels)
    console.print(
        "\nWhere the adapter beats what is cheaper, another one is trained that writes labels: at "
        "most {}, and {} of memory in all.\n",
        human_seconds(plan.labels->seconds), human_bytes(plan.labels->peak_bytes));
  if (!plan.labels_left_out.empty())
    console.print("\nWriting labels is left out: {}.\n", printable(plan.labels_left_out));
  console.print("\nNothing was written.\n");
}

}  // namespace malina::app
