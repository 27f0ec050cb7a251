// malina pull: a model from the network into the store.
#include <charconv>
#include <iostream>

#include "app/command.h"
#include "app/model_json.h"
#include "app/progress_bar.h"
#include "base/error.h"

namespace malina::app {

namespace {

using platform::PullChoice;
using platform::PullOutcome;

struct Options {
  platform::PullRequest request;
  std::string name;
  unsigned timeout_seconds = 30;
  bool json = false;
};

std::string resumed(const PullOutcome& outcome) {
  if (outcome.resumed_bytes == 0 || outcome.size_bytes == 0) return "";
  return fmt::format(", resumed at {} %", outcome.resumed_bytes * 100 / outcome.size_bytes);
}

void report(const PullOutcome& outcome, Console& console) {
  const platform::ModelRecord& model = outcome.imported.model;
  console.print("{} {} ({}, {}, sha256 {}){}\n",
                outcome.imported.already_there ? "already there:" : "pulled", model.name,
                human_bytes(model.size_bytes),
                model.encoding.empty() ? "a vocabulary alone" : printable(model.encoding),
                short_digest(model.digest), resumed(outcome));
}

Json report_json(const PullOutcome& outcome) {
  Json result = model_json(outcome.imported.model);
  result["already_there"] = outcome.imported.already_there;
  result["url"] = outcome.url;
  result["downloaded_bytes"] = outcome.downloaded_bytes;
  result["resumed_bytes"] = outcome.resumed_bytes;
  return result;
}

Json choices_json(std::span<const PullChoice> choices) {
  Json list = Json::array();
  for (const PullChoice& choice : choices)
    list.push_back(
        {{"what", choice.what}, {"size_bytes", choice.size_bytes}, {"files", choice.files}});
  return {{"choices", std::move(list)}};
}

// A line that a shell takes as it stands.
std::string pull_line(const std::string& what) {
  const bool plain = what.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789-_.:/@+=,") == std::string::npos;
  if (plain) return "malina pull " + what;
  std::string quoted;
  for (const char c : what) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return "malina pull '" + quoted + "'";
}

std::string choices_table(std::span<const PullChoice> choices, bool numbered) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const PullChoice& choice = choices[i];
    const std::string size =
        human_bytes(choice.size_bytes) +
        (choice.files > 1 ? fmt::format(" in {} files", choice.files) : std::string());
    if (numbered)
      rows.push_back({fmt::format("  {}", i + 1), printable(choice.what), size});
    else
      rows.push_back({"  " + printable(pull_line(choice.what)), size});
  }
  return table(rows);
}

// Reads a number; what is none, or the end of the input, is no choice.
std::size_t ask(std::span<const PullChoice> choices, Console& console) {
  console.status(choices_table(choices, true) +
                 fmt::format("Which one (1 to {})? ", choices.size()));
  std::string line;
  if (!std::getline(std::cin, line))
    throw base::Error(base::Fault::cancelled, "stopped on request: nothing was chosen");
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc() || end != line.data() + line.size() || number == 0 ||
      number > choices.size())
    throw base::Error(base::Fault::invalid_argument,
                      fmt::format("'{}' is not a number from 1 to {}", line, choices.size()));
  return number - 1;
}

// Whoever sits at a terminal is asked; a script gets the commands to choose from, and an error.
std::size_t choose(std::span<const PullChoice> choices, const Options& options, Console& console) {
  if (!options.json && console.input_is_terminal() && console.error_is_terminal())
    return ask(choices, console);
  if (options.json)
    console.json(choices_json(choices));
  else
    console.write(choices_table(choices, false));
  throw base::Error(base::Fault::invalid_argument,
                    fmt::format("{} has {} GGUF models; name one of those above",
                                options.request.what, choices.size()));
}

void run(const Options& options, Session& session) {
  platform::PullRequest request = options.request;
  request.timeout = std::chrono::seconds(options.timeout_seconds);
  if (!options.name.empty()) request.name = options.name;
  Console& console = session.console();
  PullOutcome outcome;
  {
    ProgressBar bar(console);
    bool told = !console.error_is_terminal();
    const auto watch = [&](const platform::Progress& progress) {
      if (!told && progress.kept_bytes > 0 && progress.total_bytes > 0) {
        told = true;
        console.status(fmt::format("\r\x1b[Kresuming at {} %\n",
                                   progress.kept_bytes * 100 / progress.total_bytes));
      }
      bar(progress);
    };
    outcome = session.platform().pull_model(
        request,
        [&](std::span<const PullChoice> choices) { return choose(choices, options, console); },
        watch);
  }
  if (options.json)
    console.json(report_json(outcome));
  else
    report(outcome, console);
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  platform::PullRequest& request = options->request;
  cli.add_option("WHAT", request.what, "hf:OWNER/REPO[@REVISION][:FILE], or https://HOST/PATH.gguf")
      ->required();
  cli.add_option("--name", options->name, "Its name in the store; otherwise that of the file")
      ->type_name("NAME");
  cli.add_option("--from", request.endpoint,
                 "The hub, or a mirror of it, that hf: means; otherwise HF_ENDPOINT says")
      ->type_name("URL");
  cli.add_option("--sha256", request.sha256, "Refuse the file unless it has this digest")
      ->type_name("HEX");
  cli.add_option("--allow-host", request.allow_hosts,
                 "A further host that redirects may lead to; may be repeated")
      ->type_name("HOST");
  cli.add_option("--timeout", options->timeout_seconds,
                 "Seconds in which something must arrive (30)")
      ->check(CLI::Range(1, 3600));
  cli.add_option("--retries", request.retries, "Tries in a row that may bring nothing new (5)")
      ->check(CLI::Range(0, 100));
  cli.add_flag("--json", options->json, "Print the result as JSON");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command pull{
    .name = "pull",
    .summary = "Download a model into the store",
    .details =
        "Beside 'malina connector' the only command that opens a connection. What is downloaded "
        "is\n"
        "checked (size, SHA-256, its whole structure) and imported, or not at all; after a cut "
        "the\n"
        "same command goes on where it was. Of a repository with several GGUF files name one, or "
        "a\n"
        "piece of its name such as Q4_K_M.\n"
        "  HF_TOKEN          for repositories that want one; it goes to the hub alone\n"
        "  HF_ENDPOINT       a mirror of the hub (as --from)\n"
        "  https_proxy, no_proxy, SSL_CERT_FILE    as everywhere\n"
        "  MALINA_OFFLINE=1  closes this door",
    .examples =
        "  malina pull hf:HuggingFaceTB/SmolLM2-135M-Instruct\n"
        "  malina pull hf:OWNER/REPO-GGUF:model.Q4_K_M.gguf --name support:2024-06\n"
        "  malina pull hf:OWNER/REPO-GGUF:Q4_K_M --from https://mirror.example.org\n"
        "  malina pull https://example.org/tiny-1m.Q4_0.gguf --sha256 HEX\n",
    .setup = setup};

}  // namespace malina::app
