// malina families: which model families this program runs.
#include <fmt/ranges.h>

#include "app/command.h"

namespace malina::app {

namespace {

struct Options {
  bool json = false;
};

Json families_json(const std::vector<platform::FamilyReport>& families) {
  Json list = Json::array();
  for (const auto& family : families)
    list.push_back({{"name", family.name},
                    {"title", family.title},
                    {"gguf", family.gguf},
                    {"hugging_face", family.hugging_face},
                    {"mechanisms", family.mechanisms}});
  return {{"families", std::move(list)}};
}

void run(const Options& options, Session& session) {
  const auto families = session.platform().families();
  if (options.json) return session.console().json(families_json(families));
  std::vector<std::vector<std::string>> rows;
  for (const auto& family : families) {
    rows.push_back({family.name, family.title});
    rows.push_back({"", fmt::format("{}", fmt::join(family.mechanisms, "; "))});
  }
  session.console().write(table(rows));
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  cli.add_flag("--json", options->json, "Print one JSON object");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command families{
    .name = "families",
    .summary = "List the model families that malina runs, and what each does",
    .details = "A family says how a model computes. 'malina inspect MODEL' tells which one a file is of.",
    .examples =
        "  malina families\n"
        "  malina families --json\n",
    .setup = setup};

}  // namespace malina::app
