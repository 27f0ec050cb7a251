// malina perplexity: how well a model predicts a text.
#include "app/command.h"
#include "app/generation_options.h"
#include "app/interrupt.h"
#include "app/progress_bar.h"

namespace malina::app {
namespace {

struct Options {
  RunChoices run;
  std::string file;
  bool json = false;
};

void run(const Options& options, Session& session) {
  const std::string text = read_file(options.file);
  const auto model = load_model(options.run, session);
  platform::PerplexityResult result;
  {
    ProgressBar bar(session.console());
    result = model->perplexity(text, [&](double share) {
      bar({"scoring", static_cast<std::uint64_t>(share * static_cast<double>(text.size())),
           text.size()});
    });
  }
  if (options.json) {
    session.console().json_line({{"perplexity", result.perplexity},
                                 {"standard_error", result.standard_error},
                                 {"tokens", result.tokens},
                                 {"scored", result.scored},
                                 {"windows", result.windows}});
    return;
  }
  session.console().print("{:.4f} +- {:.4f}  ({} of {} tokens scored, in {} windows)\n",
                          result.perplexity, result.standard_error, result.scored, result.tokens,
                          result.windows);
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  add_run_options(cli, options->run);
  options->run.run.step_time = platform::kUnattendedStep;
  cli.add_option("FILE", options->file, "The text; - for standard input")->required();
  cli.add_flag("--json", options->json, "Print one JSON object");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command perplexity{
    .name = "perplexity",
    .summary = "Measure how well a model predicts a text",
    .details =
        "The file is tokenised once, without special tokens, and cut into windows of 512 tokens; "
        "every\n"
        "token of a window but its first is scored. A model that adds a BOS has it first in each "
        "window.",
    .examples =
        "  malina perplexity smollm2-135m-instruct book.txt\n"
        "  malina perplexity smollm2-135m-instruct book.txt --exact --json",
    .setup = setup};

}  // namespace malina::app
