#include "govern/audit_verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace malina::govern {

namespace {

using base::Digest;
using Kind = AuditFault::Kind;

// What the text of a record says of its place; nothing where it is no record.
struct OwnPlace {
  std::int64_t sequence;
  Digest previous;
};
std::optional<OwnPlace> own_place(const std::string& record) {
  const auto json = nlohmann::json::parse(record, nullptr, false);
  if (!json.is_object() || !json.contains("sequence") || !json.contains("previous") ||
      !json["sequence"].is_number_integer() || !json["previous"].is_string())
    return std::nullopt;
  const auto previous = Digest::parse(json["previous"].get<std::string>());
  if (!previous) return std::nullopt;
  return OwnPlace{json["sequence"].get<std::int64_t>(), *previous};
}

// Why the record in the place after `head` is not the one that belongs there.
AuditFault diagnose(const AuditHead& head, const std::string& record, const std::string& hash) {
  const std::int64_t sequence = head.sequence + 1;
  const auto own = own_place(record);
  if (!own)
    return {Kind::edited, sequence, fmt::format("record {} is no record of an audit", sequence)};
  if (own->sequence != sequence)
    return {Kind::swapped, sequence,
            fmt::format("in the place of record {} stands record {}", sequence, own->sequence)};
  if (own->previous != head.hash && record_hash(own->previous, record).hex() == hash)
    return {Kind::replaced, std::max<std::int64_t>(head.sequence, 1),
            fmt::format("record {} was made for another record {} than the one that stands before "
                        "it",
                        sequence, head.sequence)};
  return {Kind::edited, sequence,
          fmt::format("record {} is not the text that its hash was made of", sequence)};
}

std::string utc(std::int64_t microseconds) {
  const std::time_t seconds = microseconds / 1'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// Follows the chain, and what was signed of it.
class Verifier {
 public:
  Verifier(std::vector<AuditCheckpoint> checkpoints, const PublicKey* key)
      : checkpoints_(std::move(checkpoints)) {
    std::stable_sort(checkpoints_.begin(), checkpoints_.end(), [](const auto& a, const auto& b) {
      return a.head.sequence < b.head.sequence;
    });
    report_.checkpoints = checkpoints_.size();
    if (!checkpoints_.empty()) check_signatures(key != nullptr ? *key : checkpoints_.front().key);
  }

  bool failed() const { return report_.fault.has_value(); }
  const AuditHead& head() const { return report_.head; }

  void take(std::int64_t sequence, const std::string& hash, const std::string& record) {
    const std::int64_t expected = report_.head.sequence + 1;
    if (sequence != expected)
      return fail(sequence > expected
                      ? AuditFault{Kind::dropped, expected,
                                   fmt::format("record {} is missing: the next one is {}", expected,
                                               sequence)}
                      : AuditFault{Kind::edited, sequence,
                                   fmt::format("record {} has no place in an audit", sequence)});
    const Digest made = record_hash(report_.head.hash, record);
    if (!record.starts_with(record_beginning(expected, report_.head.hash)) ||
        Digest::parse(hash) != made)
      return fail(diagnose(report_.head, record, hash));
    report_.head = {expected, made};
    for (; next_ < checkpoints_.size() && checkpoints_[next_].head.sequence == expected; ++next_) {
      const AuditCheckpoint& checkpoint = checkpoints_[next_];
      if (checkpoint.head.hash != made)
        return fail({Kind::replaced, report_.signed_records + 1,
                     fmt::format("records {} to {} are not those that were signed at {}",
                                 report_.signed_records + 1, expected, utc(checkpoint.wall_us))});
      report_.signed_records = expected;
      report_.signed_at_us = checkpoint.wall_us;
    }
    report_.records = expected;
  }

  AuditReport finish() {
    if (!failed() && next_ < checkpoints_.size()) {
      const AuditCheckpoint& last = checkpoints_.back();
      fail({Kind::truncated, report_.head.sequence + 1,
            fmt::format("the audit ends with record {}, and record {} was signed at {}",
                        report_.head.sequence, last.head.sequence, utc(last.wall_us))});
    }
    return std::move(report_);
  }

 private:
  void check_signatures(const PublicKey& key) {
    for (const AuditCheckpoint& checkpoint : checkpoints_) {
      const std::string_view what = checkpoint.key != key          ? "was signed by another key"
                                    : !checkpoint.signature_fits() ? "has a signature that is wrong"
                                                                   : "";
      if (!what.empty())
        return fail(
            {Kind::signature, checkpoint.head.sequence,
             fmt::format("the checkpoint of record {} {}", checkpoint.head.sequence, what)});
    }
  }

  void fail(AuditFault fault) {
    if (!report_.fault) report_.fault = std::move(fault);
  }

  std::vector<AuditCheckpoint> checkpoints_;  // by sequence
  std::size_t next_ = 0;
  AuditReport report_;
};

}  // namespace

std::string_view name(AuditFault::Kind kind) {
  switch (kind) {
    case Kind::edited:
      return "edited";
    case Kind::dropped:
      return "dropped";
    case Kind::swapped:
      return "swapped";
    case Kind::replaced:
      return "replaced";
    case Kind::truncated:
      return "truncated";
    case Kind::signature:
      return "signature";
  }
  return "";
}

AuditReport verify_audit(store::Database& database, std::span<const AuditCheckpoint> kept,
                         const PublicKey* key, const std::function<void(std::int64_t)>& progress) {
  constexpr std::int64_t kPiece = 512;  // rows that stay in the processor's cache
  // Before the records: what is signed meanwhile is not missed.
  std::vector<AuditCheckpoint> checkpoints = read_checkpoints(database);
  checkpoints.insert(checkpoints.end(), kept.begin(), kept.end());
  Verifier verifier(std::move(checkpoints), key);
  // A forged row may hold any type; as text it is a record that does not fit.
  std::int64_t after = std::numeric_limits<std::int64_t>::min();
  while (!verifier.failed()) {
    const auto rows = database.query(
        "SELECT CAST(sequence AS BIGINT), COALESCE(CAST(hash AS TEXT), ''), COALESCE(CAST(record "
        "AS TEXT), '') "
        "FROM audit WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
        {after, kPiece});
    if (rows.empty()) break;
    for (const store::Row& row : rows) {
      after = row.integer(0);
      verifier.take(after, row.text(1), row.text(2));
      if (verifier.failed()) break;
    }
    if (progress) progress(verifier.head().sequence);
  }
  return verifier.finish();
}

}  // namespace malina::govern
