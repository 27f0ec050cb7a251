// The keys of callers: made, shown once, hashed, checked, rotated, revoked.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "govern/audit_chain.h"
#include "govern/key_token.h"
#include "govern/pepper.h"
#include "govern/principal.h"
#include "store/database.h"

namespace malina::govern {

inline constexpr std::chrono::seconds kKeyLifetime = std::chrono::hours(24 * 365);
inline constexpr std::chrono::seconds kLongestKeyLifetime = std::chrono::hours(24 * 3660);
inline constexpr std::chrono::seconds kRotationOverlap = std::chrono::hours(24);
inline constexpr std::chrono::seconds kLongestOverlap = std::chrono::hours(24 * 90);

struct NewKey {
  std::string name;                // 1 to 128 bytes of UTF-8 without control characters
  std::string tenant = "default";  // 1 to 64 of a-z, 0-9, '.', '_', '-'
  PermissionSet permissions{Permission::infer};
  std::vector<std::string> models = {};  // names, aliases, upstream/NAME; * is any text; empty: all
  Limits limits = {};
  std::chrono::seconds lifetime = kKeyLifetime;  // a key without an end does not exist
};

enum class KeyState { active, expired, revoked };
std::string_view name(KeyState state);

struct KeySecret {
  std::int64_t generation = 0;
  WallSeconds created_at{};
  std::optional<WallSeconds> ends_at;  // when a rotation has replaced it
};

struct KeyRecord {
  Principal principal;  // without secret_generation
  WallSeconds created_at{};
  std::string created_by;
  std::optional<WallSeconds> revoked_at;
  KeyState state = KeyState::active;  // now
  std::vector<KeySecret> secrets;     // oldest first, those that ended too
};

struct IssuedKey {
  KeyRecord record;
  std::string token;  // ID.SECRET: nobody can show it again
};

// Safe on many threads, and with other processes on the same database. Every change is audited in
// the same transaction. Failures throw base::Error.
//
// Checks are answered from memory. The database is asked whether keys have changed when the last
// such question is older than kRefresh, so a change by another process holds from then on, and
// one made here holds at once.
class KeyStore {
 public:
  static constexpr std::chrono::milliseconds kRefresh{400};
  // For a key that nobody has: it may be new. Guessing costs the database so many questions at
  // most.
  static constexpr std::chrono::milliseconds kRefreshForUnknown{20};

  // Throws corrupt_file where the keys were made under another pepper.
  KeyStore(store::Database& database, Pepper pepper, const AuditChain& audit);
  ~KeyStore();
  // Whether there are keys that need their pepper.
  static bool empty(store::Database& database);

  IssuedKey create(const NewKey& key, const Actor& by);
  // A new secret; the one before it goes on for `overlap`, any older one ends. A key that is
  // revoked or expired is not rotated (invalid_argument).
  IssuedKey rotate(std::string_view id, std::chrono::seconds overlap, const Actor& by);
  // For good. Revoking again changes nothing. Unknown: not_found.
  KeyRecord revoke(std::string_view id, const Actor& by);
  std::vector<KeyRecord> list();  // oldest first; of one second by id
  KeyRecord find(std::string_view id);

  // The holder of a key, or nullopt for one that is malformed, unknown, wrong, revoked or expired:
  // the same work is done for all of these, and hashes are compared in constant time.
  std::optional<Principal> authenticate(std::string_view presented);
  // Does what authenticate() said still hold? For open streams, which ask each second.
  bool live(std::string_view id, std::int64_t secret_generation);
  // As if its holder had shown it, for callers that are mapped to a key by its id.
  std::optional<Principal> by_id(std::string_view id);

  // Where no key with the permission `admin` was ever made: makes one with every permission
  // but `upstream`, writes it to `home`/admin.key (mode 0600) and returns it.
  std::optional<IssuedKey> ensure_admin_key(const std::filesystem::path& home, const Actor& by);

 private:
  struct Secret;
  struct Entry;
  struct Snapshot;

  std::shared_ptr<const Snapshot> current(std::chrono::milliseconds age);
  std::optional<Principal> authenticate(std::string_view presented, const Snapshot& snapshot);
  void read(Snapshot& snapshot);
  void forget();  // what is in memory, after a change
  void check_pepper();
  IssuedKey insert(const NewKey& key, const Actor& by);  // in a transaction
  // Returns the token.
  std::string insert_secret(const std::string& id, std::int64_t generation, WallSeconds now);
  void require_usable(const std::string& id, WallSeconds now);
  // Of every change, in its transaction: tells other processes, and the audit.
  void record_change(const Actor& by, const std::string& action, const std::string& id);
  // Never goes back: a clock that is set back revives no expired key.
  WallSeconds now();

  store::Database& database_;
  const Pepper pepper_;
  const AuditChain& audit_;
  std::mutex mutex_;
  std::shared_ptr<const Snapshot> snapshot_;
  base::Clock::Monotonic checked_at_{};
  std::atomic<WallSeconds> latest_{};
};

// "mk_... of home/admin.key", for this machine's own commands; nullopt where there is none.
std::optional<std::string> read_admin_key(const std::filesystem::path& home);

}  // namespace malina::govern
