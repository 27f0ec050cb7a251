// malina alias: stable names for models, moved while requests run.
#include <array>

#include "app/command.h"
#include "app/model_json.h"
#include "app/number_checks.h"
#include "base/error.h"

namespace malina::app {

namespace {

using platform::Alias;
using platform::AliasMove;

Json alias_json(const Alias& alias) {
  return {{"name", alias.name},
          {"model", alias.model},
          {"digest", alias.digest.hex()},
          {"number", alias.number},
          {"moved_at", utc_time(alias.moved_at)},
          {"moved_by", alias.moved_by}};
}

void print_alias(const Alias& alias, bool json, Console& console) {
  if (json) return console.json(alias_json(alias));
  console.print("{} is {} ({})\n", alias.name, alias.model, short_digest(alias.digest));
}

struct Options {
  std::string name;
  std::int64_t to = 0;
  bool json = false;
};

std::shared_ptr<Options> add_name(CLI::App& cli, const char* json_help) {
  auto options = std::make_shared<Options>();
  cli.add_option("ALIAS", options->name, "The alias")->required();
  cli.add_flag("--json", options->json, json_help);
  return options;
}

Action setup_set(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  cli.add_option("ALIAS=MODEL", options->name, "The alias, and the model it is to stand for")
      ->required();
  cli.add_flag("--json", options->json, "Print the alias as JSON");
  return [options](Session& session) {
    const std::size_t sign = options->name.find('=');
    if (sign == std::string::npos)
      throw base::Error(
          base::Fault::invalid_argument,
          fmt::format("'{}' is not ALIAS=MODEL; see 'malina alias set --help'", options->name));
    const std::string_view text = options->name;
    print_alias(session.platform().set_alias(text.substr(0, sign), text.substr(sign + 1),
                                             platform::local_actor()),
                options->json, session.console());
  };
}

Action setup_rollback(CLI::App& cli) {
  auto options = add_name(cli, "Print the alias as JSON");
  cli.add_option("--to", options->to, "The move after which it stood for what it is to stand for")
      ->type_name("N")
      ->check(whole_number(1, 1ULL << 62));
  return [options](Session& session) {
    const auto to = options->to > 0 ? std::optional(options->to) : std::nullopt;
    print_alias(session.platform().roll_back_alias(options->name, to, platform::local_actor()),
                options->json, session.console());
  };
}

Action setup_remove(CLI::App& cli) {
  auto options = add_name(cli, "Print the alias as it was as JSON");
  return [options](Session& session) {
    const Alias alias = session.platform().remove_alias(options->name, platform::local_actor());
    if (options->json) return session.console().json(alias_json(alias));
    session.console().print("removed {}, which was {}\n", alias.name, alias.model);
  };
}

Action setup_list(CLI::App& cli) {
  auto json = std::make_shared<bool>(false);
  cli.add_flag("--json", *json, "Print everything that is recorded as JSON");
  return [json](Session& session) {
    const auto aliases = session.platform().list_aliases();
    Console& console = session.console();
    if (*json) {
      Json list = Json::array();
      for (const Alias& alias : aliases) list.push_back(alias_json(alias));
      return console.json({{"aliases", std::move(list)}});
    }
    if (aliases.empty())
      return console.write("no aliases yet: make one with 'malina alias set ALIAS=MODEL'\n");
    std::vector<std::vector<std::string>> rows{{"ALIAS", "MODEL", "DIGEST", "MOVED", "BY"}};
    for (const Alias& alias : aliases)
      rows.push_back({alias.name, alias.model, short_digest(alias.digest), utc_time(alias.moved_at),
                      printable(alias.moved_by)});
    console.write(table(rows));
  };
}

Action setup_history(CLI::App& cli) {
  auto options = add_name(cli, "Print the moves as JSON");
  return [options](Session& session) {
    const auto moves = session.platform().alias_history(options->name);
    Console& console = session.console();
    if (options->json) {
      Json list = Json::array();
      for (const AliasMove& move : moves)
        list.push_back({{"number", move.number},
                        {"action", move.action},
                        {"model", move.digest ? Json(move.model) : Json()},
                        {"digest", move.digest ? Json(move.digest->hex()) : Json()},
                        {"moved_at", utc_time(move.moved_at)},
                        {"moved_by", move.moved_by}});
      return console.json({{"name", options->name}, {"moves", std::move(list)}});
    }
    std::vector<std::vector<std::string>> rows{{"MOVE", "ACTION", "MODEL", "DIGEST", "WHEN", "BY"}};
    for (const AliasMove& move : moves)
      rows.push_back({std::to_string(move.number), move.action, move.digest ? move.model : "-",
                      move.digest ? short_digest(*move.digest) : "-", utc_time(move.moved_at),
                      printable(move.moved_by)});
    console.write(table(rows, {0}));
  };
}

constexpr std::array kVerbs{
    Verb{.name = "set",
         .summary = "Make an alias, or move it to another model",
         .details =
             "It stands for the model's bytes, by their digest. Requests that run go on with "
             "the model they began\nwith. A name is an alias or a model's own, never both.",
         .examples = "  malina alias set prod=smollm2-135m-instruct\n",
         .setup = setup_set},
    Verb{.name = "list",
         .summary = "List the aliases",
         .details = "",
         .examples = "  malina alias list\n  malina alias list --json\n",
         .setup = setup_list},
    Verb{.name = "history",
         .summary = "Show every move of an alias",
         .details = "",
         .examples = "  malina alias history prod\n",
         .setup = setup_history},
    Verb{.name = "rollback",
         .summary = "Move an alias back to what it stood for before",
         .details = "A second rollback undoes the first. With --to it goes back further.",
         .examples = "  malina alias rollback prod\n  malina alias rollback prod --to 3\n",
         .setup = setup_rollback},
    Verb{.name = "remove",
         .summary = "Remove an alias; its history stays",
         .details = "",
         .examples = "  malina alias remove prod\n",
         .setup = setup_remove}};

Action setup(CLI::App& cli) { return add_verbs(cli, kVerbs); }

}  // namespace

extern const Command alias{
    .name = "alias",
    .summary = "Give models stable names, move them and roll them back",
    .details =
        "Wherever a model's name is asked for an alias will do. Each move is recorded in the "
        "audit.",
    .examples =
        "  malina alias set prod=smollm2-135m-instruct\n"
        "  malina alias rollback prod\n",
    .setup = setup};

}  // namespace malina::app
