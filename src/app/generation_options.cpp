#include "app/generation_options.h"

#include <charconv>
#include <cstdio>

#include "app/number_checks.h"
#include "app/progress_bar.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text_file.h"

namespace malina::app {

using base::Error;
using base::Fault;

void add_run_options(CLI::App& cli, RunChoices& choices) {
  cli.add_option("MODEL", choices.model,
                 "A model's name, or the path of a GGUF file or a directory")
      ->required();
  cli.add_option("--context", choices.run.context,
                 "Tokens that prompt and answer may have together; by default the model's own "
                 "context, or what fits in half of the free memory")
      ->check(context_tokens());
  choices.threads_given = cli.add_option("--threads", choices.run.threads,
                                         "Threads to compute with; by default one a core")
                              ->check(whole_number(1, 1024));
  cli.add_option("--kv", choices.run.kv_type, "How keys and values are stored: f32|f16|q8_0")
      ->check(CLI::IsMember({"f32", "f16", "q8_0"}));
  cli.add_flag("--exact", choices.run.exact,
               "Compute in float32 as the reference does: slower, and equal to it");
  choices.window_given = cli.add_option(
      "--window", choices.window,
      "Sliding window of the attention in tokens, instead of the model's own; 0: none");
}

void add_sampling_options(CLI::App& cli, SamplingChoices& choices) {
  platform::SamplingOptions& sampling = choices.sampling;
  cli.add_option("--temperature", sampling.temperature,
                 "0 takes the likeliest token; higher is more varied, up to 2")
      ->capture_default_str();
  cli.add_option("--top-p", sampling.top_p, "Only the likeliest tokens that make up this share")
      ->capture_default_str();
  cli.add_option("--top-k", sampling.top_k, "Only this many of the likeliest tokens; 0: all")
      ->capture_default_str();
  cli.add_option("--min-p", sampling.min_p, "Only tokens this likely, relative to the likeliest")
      ->capture_default_str();
  cli.add_option("--repetition-penalty", sampling.repetition_penalty,
                 "Above 1: tokens that occurred become less likely")
      ->capture_default_str();
  cli.add_option("--frequency-penalty", sampling.frequency_penalty,
                 "Taken from a token's logit for each time the answer has it; -2 to 2")
      ->capture_default_str();
  cli.add_option("--presence-penalty", sampling.presence_penalty,
                 "Taken from a token's logit once if the answer has it; -2 to 2")
      ->capture_default_str();
  cli.add_option("--logit-bias", choices.logit_bias,
                 "ID=VALUE: added to the logit of a token; -100 to 100; may be repeated");
  choices.seed_given =
      cli.add_option("--seed", choices.seed, "The same seed gives the same answer");
  cli.add_option("--sampling-order", choices.order,
                 "Whether filters see the distribution after (hf) or before (llama) temperature: "
                 "hf|llama")
      ->check(CLI::IsMember({"hf", "llama"}))
      ->capture_default_str();
}

platform::RunOptions run_options(const RunChoices& choices) {
  platform::RunOptions options = choices.run;
  if (choices.window_given->count() > 0) options.window = choices.window;
  return options;
}

platform::SamplingOptions sampling_options(const SamplingChoices& choices) {
  platform::SamplingOptions options = choices.sampling;
  if (choices.seed_given->count() > 0) options.seed = choices.seed;
  options.llama_cpp_order = choices.order == "llama";
  for (const std::string& entry : choices.logit_bias) {
    std::int32_t id = 0;
    float value = 0;
    const char* end = entry.data() + entry.size();
    const auto [at, problem] = std::from_chars(entry.data(), end, id);
    const bool separated = problem == std::errc() && at != end && *at == '=';
    const auto rest = separated ? std::from_chars(at + 1, end, value) : std::from_chars_result{};
    if (!separated || rest.ec != std::errc() || rest.ptr != end)
      throw Error(Fault::invalid_argument,
                  fmt::format("--logit-bias '{}' does not read as ID=VALUE", entry));
    options.logit_bias.emplace_back(id, value);
  }
  return options;
}

std::unique_ptr<platform::LanguageModel> load_model(const RunChoices& choices, Session& session) {
  ProgressBar bar(session.console());
  return session.platform().load(choices.model, run_options(choices), bar.sink());
}

// Characters that a terminal obeys: U+0000 to U+001F but for line ends and tabs, U+007F to U+009F.
std::string without_controls(std::string_view text) {
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if (byte == 0xC2 && next >= 0x80 && next < 0xA0)
      ++i;
    else if ((byte >= 0x20 && byte != 0x7F) || byte == '\n' || byte == '\t')
      shown += text[i];
  }
  return shown;
}

std::string answer_text(const Console& console, std::string_view text) {
  return console.output_is_terminal() ? without_controls(text) : std::string(text);
}

std::string read_file(const std::string& path) {
  if (path == "-") return read_standard_input();
  return base::read_text(std::filesystem::path(path));
}

std::string read_standard_input() {
  std::string text;
  char buffer[1 << 16];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, stdin))
    text.append(buffer, count);
  if (std::ferror(stdin) != 0) throw base::system_error("cannot read standard input");
  return text;
}

}  // namespace malina::app
