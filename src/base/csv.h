// Comma-separated values as RFC 4180 has them, a record at a time: files of any length, in little
// memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace malina::base {

struct CsvOptions {
  char separator = ',';  // neither a quote nor a line's end
  // A record that is longer is a problem of that record alone: it goes on with the next line.
  std::size_t most_record_bytes = std::size_t{4} << 20;
};

struct CsvRecord {
  std::vector<std::string> fields;   // unquoted; where there is a problem, as far as they were read
  std::uint64_t line = 0;            // on which it begins, from 1; quoted fields may have several
  std::uint64_t begin = 0, end = 0;  // its bytes in the input, with the line's end
  std::optional<std::string> problem;  // "text after the closing quote of field 3"
};

// Reads what `read` gives. Lines end with LF or CR LF; a mark of UTF-8 at the beginning and empty
// lines are passed over. Bytes are not checked to be UTF-8. What breaks the format is told as the
// record's problem, never thrown: the next record begins after the end of that line (after the end
// of the input where a quote is never closed). One owner, one thread.
class CsvReader {
 public:
  // Fills the buffer from its front with at least one byte and returns how many; 0: the end. What
  // it throws passes through next().
  using Read = std::function<std::size_t(std::span<char> buffer)>;

  explicit CsvReader(Read read, CsvOptions options = {});

  // False at the end of the input. Reuses the record's memory.
  bool next(CsvRecord& record);
  // How the first line ends (or the first of a quoted text); "\n" before anything was read.
  std::string_view line_end() const { return carriage_return_.value_or(false) ? "\r\n" : "\n"; }

 private:
  enum class State { field_begin, plain, quoted, quote_in_quoted, broken };

  int peek();  // the next byte, or -1
  int get();
  void skip_mark();
  bool skip_empty_lines();
  void parse(CsvRecord& record);
  State take(State state, char c, CsvRecord& record);

  Read read_;
  CsvOptions options_;
  std::string buffer_;
  std::size_t place_ = 0, filled_ = 0;
  std::uint64_t offset_ = 0, line_ = 1;
  bool ended_ = false, first_ = true;
  std::optional<bool> carriage_return_;  // at the end of the first line
};

// Of comma, semicolon and tab the one that the header has most of outside of quotes; a comma where
// it has none. `header`: the first line, or the beginning of the file.
char csv_separator(std::string_view header);

// A record as CsvReader reads it back: fields are quoted where they must be. `line_end`: "\r\n" is
// RFC 4180's own.
std::string csv_line(std::span<const std::string> fields, char separator = ',',
                     std::string_view line_end = "\r\n");

}  // namespace malina::base
