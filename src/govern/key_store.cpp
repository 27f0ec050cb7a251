#include "govern/key_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/error.h"
#include "govern/key_rules.h"

namespace malina::govern {

namespace {

using base::Error;
using base::Fault;
using std::chrono::seconds;

WallSeconds time_of(std::int64_t number) { return WallSeconds(seconds(number)); }

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    parts.push_back(text.substr(start, comma - start));
    start = comma + 1;
  }
  return parts;
}

constexpr std::string_view kKeyColumns =
    "SELECT id, name, tenant, permissions, models, requests_per_minute, tokens_per_minute, "
    "concurrent_streams, longest_request_seconds, created_at, created_by, expires_at, revoked_at "
    "FROM keys ORDER BY created_at, id";

KeyRecord record_of(const store::Row& row) {
  KeyRecord record;
  Principal& principal = record.principal;
  principal.key_id = row.text(0);
  principal.name = row.text(1);
  principal.tenant = row.text(2);
  if (!row.text(3).empty()) principal.permissions = PermissionSet::parse(row.text(3));
  principal.models = split(row.text(4));
  principal.limits = {.requests_per_minute = row.integer(5),
                      .tokens_per_minute = row.integer(6),
                      .concurrent_streams = row.integer(7),
                      .longest_request = seconds(row.integer(8))};
  record.created_at = time_of(row.integer(9));
  record.created_by = row.text(10);
  principal.expires_at = time_of(row.integer(11));
  if (!row.is_null(12)) record.revoked_at = time_of(row.integer(12));
  return record;
}

KeyState state_of(const KeyRecord& record, WallSeconds now) {
  if (record.revoked_at) return KeyState::revoked;
  return record.principal.expires_at <= now ? KeyState::expired : KeyState::active;
}

}  // namespace

struct KeyStore::Secret {
  std::int64_t generation = 0;
  SecretHash hash{};
  WallSeconds ends_at = WallSeconds::max();
};

struct KeyStore::Entry {
  KeyRecord record;
  std::array<Secret, 2> secrets;  // the two newest; generation 0: none
};

struct KeyStore::Snapshot {
  std::int64_t revision = 0;
  std::vector<std::string> order;  // of list()
  std::unordered_map<std::string, Entry> entries;
};

std::string_view name(KeyState state) {
  switch (state) {
    case KeyState::active:
      return "active";
    case KeyState::expired:
      return "expired";
    case KeyState::revoked:
      return "revoked";
  }
  return "";
}

KeyStore::KeyStore(store::Database& database, Pepper pepper, const AuditChain& audit)
    : database_(database), pepper_(std::move(pepper)), audit_(audit) {
  check_pepper();
}
KeyStore::~KeyStore() = default;

bool KeyStore::empty(store::Database& database) {
  return database.query("SELECT id FROM keys LIMIT 1").empty();
}

// Not a secret: without the pepper nothing follows from it.
void KeyStore::check_pepper() {
  const std::string mine = to_hex(hash_secret(pepper_, "fingerprint", ""));
  const auto known = database_.query("SELECT fingerprint FROM peppers");
  if (known.empty() || known[0].text(0) == mine) return;
  throw Error(Fault::corrupt_file,
              "the pepper is not the one that the keys in the database were made with: put that "
              "one back, or every key would be refused");
}

WallSeconds KeyStore::now() {
  const auto wall = std::chrono::floor<seconds>(audit_.clock().wall());
  WallSeconds latest = latest_.load();
  while (latest < wall && !latest_.compare_exchange_weak(latest, wall)) {
  }
  return std::max(latest, wall);
}

void KeyStore::forget() {
  const std::scoped_lock lock(mutex_);
  snapshot_.reset();
}

std::shared_ptr<const KeyStore::Snapshot> KeyStore::current(std::chrono::milliseconds age) {
  const std::scoped_lock lock(mutex_);
  const auto now = audit_.clock().monotonic();
  if (snapshot_ && now - checked_at_ < age) return snapshot_;
  // The revision first: what is read after it can only be newer.
  const auto revision =
      database_.query("SELECT number FROM revisions WHERE subject = 'keys'").at(0).integer(0);
  if (!snapshot_ || snapshot_->revision != revision) {
    auto fresh = std::make_shared<Snapshot>();
    fresh->revision = revision;
    read(*fresh);
    snapshot_ = std::move(fresh);
  }
  checked_at_ = now;
  return snapshot_;
}

