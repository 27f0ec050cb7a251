#include "app/generation_report.h"

#include <fmt/format.h>

#include <cmath>

#include "app/tuning_report.h"

namespace malina::app {

namespace {

std::vector<std::string> row(std::string title, const tune::Trainer::Evaluation& evaluation) {
  return {std::move(title), fmt::format("{:.4f}", evaluation.loss),
          fmt::format("{:.3f}", std::exp(evaluation.loss)),
          fmt::format("{:.1f} %", 100 * evaluation.accuracy)};
}

}  // namespace

void print_left_out(const tune::GenerationReport& report, Console& console) {
  const std::size_t left_out = report.training.too_long + report.validation.too_long;
  if (left_out > 0)
    console.print("{} rows were longer than --max-tokens and left out (--skip-long)\n",
                  grouped(left_out));
}

void print_generation(const platform::TuneOutcome& outcome, Console& console, bool full) {
  const tune::GenerationReport& report = *outcome.generation;
  console.print("{}: {} training and {} validation rows{}; {} tokens, {} of them learned\n",
                printable(outcome.name), grouped(report.training.rows),
                grouped(report.validation.rows),
                report.validation_from_training ? " (held back from the training file)" : "",
                grouped(report.training.tokens), grouped(report.training.learned));
  print_left_out(report, console);
  console.print("\nOn the validation rows:\n");
  console.write(table({{"", "LOSS", "PERPLEXITY", "NEXT TOKEN RIGHT"},
                       row("base alone", report.before),
                       row(full ? "as trained" : "with the adapter", report.after)},
                      {1, 2, 3}));
  if (report.after.loss >= report.before.loss)
    console.print(
        "\n{} writes the validation rows no better than the base: a lower "
        "--learning-rate\nor more data may help.\n",
        full ? "The model" : "The adapter");
  if (!report.search.empty())
    print_search(report.search, {"NEXT TOKEN RIGHT", &tune::SearchTrial::accuracy}, console);
  if (report.curve)
    print_curve(*report.curve, "More rows (next token right)", "of the tokens ", console);
  console.print("\nWritten to {}\n", printable(outcome.directory.string()));
}

}  // namespace malina::app
