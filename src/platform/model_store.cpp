#include "platform/model_store.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ctime>

#include "base/error.h"
#include "base/near_match.h"
#include "model/hugging_face.h"
#include "model/peft.h"
#include "platform/adapter_file.h"
#include "platform/model_file.h"
#include "platform/model_name.h"

namespace malina::platform {

namespace {

using base::Digest;
using base::Error;
using base::Fault;
using std::filesystem::path;

constexpr std::string_view kColumns =
    "SELECT name, digest, size_bytes, family, encoding, imported_at, source, linked, base FROM "
    "models ";

Digest parse_digest(const std::string& text) {
  if (const auto digest = Digest::parse(text)) return *digest;
  throw Error(Fault::corrupt_file, "the store's database holds '" + text + "' as a digest");
}

// Throws io where the system does not say, as in a folder that may not be entered.
bool is_there(const path& file) {
  std::error_code failure;
  const bool there = std::filesystem::exists(file, failure);
  if (failure)
    throw Error(Fault::io, fmt::format("cannot read {}: {}", file.string(), failure.message()));
  return there;
}

std::string utc(std::int64_t nanoseconds) {
  const std::time_t seconds = nanoseconds / 1'000'000'000;
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:09} UTC", fmt::gmtime(seconds),
                     nanoseconds % 1'000'000'000);
}

// What tells the file from its record, as the end of a sentence; "" if nothing does.
std::string difference(const FileFacts& found, const FileFacts& recorded) {
  if (found.size_bytes != recorded.size_bytes)
    return fmt::format("has {} bytes instead of {}", found.size_bytes, recorded.size_bytes);
  if (found.modified_ns != recorded.modified_ns)
    return fmt::format("was modified at {} and is recorded with {}", utc(found.modified_ns),
                       utc(recorded.modified_ns));
  if (found.inode != recorded.inode) return "was replaced by another file";
  return "";
}

void check_unchanged(const ModelRecord& model) {
  for (const StoredFile& file : model.files) {
    if (!is_there(file.path))
      throw Error(Fault::not_found,
                  fmt::format("model '{}': its file {} is missing; import it again", model.name,
                              file.path.string()));
    const std::string what = difference(file_facts(file.path), file.facts);
    if (!what.empty())
      throw Error(Fault::corrupt_file,
                  fmt::format("model '{0}' is not as it was imported: {1} {2}; compare its digest "
                              "with 'malina verify {0}'",
                              model.name, file.path.string(), what));
  }
}

}  // namespace

std::string_view name(FileCheck::State state) {
  switch (state) {
    case FileCheck::State::intact:
      return "intact";
    case FileCheck::State::touched:
      return "touched";
    case FileCheck::State::changed:
      return "changed";
    case FileCheck::State::missing:
      return "missing";
  }
  return "";
}

bool Verification::intact() const {
  return std::all_of(files.begin(), files.end(), [](const FileCheck& file) {
    return file.state == FileCheck::State::intact || file.state == FileCheck::State::touched;
  });
}

ModelStore::ModelStore(path home)
    : home_(std::filesystem::absolute(std::move(home)).lexically_normal()), folder_(home_) {}

store::Database* ModelStore::database(bool create) {
  const std::scoped_lock opening(opening_);
  if (database_) return database_.get();
  const path file = home_ / "malina.db";
  if (create)
    folder_.create();
  else if (!is_there(file))
    return nullptr;
  if (!create && ::access(home_.c_str(), W_OK) != 0) {
    database_ = store::open_sqlite(file, store::Access::read_only);
    return database_.get();
  }
  try {
    const Descriptor lock = folder_.lock();
    database_ = store::open_sqlite(file, store::Access::read_write);
    folder_.sweep([this](const Digest& digest) { return needed(*database_, digest, ""); });
  } catch (const Error& error) {
    // A full disk must not keep anyone from using the models that are there.
    if (create || error.fault() != Fault::io) throw;
    read_only_because_ = error.what();
    database_ = store::open_sqlite(file, store::Access::read_only);
  }
  return database_.get();
}

bool ModelStore::needed(store::Database& database, const Digest& digest, std::string_view except) {
  return !database
              .query("SELECT name FROM models WHERE digest = ?1 AND linked = 0 AND name <> ?2",
                     {digest.hex(), std::string(except)})
              .empty();
}

