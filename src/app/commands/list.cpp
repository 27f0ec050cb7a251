// malina list: the models in the store.
#include "app/command.h"
#include "app/model_json.h"

namespace malina::app {

namespace {

struct Options {
  bool json = false, names = false;
};

void print_table(const std::vector<platform::ModelRecord>& models, Console& console) {
  if (models.empty()) {
    console.write(
        "no models yet: import a GGUF file with 'malina import FILE', or download one with 'malina "
        "pull'\n");
    return;
  }
  std::vector<std::vector<std::string>> rows{
      {"NAME", "SIZE", "FAMILY", "ENCODING", "DIGEST", "IMPORTED"}};
  for (const auto& model : models)
    rows.push_back({model.name, human_bytes(model.size_bytes),
                    model.family.empty() ? "-" : printable(model.family),
                    model.encoding.empty() ? "-" : printable(model.encoding),
                    short_digest(model.digest), utc_time(model.imported_at)});
  console.write(table(rows, {1}));
}

void run(const Options& options, Session& session) {
  const auto models = session.platform().list_models();
  Console& console = session.console();
  if (options.json) {
    Json list = Json::array();
    for (const auto& model : models) list.push_back(model_json(model));
    console.json({{"models", std::move(list)}});
  } else if (options.names) {
    for (const auto& model : models) console.print("{}\n", model.name);
  } else {
    print_table(models, console);
  }
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  cli.add_flag("--names", options->names, "Print the names alone, one a line");
  cli.add_flag("--json", options->json, "Print everything that is recorded as JSON");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command list{.name = "list",
                          .summary = "List the models in the store",
                          .details = "",
                          .examples =
                              "  malina list\n"
                              "  malina list --json | jq '.models[].digest'\n"
                              "  for model in $(malina list --names); do malina verify "
                              "$model; done\n",
                          .setup = setup};

}  // namespace malina::app
