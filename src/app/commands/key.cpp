// malina key: who may call the server, and what they may do there.
#include <algorithm>
#include <array>

#include "app/command.h"
#include "app/number_checks.h"
#include "base/quantity.h"
#include "platform/keys.h"

namespace malina::app {

namespace {

using platform::IssuedKey;
using platform::KeyRecord;
using platform::NewKey;
using std::chrono::seconds;

std::string time_text(platform::WallSeconds time) {
  return utc_time(time.time_since_epoch().count());
}

Json optional_time(const std::optional<platform::WallSeconds>& time) {
  return time ? Json(time_text(*time)) : Json();
}

Json key_json(const KeyRecord& record) {
  const auto& key = record.principal;
  Json secrets = Json::array();
  for (const auto& secret : record.secrets)
    secrets.push_back({{"generation", secret.generation},
                       {"created_at", time_text(secret.created_at)},
                       {"ends_at", optional_time(secret.ends_at)}});
  Json permissions = Json::array();
  for (const auto permission : key.permissions.list()) permissions.push_back(name(permission));
  return {{"id", key.key_id},
          {"name", key.name},
          {"tenant", key.tenant},
          {"state", name(record.state)},
          {"permissions", std::move(permissions)},
          {"models", key.models},
          {"requests_per_minute", key.limits.requests_per_minute},
          {"tokens_per_minute", key.limits.tokens_per_minute},
          {"streams", key.limits.concurrent_streams},
          {"longest_seconds", key.limits.longest_request.count()},
          {"created_at", time_text(record.created_at)},
          {"created_by", record.created_by},
          {"expires_at", time_text(key.expires_at)},
          {"revoked_at", optional_time(record.revoked_at)},
          {"secrets", std::move(secrets)}};
}

std::string limit_text(std::int64_t limit) { return limit == 0 ? "-" : std::to_string(limit); }

// The token stands alone on standard output, so that a script can take it from there.
void print_issued(const IssuedKey& issued, bool json, Console& console) {
  if (json) {
    Json value = key_json(issued.record);
    value["key"] = issued.token;
    return console.json(value);
  }
  console.print("{}\n", issued.token);
  if (console.output_is_terminal())
    console.status("This is shown once: keep it. It expires at " +
                   time_text(issued.record.principal.expires_at) + ".\n");
}

// An option that holds a duration; `shown` is its default in words.
CLI::Option* add_duration(CLI::App& cli, const std::string& name, seconds& value,
                          const std::string& description) {
  return cli
      .add_option_function<std::string>(
          name,
          [&value](const std::string& text) {
            value = std::chrono::duration_cast<seconds>(base::parse_duration(text).value());
          },
          description)
      ->type_name("TIME")
      ->check(duration())
      ->default_str(base::duration_text(value));
}

struct CreateOptions {
  NewKey key;
  std::string permissions = "infer";
  bool json = false;
};

Action setup_create(CLI::App& cli) {
  auto options = std::make_shared<CreateOptions>();
  NewKey& key = options->key;
  cli.add_option("NAME", key.name, "What the key is for, or who has it")->required();
  cli.add_option("--tenant", key.tenant, "Keys of one tenant may share cached prompts")
      ->type_name("NAME")
      ->default_str(key.tenant);
  cli.add_option(
         "--permit", options->permissions,
         "What it may do: infer, train, evaluate, approve, audit, admin, upstream (send texts off "
         "this machine), between commas")
      ->type_name("LIST")
      ->default_str("infer");
  cli.add_option(
         "--model", key.models,
         "A model, alias or upstream/NAME that it may use, in which * stands for any text; may "
         "be repeated; by default all")
      ->type_name("NAME");
  add_duration(cli, "--expires", key.lifetime, "How long it is good for: 90d, 12h");
  cli.add_option("--requests-per-minute", key.limits.requests_per_minute, "0: no limit")
      ->check(whole_number(0, 1'000'000'000))
      ->type_name("N")
      ->default_str("0");
  cli.add_option("--tokens-per-minute", key.limits.tokens_per_minute,
                 "Of prompts and answers together; 0: no limit")
      ->check(whole_number(0, 1'000'000'000))
      ->type_name("N")
      ->default_str("0");
  cli.add_option("--streams", key.limits.concurrent_streams,
                 "Requests that may run at the same time; 0: no limit")
      ->check(whole_number(0, 1'000'000))
      ->type_name("N")
      ->default_str("0");
  add_duration(cli, "--longest", key.limits.longest_request, "Time that one request may take");
  cli.add_flag("--json", options->json, "Print the key and its record as JSON");
  return [options](Session& session) {
    options->key.permissions = platform::PermissionSet::parse(options->permissions);
    print_issued(session.platform().create_key(options->key, platform::local_actor()),
                 options->json, session.console());
  };
}

struct RotateOptions {
  std::string id;
  seconds overlap = platform::kRotationOverlap;
  bool json = false;
};

Action setup_rotate(CLI::App& cli) {
  auto options = std::make_shared<RotateOptions>();
  cli.add_option("ID", options->id, "The key's id: mk_...")->required();
  add_duration(cli, "--overlap", options->overlap, "How long its old secret goes on; 0s: it ends");
  cli.add_flag("--json", options->json, "Print the key and its record as JSON");
  return [options](Session& session) {
    print_issued(
        session.platform().rotate_key(options->id, options->overlap, platform::local_actor()),
        options->json, session.console());
  };
}

struct RevokeOptions {
  std::string id;
  bool json = false;
};

Action setup_revoke(CLI::App& cli) {
  auto options = std::make_shared<RevokeOptions>();
  cli.add_option("ID", options->id, "The key's id: mk_...")->required();
  cli.add_flag("--json", options->json, "Print the key's record as JSON");
  return [options](Session& session) {
    const auto record = session.platform().revoke_key(options->id, platform::local_actor());
    if (options->json) return session.console().json(key_json(record));
    session.console().print("revoked {} ({})\n", record.principal.key_id,
                            printable(record.principal.name));
  };
}

void print_table(const std::vector<KeyRecord>& keys, Console& console) {
  if (keys.empty()) {
    console.write("no keys yet: make one with 'malina key create NAME'\n");
    return;
  }
  std::vector<std::vector<std::string>> rows{{"ID", "NAME", "TENANT", "STATE", "PERMISSIONS",
                                              "MODELS", "REQUESTS/MIN", "TOKENS/MIN", "STREAMS",
                                              "EXPIRES"}};
  for (const KeyRecord& record : keys) {
    const auto& key = record.principal;
    rows.push_back({key.key_id, printable(key.name), key.tenant, std::string(name(record.state)),
                    key.permissions.text(),
                    key.models.empty() ? "all" : fmt::format("{}", fmt::join(key.models, ",")),
                    limit_text(key.limits.requests_per_minute),
                    limit_text(key.limits.tokens_per_minute),
                    limit_text(key.limits.concurrent_streams), time_text(key.expires_at)});
  }
  console.write(table(rows, {6, 7, 8}));
}

Action setup_list(CLI::App& cli) {
  auto json = std::make_shared<bool>(false);
  cli.add_flag("--json", *json, "Print everything that is recorded as JSON");
  return [json](Session& session) {
    const auto keys = session.platform().list_keys();
    if (!*json) return print_table(keys, session.console());
    Json list = Json::array();
    for (const KeyRecord& record : keys) list.push_back(key_json(record));
    session.console().json({{"keys", std::move(list)}});
  };
}

constexpr std::array kVerbs{
    Verb{.name = "create",
         .summary = "Make a key and print it, once",
         .details = "Standard output has the key alone: ID.SECRET. The store keeps a hash of it, "
                    "from which nobody\ncan tell it, under a secret beside the database "
                    "($MALINA_HOME/pepper, or the file that\nMALINA_PEPPER_FILE names).",
         .examples = "  malina key create \"support desk\" --expires 90d\n"
                     "  malina key create nightly --permit infer,evaluate --model 'prod*'\n"
                     "  malina key create app --requests-per-minute 60 --tokens-per-minute 20000\n",
         .setup = setup_create},
    Verb{.name = "list",
         .summary = "List the keys, those too that have ended",
         .details = "",
         .examples = "  malina key list\n  malina key list --json\n",
         .setup = setup_list},
    Verb{.name = "rotate",
         .summary = "Give a key a new secret; the old one goes on for a while",
         .details = "At most two secrets of a key are good at the same time. The key's end stays "
                    "what it is.",
         .examples = "  malina key rotate mk_2q7f6x3nvz5kd4ab\n"
                     "  malina key rotate mk_2q7f6x3nvz5kd4ab --overlap 1h\n",
         .setup = setup_rotate},
    Verb{.name = "revoke",
         .summary = "End a key for good, within a second, with its open streams",
         .details = "",
         .examples = "  malina key revoke mk_2q7f6x3nvz5kd4ab\n",
         .setup = setup_revoke}};

Action setup(CLI::App& cli) { return add_verbs(cli, kVerbs); }

}  // namespace

extern const Command key{
    .name = "key",
    .summary = "Make, list, rotate and revoke the keys of the server's callers",
    .details =
        "A key is ID.SECRET, with what it may do, which models it may use, its quotas and "
        "its end.\nEach change is recorded in the audit.",
    .examples =
        "  malina key create app\n"
        "  malina key list\n",
    .setup = setup};

}  // namespace malina::app
