// malina complete: raw completion and scoring, in the shape of an OpenAI text completion.
#include <chrono>

#include "app/command.h"
#include "app/generation_json.h"
#include "app/generation_options.h"
#include "app/interrupt.h"
#include "app/number_checks.h"
#include "app/progress_bar.h"
#include "base/error.h"

namespace malina::app {
namespace {

using base::Error;
using base::Fault;

struct Options {
  RunChoices run;
  SamplingChoices sampling;
  std::optional<std::string> text;
  std::optional<std::string> tokens;
  std::optional<std::string> prefix, suffix;  // files
  std::size_t max_tokens = 256;
  std::vector<std::string> stop;
  std::optional<std::size_t> log_probabilities;
  bool suffix_first = false;
  bool echo = false, special = false, json = false, stats = false;
};

void fill_in(const Options& options, platform::CompletionRequest& request) {
  if (options.prefix) request.text = read_file(*options.prefix);
  request.suffix = options.suffix ? read_file(*options.suffix) : std::string();
  request.suffix_first = options.suffix_first;
}

platform::CompletionRequest request_of(const Options& options) {
  if (options.tokens && options.text)
    throw Error(Fault::invalid_argument, "give TEXT or --tokens, not both");
  const bool fills_in = options.prefix || options.suffix;
  if (fills_in && (options.text || options.tokens))
    throw Error(Fault::invalid_argument,
                "give --prefix and --suffix, or TEXT or --tokens, not both");
  if (options.suffix_first && !fills_in)
    throw Error(Fault::invalid_argument, "--suffix-first needs --prefix or --suffix");
  if (fills_in && options.special)
    throw Error(Fault::invalid_argument, "--special does not go with --prefix and --suffix");
  if (options.prefix == "-" && options.suffix == "-")
    throw Error(Fault::invalid_argument, "--prefix and --suffix cannot both be standard input");
  platform::CompletionRequest request;
  request.special = options.special;
  request.max_tokens = options.max_tokens;
  request.sampling = sampling_options(options.sampling);
  request.stop = options.stop;
  request.log_probabilities = options.log_probabilities;
  request.echo = options.echo;
  if (options.tokens)
    request.tokens = parse_token_ids(*options.tokens);
  else if (fills_in)
    fill_in(options, request);
  else
    request.text = options.text ? *options.text : read_standard_input();
  return request;
}

void run(const Options& options, Session& session) {
  platform::CompletionRequest request = request_of(options);
  const auto model = load_model(options.run, session);
  Console& console = session.console();
  ProgressBar bar(console);
  request.prompt_progress = bar.sink();
  const auto result = model->complete(request, [&](std::string_view text) {
    if (!text.empty()) bar.hide();
    if (!options.json && !text.empty()) {
      console.write(answer_text(console, text));
      console.flush();
    }
    return !InterruptScope::requested();
  });
  if (options.json)
    console.json_line(completion_json(options.run.model, result));
  else
    console.write("\n");
  if (options.stats) console.status(statistics_line(result));
  if (result.finish_reason == "cancelled") throw Error(Fault::cancelled, "stopped");
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  add_run_options(cli, options->run);
  cli.add_option("TEXT", options->text, "What to continue; otherwise standard input, verbatim");
  cli.add_option("--tokens", options->tokens, "Token ids instead of text: \"1 2 3\"");
  cli.add_option("--prefix", options->prefix,
                 "File with what stands before the text to be filled in; - is standard input")
      ->type_name("FILE");
  cli.add_option("--suffix", options->suffix,
                 "File with what stands after the text to be filled in; - is standard input")
      ->type_name("FILE");
  cli.add_flag("--suffix-first", options->suffix_first,
               "Fill in with the suffix before the prefix (CodeLlama)");
  cli.add_option("--max-tokens", options->max_tokens,
                 "Tokens to generate; 0 only scores the prompt")
      ->capture_default_str();
  cli.add_option("--stop", options->stop, "Text that ends the answer; up to 4 times");
  cli.add_option("--logprobs", options->log_probabilities,
                 "Log-probabilities of the tokens and of this many of the likeliest (0 to 20); "
                 "shown with --json")
      ->check(whole_number(0, 20));
  cli.add_flag("--echo", options->echo, "The prompt is part of the result");
  cli.add_flag("--special", options->special,
               "Read special tokens such as <|im_end|> from the text");
  cli.add_flag("--json", options->json, "Print one JSON object, as an OpenAI text completion");
  cli.add_flag("--stats", options->stats, "Print tokens and speed on standard error at the end");
  add_sampling_options(cli, options->sampling);
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command complete{
    .name = "complete",
    .summary = "Continue a text, or score it",
    .details = "The text goes to the model as it is, without a chat template.",
    .examples =
        "  malina complete smollm2-135m-instruct \"Once upon a time\" --max-tokens 50\n"
        "  malina complete smollm2-135m-instruct --json --echo --logprobs 5 --max-tokens 0 \\\n"
        "      \"The capital of France is Paris.\"\n"
        "  malina complete codellama-7b --prefix before.py --suffix after.py --temperature 0\n"
        "  malina complete smollm2-135m-instruct --tokens \"1 2 3\" --temperature 0 --exact",
    .setup = setup};

}  // namespace malina::app
