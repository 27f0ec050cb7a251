#include "platform/audit.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/text_file.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;
using std::filesystem::path;

bool is_there(const path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored);
}

govern::PublicKey read_public_key(const path& file) {
  const std::string text = base::read_text(base::File::open(file), 1024);
  if (const auto key = govern::parse_public_key(text)) return *key;
  throw Error(Fault::corrupt_file,
              file.string() + " is no public key of an audit: it has 64 hexadecimal digits");
}

// A copy may be by another version of the program; the audit's own table is all that is needed.
std::unique_ptr<store::Database> open_copy(const path& file) {
  if (!is_there(file)) throw Error(Fault::not_found, "there is no database " + file.string());
  auto database = store::open_sqlite(file, store::Access::read_only, {});
  if (database
          ->query("SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('audit', "
                  "'audit_checkpoints')")
          .size() != 2)
    throw Error(Fault::unsupported,
                file.string() + " holds no audit: it is no database of malina, or an older one");
  return database;
}

AuditRecord record_of(const store::Row& row) {
  AuditRecord record{.sequence = row.integer(0),
                     .wall_us = 0,
                     .entry = {},
                     .json = row.text(2),
                     .hash = row.text(1)};
  const auto json = nlohmann::json::parse(record.json, nullptr, false);
  // What is no record is left empty: `audit verify` says what is wrong with it.
  const auto text = [&](const char* name) {
    const bool there = json.is_object() && json.contains(name) && json[name].is_string();
    return there ? json[name].get<std::string>() : std::string();
  };
  const auto number = [&](const char* name) {
    const bool there = json.is_object() && json.contains(name) && json[name].is_number_integer();
    return there ? json[name].get<std::int64_t>() : 0;
  };
  record.wall_us = number("wall_us");
  record.entry = {.actor = {text("principal"), text("tenant")},
                  .action = text("action"),
                  .subject = text("subject"),
                  .model = text("model"),
                  .digest = text("digest"),
                  .request = text("request"),
                  .outcome = text("outcome"),
                  .status = static_cast<int>(number("status")),
                  .prompt_tokens = number("prompt_tokens"),
                  .completion_tokens = number("completion_tokens"),
                  .count = std::max<std::int64_t>(number("count"), 1)};
  return record;
}

}  // namespace

AuditVerification verify_audit_files(
    const path& home, const AuditFiles& files,
    const std::function<void(std::int64_t, std::int64_t)>& progress) {
  AuditVerification result;
  result.database = files.database.value_or(home / "malina.db");
  const path beside = std::filesystem::absolute(result.database).parent_path();
  const auto given_or_beside = [&](const std::optional<path>& given, const char* name) {
    if (given) return *given;
    return is_there(beside / name) ? beside / name : path();
  };
  result.checkpoints = given_or_beside(files.checkpoints, "audit.checkpoints");
  result.public_key = given_or_beside(files.public_key, "audit.pub");
  const auto database = open_copy(result.database);
  std::vector<govern::AuditCheckpoint> checkpoints;
  if (!result.checkpoints.empty()) checkpoints = govern::read_checkpoints(result.checkpoints);
  std::optional<govern::PublicKey> key;
  if (!result.public_key.empty()) key = read_public_key(result.public_key);
  const std::int64_t total =
      database->query("SELECT COALESCE(CAST(MAX(sequence) AS BIGINT), 0) FROM audit")
          .at(0)
          .integer(0);
  result.report = govern::verify_audit(*database, checkpoints, key ? &*key : nullptr,
                                       [&](std::int64_t records) {
                                         if (progress) progress(records, std::max(total, records));
                                       });
  return result;
}

std::vector<AuditRecord> read_audit(store::Database& database, std::int64_t sequence,
                                    std::int64_t most) {
  std::vector<AuditRecord> records;
  for (const store::Row& row :
       database.query("SELECT sequence, hash, record FROM audit WHERE sequence > ?1 "
                      "ORDER BY sequence LIMIT ?2",
                      {sequence, most}))
    records.push_back(record_of(row));
  return records;
}

}  // namespace malina::platform
