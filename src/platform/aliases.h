// The records of aliases: what each stands for, and every move of it. The rules are ModelStore's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "store/database.h"

namespace malina::platform {

struct Alias {
  std::string name;
  std::string model;          // its name when the alias was moved to it
  base::Digest digest;        // of that model
  std::int64_t number = 0;    // of the move
  std::int64_t moved_at = 0;  // seconds since 1970-01-01 UTC
  std::string moved_by = {};
};

struct AliasMove {
  std::int64_t number = 0;
  std::string action;                       // set, rollback, remove
  std::string model = {};                   // "" where it was removed
  std::optional<base::Digest> digest = {};  // none where it was removed
  std::int64_t moved_at = 0;
  std::string moved_by = {};
};

using AliasRecording = std::function<void(store::Database&, const Alias&, const AliasMove&)>;

std::vector<Alias> read_aliases(store::Database& database);
std::optional<Alias> read_alias(store::Database& database, std::string_view name);
std::vector<AliasMove> read_alias_moves(store::Database& database, std::string_view name);
// The first alias that stands for the model of this name.
std::optional<std::string> alias_of(store::Database& database, std::string_view model);

// In a transaction. Numbers the move, writes it, and makes the alias what it says.
AliasMove write_alias_move(store::Database& database, const std::string& name, AliasMove move);

}  // namespace malina::platform
