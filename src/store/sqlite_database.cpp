// SQLite 3 behind store::Database: write-ahead log and a full sync at every commit, so that what
// was reported as done survives a power cut; a sync that fails ends all writing; foreign schemas in
// the file are not trusted.
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>

#include "base/error.h"
#include "store/database.h"

namespace malina::store {

namespace {

using base::Error;
using base::Fault;

constexpr int kBusyMilliseconds = 10'000;
constexpr int kCheckpointPages = 1000;  // SQLite's own choice: 4 MB of log

Fault fault_of(int code) {
  switch (code & 0xFF) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Fault::io;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Fault::corrupt_file;
    case SQLITE_NOMEM:
      return Fault::out_of_memory;
    default:
      return Fault::internal;
  }
}

bool is_sync_failure(int code) {
  return code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC ||
         code == SQLITE_IOERR_TRUNCATE;
}

bool is_disk_full(int code, int system) {
  return (code & 0xFF) == SQLITE_FULL ||
         ((code & 0xFF) == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT));
}

struct CloseDatabase {
  void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

class SqliteDatabase final : public Database {
 public:
  SqliteDatabase(const std::filesystem::path& file, Access access,
                 std::span<const Migration> schema);

  std::vector<Row> query(std::string_view sql, std::initializer_list<Value> parameters) override;
  std::int64_t execute(std::string_view sql, std::initializer_list<Value> parameters) override;
  void transaction(const std::function<void()>& work) override;
  void nested(const std::function<void()>& work) override;
  void rewrite() override;
  std::string read_only_because() const override;

 private:
  [[noreturn]] void fail(std::string_view doing);
  std::string message_of(std::string_view doing) const;
  void note_sync_failure(std::string_view doing);
  void check_writable() const;
  static int after_commit(void* self, sqlite3* handle, const char* name, int pages);
  void script(const std::string& sql, std::string_view doing);
  sqlite3_stmt* prepare(std::string_view sql);
  void configure(Access access);
  void migrate(std::span<const Migration> schema);
  void check_version(std::span<const Migration> schema);

  const std::filesystem::path file_;
  std::recursive_mutex mutex_;  // `work` of a transaction calls query and execute
  std::unique_ptr<sqlite3, CloseDatabase> handle_;
  std::map<std::string, Statement, std::less<>> statements_;  // by their SQL; destroyed first
  bool in_transaction_ = false;
  std::exception_ptr lost_because_;  // SQLite itself has undone the transaction that is running
  mutable std::mutex reason_mutex_;  // never waits for a transaction, as `mutex_` does
  std::string read_only_because_;
};

// A statement in use: reset when it leaves scope, so that no read lock is left behind.
class Running {
 public:
  Running(sqlite3_stmt* statement, std::initializer_list<Value> parameters)
      : statement_(statement) {
    int index = 0;
    for (const Value& value : parameters) bind(++index, value);
  }
  ~Running() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  int step() { return sqlite3_step(statement_); }

  Row row() const {
    std::vector<Value> values;
    const int columns = sqlite3_column_count(statement_);
    values.reserve(static_cast<std::size_t>(columns));
    for (int i = 0; i < columns; ++i) values.push_back(column(i));
    return Row(std::move(values));
  }

 private:
  // The text is borrowed: it outlives the statement's run.
  void bind(int index, const Value& value) {
    if (const auto* integer = std::get_if<std::int64_t>(&value))
      sqlite3_bind_int64(statement_, index, *integer);
    else if (const auto* number = std::get_if<double>(&value))
      sqlite3_bind_double(statement_, index, *number);
    else if (const auto* text = std::get_if<std::string>(&value))
      sqlite3_bind_text64(statement_, index, text->data(), text->size(), SQLITE_STATIC,
                          SQLITE_UTF8);
    else
      sqlite3_bind_null(statement_, index);
  }

  Value column(int index) const {
    switch (sqlite3_column_type(statement_, index)) {
      case SQLITE_INTEGER:
        return sqlite3_column_int64(statement_, index);
      case SQLITE_FLOAT:
        return sqlite3_column_double(statement_, index);
      case SQLITE_NULL:
        return std::monostate{};
      default: {
        const auto* text = static_cast<const char*>(sqlite3_column_blob(statement_, index));
        const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, index));
        return size == 0 ? std::string() : std::string(text, size);
      }
    }
  }

  sqlite3_stmt* statement_;
};

// A path as a URI for sqlite3_open_v2: everything but plain characters is escaped.
std::string uri(const std::filesystem::path& file, std::string_view query) {
  std::string text = "file:";
  for (const char c : std::filesystem::absolute(file).string()) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '/' || c == '.' || c == '-' || c == '_';
    text += plain ? std::string(1, c) : fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  return text.append(query);
}

