// Signed statements of where the audit's chain ended at some moment, so that an end that was cut
// off is found, and a chain that was computed anew. Each is one line of JSON:
//
//   {"sequence":7,"hash":"<64 hex digits>","wall_us":...,"key":"<64 hex digits>",
//    "signature":"<128 hex digits>"}
//
// The signature is Ed25519 (RFC 8032), by `key`, of "malina audit checkpoint 1\n" and the line up
// to
// `,"signature"`. Whoever can write the home folder can make a new key and a new chain: that is
// found by those who keep the public key and the checkpoints elsewhere.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "govern/audit_chain.h"

namespace malina::govern {

using PublicKey = std::array<unsigned char, 32>;
std::string public_key_text(const PublicKey& key);  // hexadecimal, as audit.pub has it
std::optional<PublicKey> parse_public_key(std::string_view hex);

struct AuditCheckpoint {
  AuditHead head;
  std::int64_t wall_us = 0;  // since 1970-01-01 UTC
  PublicKey key{};
  std::array<unsigned char, 64> signature{};

  std::string line() const;  // without a line end
  bool signature_fits() const;
};
std::optional<AuditCheckpoint> parse_checkpoint(std::string_view line);

// Holds the private key. Movable; wiped when it goes.
class AuditSigner {
 public:
  // From `home`/audit.key (mode 0600), which is created, with `home`/audit.pub, where there is
  // neither. Throws base::Error; not_found where the private key alone is missing.
  static AuditSigner load(const std::filesystem::path& home);

  explicit AuditSigner(const std::array<unsigned char, 32>& seed);
  ~AuditSigner();
  AuditSigner(const AuditSigner&) = default;
  AuditSigner& operator=(const AuditSigner&) = delete;

  AuditCheckpoint sign(const AuditHead& head, std::int64_t wall_us) const;
  const PublicKey& public_key() const { return public_; }

 private:
  std::array<unsigned char, 64> secret_;
  PublicKey public_;
};

// Signs the chain's head, unless the last checkpoint has it already: into the table, and as a line
// at the end of `file`. In a transaction of `database`. Returns whether there was anything to sign.
bool add_checkpoint(store::Database& database, const AuditSigner& signer, const base::Clock& clock,
                    const std::filesystem::path& file);

// The lines of a file or of the table. Throws corrupt_file for a line that is no checkpoint; what
// stands after a file's last line end was cut off while it was written, and does not count.
std::vector<AuditCheckpoint> read_checkpoints(const std::filesystem::path& file);
std::vector<AuditCheckpoint> read_checkpoints(store::Database& database);

}  // namespace malina::govern
