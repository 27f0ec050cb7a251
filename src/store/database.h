// The records of the program. SQL is kept to what SQLite and PostgreSQL both understand: parameters
// are ?1, ?2, ... and every value is an integer, a number, a text or null.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace malina::store {

using Value = std::variant<std::monostate, std::int64_t, double, std::string>;

// One row of an answer. Asking for another type than the column has throws base::Error(internal).
class Row {
 public:
  explicit Row(std::vector<Value> values) : values_(std::move(values)) {}
  bool is_null(std::size_t column) const;
  std::int64_t integer(std::size_t column) const;
  double number(std::size_t column) const;
  const std::string& text(std::size_t column) const;

 private:
  std::vector<Value> values_;
};

struct Migration {
  int number;  // 1, 2, ... without gaps
  std::string_view name, sql;
};
// The files of store/schema, in order.
std::span<const Migration> migrations();

// A failure of the storage beneath a database, for those who must know which. Its fault is io.
class StorageError : public base::Error {
 public:
  enum class Kind {
    disk_full,   // nothing was changed; the next try may succeed
    sync_failed  // what is on the disk is not known any more: see Database::read_only_because()
  };
  StorageError(Kind kind, const std::string& message)
      : base::Error(base::Fault::io, message), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

// Safe on many threads; one statement or transaction runs at a time. Failures throw base::Error: io
// (disk full, not writable), corrupt_file (not a database, damaged, or made by a newer program).
class Database {
 public:
  virtual ~Database() = default;
  virtual std::vector<Row> query(std::string_view sql,
                                 std::initializer_list<Value> parameters = {}) = 0;
  // Returns the number of rows changed.
  virtual std::int64_t execute(std::string_view sql,
                               std::initializer_list<Value> parameters = {}) = 0;
  // Runs `work` in one transaction, which is durable when this returns and undone when `work`
  // throws. It takes the write lock first, so what `work` reads stays true until it is committed.
  // Not nested.
  virtual void transaction(const std::function<void()>& work) = 0;
  // Within a transaction: runs `work`, and undoes what it alone did when it throws. Where the
  // whole transaction is undone with it (a full disk), what follows in it throws the same.
  virtual void nested(const std::function<void()>& work) = 0;
  // Within a transaction: writes something that changes nothing, to learn whether it can.
  virtual void rewrite() = 0;
  // Why this connection writes no more until it is opened again, or "" while it does. A sync that
  // failed is not tried again: the system forgets what it could not write and reports success the
  // next time, so that only a new start, which reads what is truly there, can tell what was lost.
  virtual std::string read_only_because() const = 0;
};

enum class Access { read_write, read_only };

// Opens the SQLite 3 database `file` and, unless read only, creates it (mode 0600, whatever the
// umask) and brings its schema up to date. read_only is for a folder that this user may not write
// to; it assumes that nobody else does. Where `schema` is empty a file of any version is read.
std::unique_ptr<Database> open_sqlite(const std::filesystem::path& file, Access access,
                                      std::span<const Migration> schema = migrations());

}  // namespace malina::store