void KeyStore::read(Snapshot& snapshot) {
  for (const store::Row& row : database_.query(kKeyColumns)) {
    KeyRecord record = record_of(row);
    snapshot.order.push_back(record.principal.key_id);
    snapshot.entries[record.principal.key_id].record = std::move(record);
  }
  for (const store::Row& row :
       database_.query("SELECT key_id, generation, hash, created_at, ends_at FROM key_secrets "
                       "ORDER BY key_id, generation")) {
    const auto found = snapshot.entries.find(row.text(0));
    const auto hash = parse_hash(row.text(2));
    if (found == snapshot.entries.end() || !hash) continue;  // such a secret opens nothing
    KeySecret secret{.generation = row.integer(1),
                     .created_at = time_of(row.integer(3)),
                     .ends_at = std::nullopt};
    if (!row.is_null(4)) secret.ends_at = time_of(row.integer(4));
    auto& live = found->second.secrets;
    live[0] = live[1];
    live[1] = {secret.generation, *hash, secret.ends_at.value_or(WallSeconds::max())};
    found->second.record.secrets.push_back(secret);
  }
}

std::vector<KeyRecord> KeyStore::list() {
  const auto snapshot = current(kRefresh);
  const WallSeconds now = this->now();
  std::vector<KeyRecord> records;
  for (const std::string& id : snapshot->order) {
    records.push_back(snapshot->entries.at(id).record);
    records.back().state = state_of(records.back(), now);
  }
  return records;
}

KeyRecord KeyStore::find(std::string_view id) {
  const auto snapshot = current(kRefresh);
  const auto found = snapshot->entries.find(std::string(id));
  if (found == snapshot->entries.end()) throw no_such_key(id);
  KeyRecord record = found->second.record;
  record.state = state_of(record, now());
  return record;
}

std::optional<Principal> KeyStore::authenticate(std::string_view presented) {
  auto principal = authenticate(presented, *current(kRefresh));
  // It may have been made a moment ago by another process, whose user tries it at once.
  if (!principal) principal = authenticate(presented, *current(kRefreshForUnknown));
  return principal;
}

std::optional<Principal> KeyStore::authenticate(std::string_view presented,
                                                const Snapshot& snapshot) {
  static const Entry nobody;
  const WallSeconds now = this->now();
  // What cannot be a key is checked like one, so that neither time nor words tell them apart.
  const KeyToken token = parse_key_token(presented).value_or(kNoToken);
  const auto found = snapshot.entries.find(std::string(token.id));
  const Entry& entry = found == snapshot.entries.end() ? nobody : found->second;
  const SecretHash hash = hash_secret(pepper_, token.id, token.secret);
  std::int64_t generation = 0;
  for (const Secret& secret : entry.secrets) {
    const bool same = same_hash(hash, secret.hash);
    if (same && secret.generation != 0 && now < secret.ends_at) generation = secret.generation;
  }
  if (generation == 0 || state_of(entry.record, now) != KeyState::active) return std::nullopt;
  Principal principal = entry.record.principal;
  principal.secret_generation = generation;
  return principal;
}

bool KeyStore::live(std::string_view id, std::int64_t secret_generation) {
  const auto snapshot = current(kRefresh);
  const WallSeconds now = this->now();
  const auto found = snapshot->entries.find(std::string(id));
  if (found == snapshot->entries.end() || state_of(found->second.record, now) != KeyState::active)
    return false;
  const auto& secrets = found->second.secrets;
  return std::any_of(secrets.begin(), secrets.end(), [&](const Secret& secret) {
    return secret.generation != 0 && secret.generation == secret_generation && now < secret.ends_at;
  });
}

std::optional<Principal> KeyStore::by_id(std::string_view id) {
  const auto snapshot = current(kRefresh);
  const auto found = snapshot->entries.find(std::string(id));
  if (found == snapshot->entries.end() || state_of(found->second.record, now()) != KeyState::active)
    return std::nullopt;
  Principal principal = found->second.record.principal;
  principal.secret_generation = found->second.secrets[1].generation;
  return principal;
}

}  // namespace malina::govern