// Before SQLite creates it: what it puts beside a database (-wal, -shm) has that one's mode.
// Without a descriptor, whose closing would drop the locks of another connection of this process
// (POSIX).
void create_private(const std::filesystem::path& file) {
  constexpr mode_t kPrivate = S_IRUSR | S_IWUSR;
  if (::mknod(file.c_str(), S_IFREG | kPrivate, 0) == 0) ::chmod(file.c_str(), kPrivate);
}

SqliteDatabase::SqliteDatabase(const std::filesystem::path& file, Access access,
                               std::span<const Migration> schema)
    : file_(file) {
  // Immutable: in a folder where nothing can be created, SQLite could not make its shared memory. A
  // log with commits in it must be read all the same, and shared memory tells of a writer that may
  // be at work: its pages would change under an immutable reader.
  const bool write = access == Access::read_write;
  const auto holds = [&file](const char* ending, std::uintmax_t bytes) {
    std::error_code none;
    return std::filesystem::file_size(file.string() + ending, none) >= bytes && !none;
  };
  // Where the disk had no room for a whole first part of it (32 KiB, "WAL-mode File Format" 2.2),
  // shared memory serves nobody: one who tried to write has left it.
  constexpr std::uintmax_t kSharedMemoryPart = 32 * 1024;
  const bool log = holds("-wal", 1) || holds("-shm", kSharedMemoryPart);
  const std::string name = uri(file, write || log ? "" : "?immutable=1");
  const int flags = SQLITE_OPEN_URI | SQLITE_OPEN_FULLMUTEX |
                    (write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
  if (write) create_private(file);  // where that fails, opening says why
  sqlite3* handle = nullptr;
  const int result = sqlite3_open_v2(name.c_str(), &handle, flags, nullptr);
  handle_.reset(handle);
  if (result != SQLITE_OK) fail("open");
  configure(access);
  if (write) migrate(schema);
  check_version(schema);
}

void SqliteDatabase::configure(Access access) {
  sqlite3_extended_result_codes(handle_.get(), 1);
  sqlite3_busy_timeout(handle_.get(), kBusyMilliseconds);
  sqlite3_db_config(handle_.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle_.get(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle_.get(), SQLITE_DBCONFIG_ENABLE_FKEY, 1, nullptr);
  if (access == Access::read_only) return;
  script("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", "open");
  // SQLite's own hook would keep a failed sync of the database file to itself.
  sqlite3_wal_hook(handle_.get(), &SqliteDatabase::after_commit, this);
}

// The commit is durable already, in the log; that the log was not copied into the file is no
// failure of it, and is tried again, unless the disk did not take it.
int SqliteDatabase::after_commit(void* self, sqlite3* handle, const char* name, int pages) {
  if (pages < kCheckpointPages) return SQLITE_OK;
  const int result =
      sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (is_sync_failure(result))
    static_cast<SqliteDatabase*>(self)->note_sync_failure("write the log into");
  return SQLITE_OK;
}

// The number of the last migration is SQLite's own user_version, which is part of the transaction.
void SqliteDatabase::migrate(std::span<const Migration> schema) {
  const auto version = [this] { return query("PRAGMA user_version", {}).at(0).integer(0); };
  if (version() >= static_cast<std::int64_t>(schema.size())) return;
  transaction([&] {
    const std::int64_t done = version();  // another process may just have done it
    for (const Migration& migration : schema) {
      if (migration.number <= done) continue;
      script(std::string(migration.sql), fmt::format("apply {} to", migration.name));
      script(fmt::format("PRAGMA user_version = {}", migration.number), "migrate");
    }
  });
}

void SqliteDatabase::check_version(std::span<const Migration> schema) {
  if (schema.empty()) return;
  const std::int64_t version = query("PRAGMA user_version", {}).at(0).integer(0);
  const auto known = static_cast<std::int64_t>(schema.size());
  if (version == known) return;
  throw Error(
      Fault::unsupported,
      fmt::format("{}: the database has schema version {}, but this program knows {}{}",
                  file_.string(), version, known,
                  version > known
                      ? "; use the newer program that wrote it"
                      : "; 'malina list' brings it up to date, by a user who may write it"));
}

std::string SqliteDatabase::message_of(std::string_view doing) const {
  const int code = handle_ ? sqlite3_errcode(handle_.get()) : SQLITE_NOMEM;
  std::string message = handle_ ? sqlite3_errmsg(handle_.get()) : "out of memory";
  // "disk I/O error" alone does not tell a full disk from a broken one.
  const int system = handle_ ? sqlite3_system_errno(handle_.get()) : 0;
  if (is_disk_full(code, system))
    message = "disk full";
  else if (fault_of(code) == Fault::io && system != 0)
    message.append(" (").append(std::strerror(system)).append(")");
  return fmt::format("cannot {} the database {}: {}", doing, file_.string(), message);
}

void SqliteDatabase::fail(std::string_view doing) {
  const int code = handle_ ? sqlite3_errcode(handle_.get()) : SQLITE_NOMEM;
  const std::string message = message_of(doing);
  if (is_sync_failure(code)) {
    note_sync_failure(doing);
    throw StorageError(StorageError::Kind::sync_failed, message);
  }
  if (handle_ && is_disk_full(code, sqlite3_system_errno(handle_.get())))
    throw StorageError(StorageError::Kind::disk_full, message);
  throw Error(fault_of(code), message);
}

void SqliteDatabase::note_sync_failure(std::string_view doing) {
  const std::scoped_lock lock(reason_mutex_);
  if (!read_only_because_.empty()) return;
  read_only_because_ = message_of(doing) +
                       "; nothing more is written until the program is started again, since what "
                       "the disk holds is not known";
}

std::string SqliteDatabase::read_only_because() const {
  const std::scoped_lock lock(reason_mutex_);
  return read_only_because_;
}

void SqliteDatabase::check_writable() const {
  if (lost_because_) std::rethrow_exception(lost_because_);
  const std::string reason = read_only_because();
  if (!reason.empty()) throw StorageError(StorageError::Kind::sync_failed, reason);
}

void SqliteDatabase::script(const std::string& sql, std::string_view doing) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail(doing);
}

sqlite3_stmt* SqliteDatabase::prepare(std::string_view sql) {
  if (const auto found = statements_.find(sql); found != statements_.end())
    return found->second.get();
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK)
    fail("read");
  return statements_.emplace(std::string(sql), Statement(statement)).first->second.get();
}

