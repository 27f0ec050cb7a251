#include "govern/audit_chain.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace malina::govern {

namespace {

using base::Digest;
using Json = nlohmann::ordered_json;

std::string boot_id() {
  std::string id;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), id);
  return id;
}

template <typename Time>
std::int64_t microseconds(Time time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

std::string cut(const std::string& text) { return text.substr(0, AuditEntry::kLongestText); }

}  // namespace

std::string record_beginning(std::int64_t sequence, const Digest& previous) {
  return "{\"sequence\":" + std::to_string(sequence) + ",\"previous\":\"" + previous.hex() + "\",";
}

std::string canonical_record(const AuditEntry& entry, std::int64_t sequence, const Digest& previous,
                             const base::Clock& clock, std::string_view boot) {
  Json rest{{"wall_us", microseconds(clock.wall())},
            {"monotonic_us", microseconds(clock.monotonic())},
            {"boot", boot},
            {"principal", cut(entry.actor.id)},
            {"tenant", cut(entry.actor.tenant)},
            {"action", cut(entry.action)},
            {"subject", cut(entry.subject)},
            {"model", cut(entry.model)},
            {"digest", cut(entry.digest)},
            {"request", cut(entry.request)},
            {"outcome", cut(entry.outcome)},
            {"status", entry.status},
            {"prompt_tokens", entry.prompt_tokens},
            {"completion_tokens", entry.completion_tokens}};
  if (entry.count != 1) rest["count"] = entry.count;
  // ASCII, and a mark for bytes that are no UTF-8: whoever reads it reads the same.
  const std::string text = rest.dump(-1, ' ', true, Json::error_handler_t::replace);
  return record_beginning(sequence, previous).append(text, 1);
}

Digest record_hash(const Digest& previous, std::string_view record) {
  thread_local base::Sha256 hash;
  hash.update(std::as_bytes(std::span(previous.bytes())));
  hash.update(record);
  return hash.finish();
}

AuditChain::AuditChain(const base::Clock& clock) : clock_(clock), boot_(boot_id()) {}

AuditHead AuditChain::head(store::Database& database) {
  const auto rows =
      database.query("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1");
  if (rows.empty()) return {};
  const auto hash = Digest::parse(rows[0].text(1));
  if (!hash)
    throw base::Error(base::Fault::corrupt_file,
                      "the audit's last record has no valid hash; see 'malina audit verify'");
  return {rows[0].integer(0), *hash};
}

AuditHead AuditChain::append(store::Database& database, const AuditEntry& entry) const {
  const AuditHead last = head(database);
  const std::int64_t sequence = last.sequence + 1;
  const std::string record = canonical_record(entry, sequence, last.hash, clock_, boot_);
  const Digest hash = record_hash(last.hash, record);
  database.execute("INSERT INTO audit (sequence, hash, record) VALUES (?1, ?2, ?3)",
                   {sequence, hash.hex(), record});
  return {sequence, hash};
}

}  // namespace malina::govern
