// The models of this machine: files by digest, names in the database.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "platform/aliases.h"
#include "platform/model_folder.h"
#include "platform/progress.h"
#include "platform/stored_file.h"
#include "store/database.h"

namespace malina::platform {

struct ModelRecord {
  std::string name;
  base::Digest digest;           // model_digest()
  std::uint64_t size_bytes = 0;  // of all files
  std::string family;            // general.architecture; "" for a vocabulary alone
  std::string encoding;          // that most bytes of the weights are in; "" without weights
  std::int64_t imported_at = 0;  // seconds since 1970-01-01 UTC
  std::string source;            // the file it was imported from, or the address it was pulled from
  bool linked = false;           // the files stay where they were and belong to the user
  std::vector<StoredFile> files;
  std::optional<base::Digest> base = {};  // of an adapter: its base's; its encoding is "lora"
};

struct ImportRequest {
  std::filesystem::path file;       // a GGUF file, any part of a split one, or a directory
  std::string base = {};            // of an adapter: the model in the store that it is for
  std::optional<std::string> name;  // otherwise default_name()
  bool link = false;                // leave the files where they are
  bool give = false;                // nobody else uses the files, or will: they need no copy
  std::string source = {};          // what the record says it came from; "" for the file's own path
};

struct ImportOutcome {
  ModelRecord model;
  bool already_there = false;              // under this name, with this digest, unharmed
  std::vector<std::string> warnings = {};  // of an adapter's configuration, sentences
};

struct Removal {
  ModelRecord model;   // as it was
  bool files_deleted;  // no: the files are linked, or another name uses them
};

struct FileCheck {
  enum class State { intact, touched, changed, missing };
  std::filesystem::path path;
  State state = State::intact;  // touched: the same bytes, but another time or inode
  StoredFile recorded;
  FileFacts found;            // where it is not missing
  base::Digest found_digest;  // where it is not missing
};
std::string_view name(FileCheck::State state);

struct Verification {
  ModelRecord model;
  std::vector<FileCheck> files;
  bool intact() const;  // all intact or touched; the record of touched ones was brought up to date
};

struct ResolvedModel {
  std::string label;                  // as the user may call it: the name, the alias or the path
  std::filesystem::path file;         // the first part, or what open_model_file takes
  std::optional<ModelRecord> record;  // where it is in the store
  // Of an adapter, whose base `file` is then.
  struct Adapter {
    std::filesystem::path place;  // what read_adapter() takes
    ModelRecord base;
  };
  std::optional<Adapter> adapter = {};

  // Of the weights: of an adapter its base's. None where the file is not in the store.
  std::optional<base::Digest> weights_digest() const {
    if (adapter) return adapter->base.digest;
    return record ? std::optional(record->digest) : std::nullopt;
  }
};

// Safe on many threads, and with other processes on the same home. Errors are base::Error.
class ModelStore {
 public:
  // Nothing is read or created before the first use; only import_model creates the home folder.
  explicit ModelStore(std::filesystem::path home);

  // Checks the file (header, tokenizer, chat templates), digests it, places it and records it. At
  // any crash or failure there is either the whole model or none of it. A name that another model
  // has: already_exists. An adapter (a PEFT directory or a GGUF file) is checked against its base
  // and called BASE:NAME; all files of a directory are kept with it.
  ImportOutcome import_model(const ImportRequest& request, const ProgressSink& progress = {});

  std::vector<ModelRecord> list();  // by name
  std::optional<ModelRecord> find(std::string_view name);
  // Deletes the files too when no other name needs them, and never those of a linked model. A base
  // of adapters stays (invalid_argument).
  Removal remove(std::string_view name);
  // Reads every byte and compares with the record. Of the model's names all are brought up to date.
  Verification verify(std::string_view name, const ProgressSink& progress = {});

  // What a name or a path stands for. A path holds a '/', or is a file (or the directory of a
  // model) where no model has the name. Of a stored model size, time and inode are compared with
  // the record, and nothing is digested: a difference throws corrupt_file.
  // An alias stands for the model that it was moved to, whatever that is called now. An adapter
  // whose base is not in the store any more throws not_found.
  ResolvedModel resolve(std::string_view name_or_path);

  // Stable names for models. Every move is kept, and `record` (may be empty) is called in its
  // transaction. A name is an alias's or a model's own, never both (already_exists), and a model
  // that an alias stands for is not removed (invalid_argument). Unknown aliases: not_found.
  Alias set_alias(std::string_view name, std::string_view model, const std::string& by,
                  const AliasRecording& record = {});
  // Back to what it stood for before its last move, so that a second rollback undoes the first; or
  // to what it stood for after move `to`.
  Alias roll_back_alias(std::string_view name, std::optional<std::int64_t> to,
                        const std::string& by, const AliasRecording& record = {});
  Alias remove_alias(std::string_view name, const std::string& by,
                     const AliasRecording& record = {});
  std::vector<Alias> list_aliases();                            // by name
  std::vector<AliasMove> alias_history(std::string_view name);  // oldest first; of removed ones too

  const std::filesystem::path& home() const { return home_; }

 private:
  struct Candidate;
  Candidate examine(const ImportRequest& request);
  void examine_model(const ImportRequest& request, Candidate& candidate) const;
  void examine_adapter(const ImportRequest& request, Candidate& candidate);
  void digest_and_copy(Candidate& candidate, bool may_share, const ProgressSink& progress);
  std::optional<ImportOutcome> settle(Candidate& candidate);

  store::Database* database(bool create);  // null: there is none yet
  std::vector<ModelRecord> records(std::string_view condition, const store::Value& value);
  // The following need an open database; those that write, a transaction and the folder's lock.
  static bool needed(store::Database& database, const base::Digest& digest,
                     std::string_view except_name);
  void write_record(const ModelRecord& model);
  void write_files(const std::string& name, const ModelRecord& model);
  void write_files_of_all_names(const ModelRecord& model);
  base::Error not_found(std::string_view name);
  store::Database& writable_database(std::string_view name);
  std::optional<ModelRecord> model_of(const base::Digest& digest, std::string_view name);
  std::optional<ModelRecord> model_of_alias(std::string_view name);
  std::optional<ModelRecord> base_of(const ModelRecord& adapter);
  void refuse_removal_of_base(store::Database& database, const ModelRecord& model);
  void refuse_alias(std::string_view name);
  Alias move_alias(std::string_view name, std::string_view action, const ModelRecord& model,
                   const std::string& by, const AliasRecording& record);

  const std::filesystem::path home_;
  const ModelFolder folder_;
  std::mutex opening_;
  std::unique_ptr<store::Database> database_;
  std::string read_only_because_;  // what kept the database from being opened for writing
};

}  // namespace malina::platform
