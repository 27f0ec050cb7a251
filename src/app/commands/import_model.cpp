// malina import: a model file into the store.
#include "app/command.h"
#include "app/model_json.h"
#include "app/progress_bar.h"

namespace malina::app {

namespace {

struct Options {
  std::string file, name, base;
  bool link = false, json = false;
};

void run(const Options& options, Session& session) {
  platform::ImportRequest request;
  request.file = options.file;
  request.link = options.link;
  request.base = options.base;
  if (!options.name.empty()) request.name = options.name;
  platform::ImportOutcome outcome;
  {
    ProgressBar bar(session.console());
    outcome = session.platform().import_model(request, bar.sink());
  }
  const platform::ModelRecord& model = outcome.model;
  Console& console = session.console();
  if (options.json) {
    Json result = model_json(model);
    result["already_there"] = outcome.already_there;
    result["warnings"] = outcome.warnings;
    console.json(result);
  } else {
    for (const std::string& warning : outcome.warnings)
      console.status(fmt::format("note: {}\n", printable(warning)));
    console.print("{} {} ({}, {}, sha256 {})\n",
                  outcome.already_there ? "already there:" : "imported", model.name,
                  human_bytes(model.size_bytes),
                  model.encoding.empty() ? "a vocabulary alone" : printable(model.encoding),
                  short_digest(model.digest));
  }
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  cli.add_option(
         "FILE", options->file,
         "A GGUF file, any part of a split one, or a directory of safetensors; an adapter as "
         "a PEFT directory or a GGUF file")
      ->required();
  cli.add_option("--base", options->base, "Of an adapter: the model in the store that it is for")
      ->type_name("MODEL");
  cli.add_option("--name", options->name, "Its name in the store; otherwise that of the file")
      ->type_name("NAME");
  cli.add_flag("--link", options->link, "Leave the file where it is and only record it");
  cli.add_flag("--json", options->json, "Print the result as JSON");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command import_model{
    .name = "import",
    .summary = "Put a model into the store",
    .details =
        "The file is checked and digested (SHA-256), then copied into the store, or shares its "
        "blocks\nwhere the file system can. It happens wholly or not at all. Importing a model "
        "again does nothing.\nA name is made of a-z, 0-9, '.', '_' and '-', and perhaps a tag "
        "after a colon.\nAn adapter is checked against its base and called BASE:NAME; it is served "
        "at "
        "once.",
    .examples =
        "  malina import SmolLM2-135M-Instruct.Q4_1.gguf\n"
        "  malina import model.gguf --name support:2024-06\n"
        "  malina import /models/big-00001-of-00003.gguf --link    (needs no space)\n"
        "  malina import Qwen3-0.6B/    (config.json, safetensors and tokenizer)\n"
        "  malina import support/ --base smollm2-135m-instruct    (an adapter)\n",
    .setup = setup};

}  // namespace malina::app