std::vector<ModelRecord> ModelStore::records(std::string_view condition,
                                             const store::Value& value) {
  store::Database* const database = this->database(false);
  if (database == nullptr) return {};
  std::vector<ModelRecord> records;
  for (const store::Row& row :
       database->query(std::string(kColumns).append(condition).append(" ORDER BY name"), {value})) {
    ModelRecord record{.name = row.text(0),
                       .digest = parse_digest(row.text(1)),
                       .size_bytes = static_cast<std::uint64_t>(row.integer(2)),
                       .family = row.text(3),
                       .encoding = row.text(4),
                       .imported_at = row.integer(5),
                       .source = row.text(6),
                       .linked = row.integer(7) != 0,
                       .files = {}};
    if (const std::string base = row.text(8); !base.empty()) record.base = parse_digest(base);
    for (const store::Row& file :
         database->query("SELECT path, digest, size_bytes, modified_ns, inode FROM model_files "
                         "WHERE model = ?1 ORDER BY part",
                         {record.name}))
      record.files.push_back({home_ / file.text(0),  // an absolute path stays one
                              parse_digest(file.text(1)),
                              {static_cast<std::uint64_t>(file.integer(2)), file.integer(3),
                               static_cast<std::uint64_t>(file.integer(4))}});
    records.push_back(std::move(record));
  }
  return records;
}

std::vector<ModelRecord> ModelStore::list() { return records("WHERE name <> ?1", std::string()); }

std::optional<ModelRecord> ModelStore::find(std::string_view name) {
  auto found = records("WHERE name = ?1", std::string(name));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

void ModelStore::write_files(const std::string& name, const ModelRecord& model) {
  database_->execute("DELETE FROM model_files WHERE model = ?1", {name});
  std::int64_t part = 0;
  for (const StoredFile& file : model.files) {
    const path written = model.linked ? file.path : file.path.lexically_relative(home_);
    database_->execute(
        "INSERT INTO model_files (model, part, path, digest, size_bytes, modified_ns, inode) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        {name, part++, written.string(), file.digest.hex(),
         static_cast<std::int64_t>(file.facts.size_bytes), file.facts.modified_ns,
         static_cast<std::int64_t>(file.facts.inode)});
  }
}

// The files of a digest are those of all its names: they share them.
void ModelStore::write_files_of_all_names(const ModelRecord& model) {
  write_files(model.name, model);
  if (model.linked) return;
  for (const store::Row& row :
       database_->query("SELECT name FROM models WHERE digest = ?1 AND linked = 0 AND name <> ?2",
                        {model.digest.hex(), model.name}))
    write_files(row.text(0), model);
}

void ModelStore::write_record(const ModelRecord& model) {
  database_->execute("DELETE FROM model_files WHERE model = ?1", {model.name});
  database_->execute("DELETE FROM models WHERE name = ?1", {model.name});
  database_->execute(
      "INSERT INTO models (name, digest, size_bytes, family, encoding, imported_at, source, "
      "linked, base) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
      {model.name, model.digest.hex(), static_cast<std::int64_t>(model.size_bytes), model.family,
       model.encoding, model.imported_at, model.source, std::int64_t{model.linked},
       model.base ? model.base->hex() : std::string()});
  write_files_of_all_names(model);
}

Error ModelStore::not_found(std::string_view name) {
  std::vector<std::string> names;
  for (const ModelRecord& model : list()) names.push_back(model.name);
  for (const Alias& alias : list_aliases()) names.push_back(alias.name);
  const std::string there_is_none = fmt::format("there is no model '{}'", name);
  if (names.empty())
    return Error(Fault::not_found,
                 there_is_none +
                     ", and none is imported yet: import a GGUF file "
                     "with 'malina import FILE', or download one with 'malina pull'");
  const std::string near = base::did_you_mean(name, names);
  if (!near.empty()) return Error(Fault::not_found, there_is_none + near);
  constexpr std::size_t kFew = 3;
  return Error(Fault::not_found,
               names.size() > kFew
                   ? there_is_none + "; 'malina list' shows those there are"
                   : fmt::format("{}; there is {}", there_is_none, fmt::join(names, ", ")));
}

store::Database& ModelStore::writable_database(std::string_view name) {
  store::Database* const database = this->database(false);
  if (database == nullptr) throw not_found(name);
  if (!read_only_because_.empty()) throw Error(Fault::io, read_only_because_);
  return *database;
}

