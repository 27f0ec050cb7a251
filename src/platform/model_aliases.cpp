// Aliases of models in the store: what they may be called, and to what they may be moved.
#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "base/near_match.h"
#include "platform/model_name.h"
#include "platform/model_store.h"
#include "platform/tuning.h"

namespace malina::platform {

namespace {

using base::Digest;
using base::Error;
using base::Fault;

Error no_such_alias(std::string_view name, const std::vector<Alias>& aliases) {
  std::vector<std::string> names;
  for (const Alias& alias : aliases) names.push_back(alias.name);
  return Error(Fault::not_found,
               fmt::format("there is no alias '{}'{}", name, base::did_you_mean(name, names)));
}

std::string short_hex(const Digest& digest) { return digest.hex().substr(0, 12); }

}  // namespace

// By this name if it still has that digest, else under any other: the bytes are what counts.
std::optional<ModelRecord> ModelStore::model_of(const Digest& digest, std::string_view name) {
  if (auto model = find(name); model && model->digest == digest) return model;
  auto others = records("WHERE digest = ?1", digest.hex());
  if (others.empty()) return std::nullopt;
  return std::move(others.front());
}

std::optional<ModelRecord> ModelStore::model_of_alias(std::string_view name) {
  store::Database* const database = this->database(false);
  const auto alias = database != nullptr ? read_alias(*database, name) : std::nullopt;
  if (!alias) return std::nullopt;
  if (auto model = model_of(alias->digest, alias->model)) return model;
  throw Error(
      Fault::not_found,
      fmt::format("the alias '{}' stands for the model '{}' (sha256 {}...), which is not in "
                  "the store any more: import it again, or move the alias",
                  name, alias->model, short_hex(alias->digest)));
}

void ModelStore::refuse_alias(std::string_view name) {
  store::Database* const database = this->database(false);
  if (database == nullptr || !read_alias(*database, name)) return;
  throw Error(Fault::already_exists,
              fmt::format("the name '{0}' is an alias; choose another one with --name, or first "
                          "'malina alias remove {0}'",
                          name));
}

// Under the folder's lock.
Alias ModelStore::move_alias(std::string_view name, std::string_view action,
                             const ModelRecord& model, const std::string& by,
                             const AliasRecording& record) {
  Alias alias{.name = std::string(name),
              .model = model.name,
              .digest = model.digest,
              .number = 0,
              .moved_at = base::unix_time(),
              .moved_by = by};
  database_->transaction([&] {
    const AliasMove move = write_alias_move(*database_, alias.name,
                                            {.number = 0,
                                             .action = std::string(action),
                                             .model = model.name,
                                             .digest = model.digest,
                                             .moved_at = alias.moved_at,
                                             .moved_by = by});
    alias.number = move.number;
    if (record) record(*database_, alias, move);
  });
  return alias;
}

Alias ModelStore::set_alias(std::string_view name, std::string_view model, const std::string& by,
                            const AliasRecording& record) {
  check_name(name);
  writable_database(model);
  const Descriptor lock = folder_.lock();
  if (find(name))
    throw Error(Fault::already_exists,
                fmt::format("'{}' is the name of a model, and cannot be an alias too", name));
  if (TunedClassifiers(home_).find_name(name))
    throw Error(
        Fault::already_exists,
        fmt::format("'{}' is the name of a tuned classifier, and cannot be an alias too", name));
  auto target = find(model);
  if (!target) target = model_of_alias(model);
  if (!target) throw not_found(model);
  return move_alias(name, "set", *target, by, record);
}

Alias ModelStore::roll_back_alias(std::string_view name, std::optional<std::int64_t> to,
                                  const std::string& by, const AliasRecording& record) {
  if (database(false) == nullptr) throw no_such_alias(name, {});
  store::Database& database = writable_database(name);
  const Descriptor lock = folder_.lock();
  const auto moves = read_alias_moves(database, name);
  if (moves.empty()) throw no_such_alias(name, list_aliases());
  const AliasMove* target = nullptr;
  for (const AliasMove& move : moves)
    if (to ? move.number == *to : move.number < moves.back().number) target = &move;
  if (target == nullptr)
    throw Error(
        Fault::not_found,
        to ? fmt::format("the alias '{}' had no move {}: it had {}", name, *to, moves.size())
           : fmt::format("the alias '{}' was moved only once: there is nothing before", name));
  if (!target->digest)
    throw Error(Fault::invalid_argument,
                fmt::format("the alias '{}' stood for nothing after move {}: choose another one "
                            "with --to ('malina alias history {}')",
                            name, target->number, name));
  const auto model = model_of(*target->digest, target->model);
  if (!model)
    throw Error(
        Fault::not_found,
        fmt::format("the model '{}' (sha256 {}...), for which the alias '{}' stood then, is "
                    "not in the store any more",
                    target->model, short_hex(*target->digest), name));
  if (find(name))
    throw Error(
        Fault::already_exists,
        fmt::format("'{}' is the name of a model by now, and cannot be an alias too", name));
  return move_alias(name, "rollback", *model, by, record);
}

Alias ModelStore::remove_alias(std::string_view name, const std::string& by,
                               const AliasRecording& record) {
  if (database(false) == nullptr) throw no_such_alias(name, {});
  store::Database& database = writable_database(name);
  const Descriptor lock = folder_.lock();
  const auto alias = read_alias(database, name);
  if (!alias) throw no_such_alias(name, list_aliases());
  database.transaction([&] {
    const AliasMove move = write_alias_move(database, alias->name,
                                            {.number = 0,
                                             .action = "remove",
                                             .model = "",
                                             .digest = std::nullopt,
                                             .moved_at = base::unix_time(),
                                             .moved_by = by});
    if (record) record(database, *alias, move);
  });
  return *alias;
}

std::vector<Alias> ModelStore::list_aliases() {
  store::Database* const database = this->database(false);
  return database != nullptr ? read_aliases(*database) : std::vector<Alias>();
}

std::vector<AliasMove> ModelStore::alias_history(std::string_view name) {
  store::Database* const database = this->database(false);
  auto moves = database != nullptr ? read_alias_moves(*database, name) : std::vector<AliasMove>();
  if (moves.empty()) throw no_such_alias(name, list_aliases());
  return moves;
}

}  // namespace malina::platform
