#include "platform/aliases.h"

#include "base/error.h"

namespace malina::platform {

namespace {

base::Digest parse_digest(const std::string& text) {
  if (const auto digest = base::Digest::parse(text)) return *digest;
  throw base::Error(base::Fault::corrupt_file,
                    "the store's database holds '" + text + "' as the digest of an alias");
}

Alias alias_of_row(const store::Row& row) {
  return {.name = row.text(0),
          .model = row.text(1),
          .digest = parse_digest(row.text(2)),
          .number = row.integer(3),
          .moved_at = row.integer(4),
          .moved_by = row.text(5)};
}

constexpr std::string_view kColumns =
    "SELECT name, model, digest, number, moved_at, moved_by FROM aliases ";

}  // namespace

std::vector<Alias> read_aliases(store::Database& database) {
  std::vector<Alias> aliases;
  for (const store::Row& row : database.query(std::string(kColumns) + "ORDER BY name"))
    aliases.push_back(alias_of_row(row));
  return aliases;
}

std::optional<Alias> read_alias(store::Database& database, std::string_view name) {
  const auto rows = database.query(std::string(kColumns) + "WHERE name = ?1", {std::string(name)});
  if (rows.empty()) return std::nullopt;
  return alias_of_row(rows[0]);
}

std::vector<AliasMove> read_alias_moves(store::Database& database, std::string_view name) {
  std::vector<AliasMove> moves;
  for (const store::Row& row :
       database.query("SELECT number, action, model, digest, moved_at, moved_by FROM alias_moves "
                      "WHERE name = ?1 ORDER BY number",
                      {std::string(name)})) {
    AliasMove move{.number = row.integer(0),
                   .action = row.text(1),
                   .model = row.text(2),
                   .digest = std::nullopt,
                   .moved_at = row.integer(4),
                   .moved_by = row.text(5)};
    if (!row.text(3).empty()) move.digest = parse_digest(row.text(3));
    moves.push_back(std::move(move));
  }
  return moves;
}

std::optional<std::string> alias_of(store::Database& database, std::string_view model) {
  const auto rows = database.query(
      "SELECT name FROM aliases WHERE model = ?1 ORDER BY name LIMIT 1", {std::string(model)});
  if (rows.empty()) return std::nullopt;
  return rows[0].text(0);
}

AliasMove write_alias_move(store::Database& database, const std::string& name, AliasMove move) {
  const auto last = database.query(
      "SELECT number FROM alias_moves WHERE name = ?1 ORDER BY number DESC LIMIT 1", {name});
  move.number = last.empty() ? 1 : last[0].integer(0) + 1;
  const std::string digest = move.digest ? move.digest->hex() : "";
  database.execute(
      "INSERT INTO alias_moves (name, number, action, model, digest, moved_at, moved_by) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
      {name, move.number, move.action, move.model, digest, move.moved_at, move.moved_by});
  database.execute("DELETE FROM aliases WHERE name = ?1", {name});
  if (move.digest)
    database.execute(
        "INSERT INTO aliases (name, model, digest, number, moved_at, moved_by) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        {name, move.model, digest, move.number, move.moved_at, move.moved_by});
  return move;
}

}  // namespace malina::platform