Removal ModelStore::remove(std::string_view name) {
  store::Database& database = writable_database(name);
  const Descriptor lock = folder_.lock();
  const auto model = find(name);
  if (!model) throw not_found(name);
  if (const auto alias = alias_of(database, model->name))
    throw Error(
        Fault::invalid_argument,
        fmt::format("the alias '{0}' stands for '{1}': first move it with 'malina alias set "
                    "{0}=MODEL', or remove it with 'malina alias remove {0}'",
                    *alias, model->name));
  refuse_removal_of_base(database, *model);
  const bool delete_files = !model->linked && !needed(database, model->digest, name);
  Unfinished work = folder_.begin();
  if (delete_files) folder_.intend_removal(work, model->digest);
  try {
    database_->transaction([&] {
      database_->execute("DELETE FROM model_files WHERE model = ?1", {model->name});
      database_->execute("DELETE FROM models WHERE name = ?1", {model->name});
    });
    if (delete_files) folder_.remove(work, model->digest);
  } catch (...) {
    if (find(name)) folder_.close(work);  // nothing happened; otherwise a sweep completes it
    throw;
  }
  folder_.close(work);
  return {*model, delete_files};
}

void ModelStore::refuse_removal_of_base(store::Database& database, const ModelRecord& model) {
  std::vector<std::string> adapters;
  for (const store::Row& row : database.query(
           "SELECT name FROM models WHERE base = ?1 ORDER BY name", {model.digest.hex()}))
    adapters.push_back(row.text(0));
  if (adapters.empty()) return;
  if (records("WHERE digest = ?1", model.digest.hex()).size() > 1) return;  // under another name
  throw Error(Fault::invalid_argument,
              fmt::format("the model '{}' is the base of {}: first 'malina remove' {}", model.name,
                          fmt::join(adapters, ", "), adapters.size() == 1 ? "it" : "them"));
}

Verification ModelStore::verify(std::string_view name, const ProgressSink& progress) {
  const auto model = find(name);
  if (!model) throw not_found(name);
  Verification result{*model, {}};
  ByteCounter counter("verifying", model->size_bytes, progress);
  bool touched = false;
  for (StoredFile& file : result.model.files) {
    FileCheck check{.path = file.path,
                    .state = FileCheck::State::missing,
                    .recorded = file,
                    .found = {},
                    .found_digest = {}};
    if (is_there(file.path)) {
      check.found = file_facts(file.path);
      check.found_digest = hash_file(file.path, counter);
      const bool same_bytes = check.found_digest == file.digest;
      const bool same_facts = check.found == file.facts;
      check.state = !same_bytes  ? FileCheck::State::changed
                    : same_facts ? FileCheck::State::intact
                                 : FileCheck::State::touched;
      if (same_bytes) file.facts = check.found;
      touched = touched || check.state == FileCheck::State::touched;
    }
    result.files.push_back(std::move(check));
  }
  if (result.intact() && touched) {
    const Descriptor lock = folder_.lock();
    const auto now = find(name);
    if (now && now->digest == model->digest)
      database_->transaction([&] { write_files_of_all_names(result.model); });
  }
  return result;
}

// Under the name that the adapter's begins with, where that is the one.
std::optional<ModelRecord> ModelStore::base_of(const ModelRecord& adapter) {
  auto bases = records("WHERE digest = ?1", adapter.base->hex());
  if (bases.empty()) return std::nullopt;
  const auto named = std::ranges::find_if(
      bases, [&](const ModelRecord& base) { return adapter.name.starts_with(base.name + ":"); });
  return named == bases.end() ? bases.front() : *named;
}

ResolvedModel ModelStore::resolve(std::string_view name_or_path) {
  const bool is_path = name_or_path.find('/') != std::string_view::npos;
  if (!is_path && name_fault(name_or_path).empty()) {
    auto model = find(name_or_path);
    if (!model) model = model_of_alias(name_or_path);
    if (model) {
      check_unchanged(*model);
      const path own = model->files.at(0).path;
      if (!model->base) return {std::string(name_or_path), own, std::move(model)};
      auto base = base_of(*model);
      if (!base)
        throw Error(Fault::not_found,
                    fmt::format("the base of adapter '{}' (sha256 {}...) is not in the store: "
                                "import it again",
                                model->name, model->base->hex().substr(0, 12)));
      check_unchanged(*base);
      const path file = base->files.at(0).path;
      return {std::string(name_or_path), file, std::move(model),
              ResolvedModel::Adapter{own, std::move(*base)}};
    }
  }
  std::error_code ignored;  // a folder without a model is not what a bare name means
  if (!is_path && !std::filesystem::is_regular_file(name_or_path, ignored) &&
      !model::is_hugging_face(name_or_path))
    throw not_found(name_or_path);
  if (model::is_peft(name_or_path)) throw adapter_is_no_model(name_or_path);
  check_model_path(name_or_path);
  return {std::string(name_or_path), path(name_or_path), std::nullopt, {}};
}

}  // namespace malina::platform
