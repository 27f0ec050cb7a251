// The audit: a chain of records of who did what, without a word of what was asked or answered.
//
// A record is canonical JSON: these members in this order, no spaces, ASCII alone.
//
//   {"sequence":7,"previous":"<64 hex digits>","wall_us":...,"monotonic_us":...,"boot":"...",
//    "principal":"mk_...","tenant":"...","action":"...","subject":"...","model":"...",
//    "digest":"...","request":"...","outcome":"...","status":200,"prompt_tokens":12,
//    "completion_tokens":34}
//
// and "count":N at the end where it stands for several events.
//
// Its hash is SHA-256 of the previous hash's 32 bytes followed by the record's bytes. The first
// record's previous hash is all zero. Who changes, drops or moves a record has to change all after
// it; signed checkpoints (audit_checkpoint.h) tell that, and a cut end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/digest.h"
#include "govern/principal.h"
#include "store/database.h"

namespace malina::govern {

// What a record says besides its place. Texts from outside are cut to kLongestText bytes.
struct AuditEntry {
  static constexpr std::size_t kLongestText = 256;

  Actor actor;
  std::string action;        // "chat.completions", "key.revoke"
  std::string subject = {};  // what was changed: a key's id, an alias
  std::string model = {};    // as it was asked for
  std::string digest = {};   // what that was; hexadecimal
  std::string request = {};  // the request's id
  std::string outcome = {};  // "intent" before, then "done", "cancelled", ...
  int status = 0;            // of HTTP; 0: none
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t count = 1;  // of like events that this one record stands for
};

struct AuditHead {
  std::int64_t sequence = 0;  // 0: there is no record yet
  base::Digest hash;          // all zero where there is none
};

// The bytes that are hashed and stored. Without `boot`'s line end.
std::string canonical_record(const AuditEntry& entry, std::int64_t sequence,
                             const base::Digest& previous, const base::Clock& clock,
                             std::string_view boot);
// How every record with this place in the chain begins.
std::string record_beginning(std::int64_t sequence, const base::Digest& previous);
base::Digest record_hash(const base::Digest& previous, std::string_view record);

// Safe on many threads. It keeps no state of the chain: the head is read in the transaction that
// adds to it, so that many processes may add to one chain.
class AuditChain {
 public:
  explicit AuditChain(const base::Clock& clock);

  // Adds a record and returns its place. Within a transaction of `database`, with whose other
  // changes it is kept or undone.
  AuditHead append(store::Database& database, const AuditEntry& entry) const;
  static AuditHead head(store::Database& database);

  const base::Clock& clock() const { return clock_; }

 private:
  const base::Clock& clock_;
  const std::string boot_;  // tells which start of the machine monotonic times count from
};

}  // namespace malina::govern
