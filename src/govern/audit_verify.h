// Is the audit what was written? From a copy, without the program that wrote it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "govern/audit_checkpoint.h"

namespace malina::govern {

struct AuditFault {
  enum class Kind {
    edited,     // a record's text is not what its hash was made of
    dropped,    // a record is missing between others
    swapped,    // another record stands in its place
    replaced,   // a record is not the one that those after it, or a checkpoint, were made for
    truncated,  // the end is missing: a later record was signed
    signature   // a checkpoint is not by the key that it must be by
  };
  Kind kind = Kind::edited;
  std::int64_t sequence = 0;  // of the first bad record
  std::string reason;         // a sentence
};
std::string_view name(AuditFault::Kind kind);

struct AuditReport {
  std::int64_t records = 0;  // that are as they were written, up to the first fault
  AuditHead head;            // the last of them
  std::size_t checkpoints = 0;
  std::int64_t signed_records = 0;  // up to the last checkpoint; what follows may lose its end
  std::int64_t signed_at_us = 0;    // of the last checkpoint; 0: there is none
  std::optional<AuditFault> fault;
};

// `kept`: checkpoints from elsewhere, in any order, beside those of the database. `key`: whose they
// must all be; null: all by one key. Reads in pieces; may run beside writers. Throws base::Error
// where the database cannot be read or holds no audit.
AuditReport verify_audit(store::Database& database, std::span<const AuditCheckpoint> kept,
                         const PublicKey* key,
                         const std::function<void(std::int64_t records)>& progress = {});

}  // namespace malina::govern
