// malina run: a conversation, or one answer.
#include "app/chat_session.h"
#include "app/command.h"
#include "app/generation_json.h"
#include "app/generation_options.h"
#include "app/interrupt.h"
#include "app/progress_bar.h"
#include "base/error.h"

namespace malina::app {
namespace {

using base::Error;
using base::Fault;

struct Options {
  RunChoices run;
  SamplingChoices sampling;
  std::optional<std::string> prompt;
  std::optional<std::string> system, template_file;
  std::size_t max_tokens = 1024;
  std::vector<std::string> stop;
  bool json = false, stats = false;
};

platform::ChatRequest request_of(const Options& options) {
  platform::ChatRequest request;
  request.messages = Json::array();
  if (options.system)
    request.messages.push_back({{"role", "system"}, {"content", *options.system}});
  // A small model that repeats itself would otherwise fill the whole context.
  if (options.max_tokens != 0) request.max_tokens = options.max_tokens;
  request.sampling = sampling_options(options.sampling);
  request.stop = options.stop;
  return request;
}

void answer_once(const Options& options, std::string prompt, platform::LanguageModel& model,
                 Session& session) {
  platform::ChatRequest request = request_of(options);
  request.messages.push_back({{"role", "user"}, {"content", std::move(prompt)}});
  Console& console = session.console();
  ProgressBar bar(console);
  request.prompt_progress = bar.sink();
  const auto result = model.chat(request, [&](std::string_view text) {
    if (!text.empty()) bar.hide();
    if (!options.json && !text.empty()) {
      console.write(answer_text(console, text));
      console.flush();
    }
    return !InterruptScope::requested();
  });
  if (options.json)
    console.json_line(chat_json(options.run.model, result));
  else
    console.write("\n");
  if (options.stats) console.status(statistics_line(result));
  if (result.finish_reason == "cancelled") throw Error(Fault::cancelled, "stopped");
}

void run(const Options& options, Session& session) {
  Console& console = session.console();
  const bool interactive = !options.prompt && console.input_is_terminal();
  if (interactive && options.json)
    throw Error(Fault::invalid_argument, "--json needs a PROMPT, or one on standard input");
  std::string prompt;
  if (!interactive)
    prompt = options.prompt && *options.prompt != "-" ? *options.prompt : read_standard_input();
  const auto model = load_model(options.run, session);
  if (options.template_file) model->set_chat_template(read_file(*options.template_file));
  if (interactive)
    ChatSession(request_of(options), *model, session, options.run.model, options.stats).converse();
  else
    answer_once(options, std::move(prompt), *model, session);
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  options->sampling.sampling.temperature = 0.7F;
  options->sampling.sampling.top_p = 0.95F;
  add_run_options(cli, options->run);
  cli.add_option("PROMPT", options->prompt,
                 "One question; without it a conversation, or what standard input holds if that is "
                 "not a terminal");
  cli.add_option("--system", options->system, "What the model is told before the conversation");
  cli.add_option("--max-tokens", options->max_tokens,
                 "Longest answer, in tokens; 0: as long as the context holds")
      ->capture_default_str();
  cli.add_option("--stop", options->stop, "Text that ends the answer; up to 4 times");
  cli.add_option("--template", options->template_file,
                 "FILE with a chat template (Jinja), instead of the model's own");
  cli.add_flag("--json", options->json, "Print one JSON object, as an OpenAI chat completion");
  cli.add_flag("--stats", options->stats, "Print tokens and speed on standard error at the end");
  add_sampling_options(cli, options->sampling);
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command run_model{
    .name = "run",
    .summary = "Chat with a model, or ask it one question",
    .details = "Inside a conversation /help lists what else can be typed; Ctrl-C stops an answer.",
    .examples =
        "  malina run smollm2-135m-instruct\n"
        "  malina run smollm2-135m-instruct \"What is the capital of France?\" --temperature 0\n"
        "  git diff | malina run smollm2-135m-instruct --system \"Summarise this change.\"\n"
        "  malina run ./model.gguf \"Write a haiku\" --seed 7 --json",
    .setup = setup};

}  // namespace malina::app
