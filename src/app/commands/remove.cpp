// malina remove: a name and, when no other name needs them, its files.
#include "app/command.h"
#include "app/model_json.h"

namespace malina::app {

namespace {

struct Options {
  std::string name;
  bool json = false;
};

void run(const Options& options, Session& session) {
  const auto removal = session.platform().remove_model(options.name);
  const auto& model = removal.model;
  if (options.json) {
    session.console().json({{"name", model.name},
                            {"digest", model.digest.hex()},
                            {"files_deleted", removal.files_deleted}});
    return;
  }
  const std::string_view rest = removal.files_deleted ? ""
                                : model.linked        ? "; its linked file stays where it is"
                                                      : "; another name still uses its files";
  session.console().print("removed {}{}\n", model.name, rest);
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  cli.add_option("MODEL", options->name, "The model's name in the store")->required();
  cli.add_flag("--json", options->json, "Print the result as JSON");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command remove{
    .name = "remove",
    .summary = "Remove a model from the store",
    .details =
        "Its files are deleted when no other name uses them. The files of a model that was "
        "imported with\n--link stay.",
    .examples =
        "  malina remove smollm2-135m-instruct\n"
        "  malina remove support:2024-06\n",
    .setup = setup};

}  // namespace malina::app