std::vector<Row> SqliteDatabase::query(std::string_view sql,
                                       std::initializer_list<Value> parameters) {
  const std::scoped_lock lock(mutex_);
  Running running(prepare(sql), parameters);
  std::vector<Row> rows;
  int result;
  while ((result = running.step()) == SQLITE_ROW) rows.push_back(running.row());
  if (result != SQLITE_DONE) fail("read");
  return rows;
}

std::int64_t SqliteDatabase::execute(std::string_view sql,
                                     std::initializer_list<Value> parameters) {
  const std::scoped_lock lock(mutex_);
  check_writable();
  Running running(prepare(sql), parameters);
  int result;
  while ((result = running.step()) == SQLITE_ROW) {
  }
  if (result != SQLITE_DONE) fail("write to");
  return sqlite3_changes64(handle_.get());
}

void SqliteDatabase::transaction(const std::function<void()>& work) {
  const std::scoped_lock lock(mutex_);
  if (in_transaction_) throw Error(Fault::internal, "a transaction was begun inside another one");
  check_writable();
  script("BEGIN IMMEDIATE", "write to");
  in_transaction_ = true;
  const auto end = [this] {
    in_transaction_ = false;
    lost_because_ = nullptr;
  };
  try {
    work();
    check_writable();
    script("COMMIT", "write to");
  } catch (...) {
    // Some failures (a full disk) have already rolled back; then this one has nothing to do.
    sqlite3_exec(handle_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    end();
    throw;
  }
  end();
}

void SqliteDatabase::nested(const std::function<void()>& work) {
  const std::scoped_lock lock(mutex_);
  if (!in_transaction_) throw Error(Fault::internal, "a part of a transaction has no transaction");
  check_writable();
  script("SAVEPOINT part", "write to");
  try {
    work();
    script("RELEASE part", "write to");
  } catch (...) {
    const bool undone = sqlite3_get_autocommit(handle_.get()) == 0 &&
                        sqlite3_exec(handle_.get(), "ROLLBACK TO part; RELEASE part", nullptr,
                                     nullptr, nullptr) == SQLITE_OK;
    if (!undone) lost_because_ = std::current_exception();
    throw;
  }
}

// The first page, with the number that it has.
void SqliteDatabase::rewrite() {
  const std::scoped_lock lock(mutex_);
  check_writable();
  const std::int64_t version = query("PRAGMA user_version", {}).at(0).integer(0);
  script(fmt::format("PRAGMA user_version = {}", version), "write to");
}

}  // namespace

std::unique_ptr<Database> open_sqlite(const std::filesystem::path& file, Access access,
                                      std::span<const Migration> schema) {
  return std::make_unique<SqliteDatabase>(file, access, schema);
}

}  // namespace malina::store
