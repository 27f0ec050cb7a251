// The audit as commands and endpoints see it: govern/audit_chain.h, govern/audit_verify.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "govern/audit_chain.h"
#include "govern/audit_verify.h"

namespace malina::platform {

using govern::AuditEntry;
using govern::AuditFault;
using govern::AuditReport;

struct AuditRecord {
  std::int64_t sequence = 0;
  std::int64_t wall_us = 0;  // since 1970-01-01 UTC
  AuditEntry entry;
  std::string json;  // as it is stored: with its place in the chain
  std::string hash;
};

// What is not given is looked for beside the database, whose own default is the home folder's:
// audit.checkpoints and audit.pub.
struct AuditFiles {
  std::optional<std::filesystem::path> database, checkpoints, public_key;
};

struct AuditVerification {
  std::filesystem::path database;
  std::filesystem::path checkpoints;  // empty: there was no such file
  std::filesystem::path public_key;   // empty: there was none; all are by one key at least
  AuditReport report;
};

// Reads files alone, and writes nothing: for a copy, anywhere. Throws base::Error where one cannot
// be read; what is wrong with the audit is in the report.
AuditVerification verify_audit_files(
    const std::filesystem::path& home, const AuditFiles& files,
    const std::function<void(std::int64_t records, std::int64_t total)>& progress = {});

// The records after `sequence`, `most` of them, oldest first.
std::vector<AuditRecord> read_audit(store::Database& database, std::int64_t sequence,
                                    std::int64_t most);

}  // namespace malina::platform
