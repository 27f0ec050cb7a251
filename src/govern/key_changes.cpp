// How keys come, change and go: each change is one transaction, with its record in the audit.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "govern/key_rules.h"
#include "govern/key_store.h"
#include "govern/private_file.h"

namespace malina::govern {

namespace {

using base::Error;
using base::Fault;
using std::chrono::seconds;

constexpr std::string_view kAdminFile = "admin.key";

std::int64_t number(WallSeconds time) { return time.time_since_epoch().count(); }

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ","));
}

// A whole key may have been given where its id is asked for.
std::string id_of(std::string_view given) { return std::string(given.substr(0, given.find('.'))); }

}  // namespace

void KeyStore::record_change(const Actor& by, const std::string& action, const std::string& id) {
  database_.execute("UPDATE revisions SET number = number + 1 WHERE subject = 'keys'");
  audit_.append(database_, {.actor = by, .action = action, .subject = id, .outcome = "done"});
}

std::string KeyStore::insert_secret(const std::string& id, std::int64_t generation,
                                    WallSeconds now) {
  const std::string secret = new_key_secret();
  database_.execute(
      "INSERT INTO key_secrets (key_id, generation, hash, created_at) VALUES (?1, ?2, ?3, ?4)",
      {id, generation, to_hex(hash_secret(pepper_, id, secret)), number(now)});
  return id + "." + secret;
}

IssuedKey KeyStore::insert(const NewKey& key, const Actor& by) {
  const WallSeconds now = this->now();
  // The first key decides which pepper it is; another process may have had another one meanwhile.
  check_pepper();
  database_.execute("INSERT INTO peppers (fingerprint) VALUES (?1) ON CONFLICT DO NOTHING",
                    {to_hex(hash_secret(pepper_, "fingerprint", ""))});
  IssuedKey issued;
  KeyRecord& record = issued.record;
  record.principal = {.key_id = new_key_id(),
                      .secret_generation = 0,
                      .name = key.name,
                      .tenant = key.tenant,
                      .permissions = key.permissions,
                      .models = key.models,
                      .limits = key.limits,
                      .expires_at = now + key.lifetime};
  record.created_at = now;
  record.created_by = by.id;
  record.secrets = {{.generation = 1, .created_at = now, .ends_at = std::nullopt}};
  const Principal& made = record.principal;
  database_.execute(
      "INSERT INTO keys (id, name, tenant, permissions, models, requests_per_minute, "
      "tokens_per_minute, concurrent_streams, longest_request_seconds, created_at, created_by, "
      "expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
      {made.key_id, made.name, made.tenant, made.permissions.text(), joined(made.models),
       made.limits.requests_per_minute, made.limits.tokens_per_minute,
       made.limits.concurrent_streams, std::int64_t{made.limits.longest_request.count()},
       number(now), by.id, number(made.expires_at)});
  issued.token = insert_secret(made.key_id, 1, now);
  record_change(by, "key.create", made.key_id);
  return issued;
}

IssuedKey KeyStore::create(const NewKey& key, const Actor& by) {
  check_new_key(key);
  IssuedKey issued;
  database_.transaction([&] { issued = insert(key, by); });
  forget();
  return issued;
}

void KeyStore::require_usable(const std::string& id, WallSeconds now) {
  const auto rows = database_.query("SELECT expires_at, revoked_at FROM keys WHERE id = ?1", {id});
  if (rows.empty()) throw no_such_key(id);
  if (!rows[0].is_null(1))
    throw Error(Fault::invalid_argument,
                fmt::format("the key {} is revoked, for good: make a new one", id));
  if (rows[0].integer(0) <= number(now))
    throw Error(Fault::invalid_argument, fmt::format("the key {} has expired: make a new one", id));
}

IssuedKey KeyStore::rotate(std::string_view given, seconds overlap, const Actor& by) {
  check_overlap(overlap);
  const std::string id = id_of(given);
  IssuedKey issued;
  database_.transaction([&] {
    const WallSeconds now = this->now();
    require_usable(id, now);
    const auto newest =
        database_.query("SELECT MAX(generation) FROM key_secrets WHERE key_id = ?1", {id});
    const std::int64_t generation = newest.at(0).is_null(0) ? 0 : newest[0].integer(0);
    // Two are alive at most: the newest for the overlap, what is older no longer.
    database_.execute(
        "UPDATE key_secrets SET ends_at = ?3 WHERE key_id = ?1 AND generation < ?2 AND "
        "(ends_at IS NULL OR ends_at > ?3)",
        {id, generation, number(now)});
    database_.execute("UPDATE key_secrets SET ends_at = ?3 WHERE key_id = ?1 AND generation = ?2",
                      {id, generation, number(now + overlap)});
    issued.token = insert_secret(id, generation + 1, now);
    record_change(by, "key.rotate", id);
  });
  forget();
  issued.record = find(id);
  return issued;
}

KeyRecord KeyStore::revoke(std::string_view given, const Actor& by) {
  const std::string id = id_of(given);
  database_.transaction([&] {
    if (database_.query("SELECT id FROM keys WHERE id = ?1", {id}).empty()) throw no_such_key(id);
    const auto changed =
        database_.execute("UPDATE keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
                          {id, number(now())});
    if (changed > 0) record_change(by, "key.revoke", id);
  });
  forget();
  return find(id);
}

std::optional<IssuedKey> KeyStore::ensure_admin_key(const std::filesystem::path& home,
                                                    const Actor& by) {
  const auto has_one = [this] {
    const auto keys = database_.query("SELECT permissions FROM keys");
    return std::any_of(keys.begin(), keys.end(), [](const store::Row& key) {
      return PermissionSet::parse(key.text(0)).contains(Permission::admin);
    });
  };
  if (has_one()) return std::nullopt;
  std::optional<IssuedKey> issued;
  database_.transaction([&] {
    if (has_one()) return;  // another process was first
    issued = insert({.name = "admin", .permissions = PermissionSet::all_but_upstream()}, by);
    // Before the commit: a key that nobody has must not be the one that was made.
    write_private_file(home / kAdminFile, issued->token + "\n",
                       base::AtomicFile::Existing::replace);
  });
  forget();
  return issued;
}

std::optional<std::string> read_admin_key(const std::filesystem::path& home) {
  auto content = read_private_file(home / kAdminFile);
  while (content && content->ends_with('\n')) content->pop_back();
  return content;
}

}  // namespace malina::govern
