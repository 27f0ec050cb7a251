// malina pull: a model from the network into the store.
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

void run(const Options& options, Session& session) {
  platform::PullRequest request = options.request;
  request.timeout = std::chrono::seconds(options.timeout_seconds);
  if (!options.name.empty()) request.name = options.name;
  PullOutcome outcome;
  {
    ProgressBar bar(session.console());
    outcome = session.platform().pull_model(request, {}, bar.sink());
  }
  if (options.json)
    session.console().json(report_json(outcome));
  else
    report(outcome, session.console());
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  platform::PullRequest& request = options->request;
  cli.add_option("WHAT", request.what, "The address of a GGUF file: https://HOST/PATH.gguf")
      ->required();
  cli.add_option("--name", options->name, "Its name in the store; otherwise that of the file")
      ->type_name("NAME");
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
        "The only command that opens a connection. The file is downloaded, checked (size, SHA-256, "
        "its whole\n"
        "structure) and imported, or not at all; after a cut the same command goes on where it "
        "was.\n"
        "MALINA_OFFLINE=1 closes this door. Proxies come from https_proxy and no_proxy.",
    .examples = "  malina pull https://example.org/models/tiny-1m.Q4_0.gguf\n",
    .setup = setup};

}  // namespace malina::app
