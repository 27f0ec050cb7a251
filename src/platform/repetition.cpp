#include "platform/repetition.h"

#include <fmt/format.h>

#include "base/error.h"
#include "store/database.h"

namespace malina::platform {

namespace {

constexpr std::int64_t kStands = 24 * 60 * 60;  // seconds

}  // namespace

std::optional<std::string> created_before(store::Database& database, std::string_view principal,
                                          const Repetition& repetition, std::int64_t now) {
  if (repetition.name.empty()) return std::nullopt;
  const auto rows = database.query(
      "SELECT digest, result FROM repetitions WHERE principal = ?1 AND name = ?2 AND created_at > "
      "?3",
      {std::string(principal), repetition.name, now - kStands});
  if (rows.empty()) return std::nullopt;
  if (rows[0].text(0) != repetition.digest)
    throw base::Error(base::Fault::invalid_argument,
                      "this Idempotency-Key came with another request before: take a new one",
                      {.code = std::string(kRepetitionReused), .retry_helps = false});
  return rows[0].text(1);
}

void remember_created(store::Database& database, std::string_view principal,
                      const Repetition& repetition, std::string_view id, std::int64_t now) {
  if (repetition.name.empty()) return;
  database.execute("DELETE FROM repetitions WHERE created_at <= ?1", {now - kStands});
  database.execute(
      "INSERT OR REPLACE INTO repetitions (principal, name, digest, result, created_at) VALUES "
      "(?1, ?2, ?3, ?4, ?5)",
      {std::string(principal), repetition.name, repetition.digest, std::string(id), now});
}

}  // namespace malina::platform
