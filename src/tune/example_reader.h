// Data sets as files hold them, row by row: never more than one row in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "tune/example.h"

namespace malina::tune {

// How rows follow each other.
enum class Syntax {
  json_lines,  // one JSON object a line
  json_array,  // one JSON array of objects
  delimited,   // CSV, TSV: a line of column names, then one record a row
};

// What a row says.
enum class Schema {
  chat,        // OpenAI's and TRL's "messages"
  completion,  // "prompt" and "completion": texts, or lists of messages
  text,        // "text" alone
  alpaca,      // "instruction", "input", "output", "system", "history"
  sharegpt,    // "conversations" of {"from", "value"}
  labelled,    // a text and its label, labels or slots
};

struct DatasetFormat {
  Syntax syntax = Syntax::json_lines;
  Schema schema = Schema::labelled;
  // Of delimited files. Fields may stand in quotes as RFC 4180 has it; a TSV file may have no
  // quoting at all, so that quotes are letters.
  char delimiter = ',';
  bool quoting = true;
  bool byte_order_mark = false;
  // Of the schema `labelled`: keys or column names; the last two may be empty.
  std::string text_key, label_key, slots_key;
};

// "CSV, text in 'utterance', label in 'intent'", "JSON lines, OpenAI chat".
std::string describe(const DatasetFormat& format);

struct ReadLimits {
  std::size_t row_bytes = std::size_t{4} << 20;
  std::size_t depth = 32;                         // of JSON in a row
  std::size_t row_values = std::size_t{1} << 17;  // of JSON in a row; columns of a table
};

struct ReadOptions {
  // Keys or column names of the text and of its label; empty: the usual names.
  std::string text, label;
  ReadLimits limits = {};
};

// A row that cannot be used.
struct DatasetError {
  RowPlace place;
  std::string what;  // one line, printable where the file's text is: "no key 'messages'"
};

using Row = std::variant<Example, DatasetError>;

class RowSplitter;
class RowParser;

// One owner. next() is of one thread; at() may be called by many at once.
class ExampleReader {
 public:
  // Looks at the beginning of the file to find its format. Throws base::Error: not_found, io,
  // invalid_argument (a directory; options that name no column), corrupt_file (empty, UTF-16),
  // unsupported (no format that this knows, or one it cannot train on: the message says what was
  // found).
  explicit ExampleReader(const std::filesystem::path& path, ReadOptions options = {});
  ExampleReader(ExampleReader&&) noexcept;
  ~ExampleReader();

  const DatasetFormat& format() const { return format_; }
  const base::File& file() const { return *file_; }

  // The next row, or nothing after the last one. A bad row is a DatasetError and reading goes on
  // with the next. Blank lines are no rows. Throws io, and corrupt_file where the file is cut short
  // meanwhile.
  std::optional<Row> next();
  std::uint64_t bytes_read() const;  // of the file, by next()
  void rewind();                     // next() begins anew

  // The row at a place that next() gave, read again. For readers in an order of their own, who keep
  // places and no rows. Throws as next() does.
  Row at(const RowPlace& place) const;
  // Its bytes as they stand in the file.
  std::string source(const RowPlace& place) const;
  // What stands before the first row: the column names of a table, with their line end; else "".
  std::string_view header() const { return header_; }

 private:
  std::unique_ptr<base::File> file_;
  ReadOptions options_;
  DatasetFormat format_;
  std::string header_;
  std::unique_ptr<RowSplitter> splitter_;
  std::unique_ptr<const RowParser> parser_;
};

}  // namespace malina::tune
