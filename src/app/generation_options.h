// Options that the commands which run a model share.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>

#include "app/command.h"
#include "platform/generation.h"

namespace malina::app {

struct RunChoices {
  std::string model;
  platform::RunOptions run;
  std::uint32_t window = 0;
  CLI::Option* window_given = nullptr;
  CLI::Option* threads_given = nullptr;
};

struct SamplingChoices {
  platform::SamplingOptions sampling;
  std::uint64_t seed = 0;
  CLI::Option* seed_given = nullptr;
  std::vector<std::string> logit_bias;  // "ID=VALUE"
  std::string order = "hf";
};

// MODEL, --context, --threads, --kv, --exact, --window.
void add_run_options(CLI::App& cli, RunChoices& choices);
// --temperature, --top-k, --top-p, --min-p, penalties, --logit-bias, --seed, --sampling-order.
void add_sampling_options(CLI::App& cli, SamplingChoices& choices);

platform::RunOptions run_options(const RunChoices& choices);
// Throws base::Error(invalid_argument) for a --logit-bias that does not read as ID=VALUE.
platform::SamplingOptions sampling_options(const SamplingChoices& choices);

// Loads with a progress bar.
std::unique_ptr<platform::LanguageModel> load_model(const RunChoices& choices, Session& session);

std::string read_standard_input();
std::string read_file(const std::string& path);  // "-": standard input

// What a model says, for the console: on a terminal without control characters other than line ends
// and tabs, so that no answer can move the cursor or change colours; otherwise as it is.
std::string answer_text(const Console& console, std::string_view text);

}  // namespace malina::app
