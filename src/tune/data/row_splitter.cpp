#include "tune/data/row_splitter.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace malina::tune {

namespace {

bool is_space(int byte) { return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n'; }

RawRow with_fault(RawRow row, std::string fault, const ByteStream::Place& end) {
  row.place.bytes = end.offset - row.place.offset;
  row.text.clear();
  row.fault = std::move(fault);
  return row;
}

// The row's end is where its text ends; a carriage return belongs to the line's end.
RawRow complete(RawRow row) {
  if (row.text.ends_with('\r')) row.text.pop_back();
  row.place.bytes = row.text.size();
  return row;
}

class LineSplitter final : public RowSplitter {
 public:
  using RowSplitter::RowSplitter;

  std::optional<RawRow> next() override {
    while (stream_.peek() != ByteStream::kEnd) {
      RawRow row = begin_row();
      while (stream_.peek() != ByteStream::kEnd) {
        const int byte = stream_.take();
        if (byte == '\n') break;
        if (add(row, byte)) continue;
        stream_.skip_line();
        return with_fault(std::move(row), too_long(), stream_.place());
      }
      if (row.text.find_first_not_of(" \t\r") != std::string::npos) return complete(std::move(row));
    }
    return std::nullopt;
  }
};

// RFC 4180: a field that begins with a quote ends with the next one that is not doubled, and may
// hold line ends. What stands between that quote and the next delimiter is for the parser to blame.
class RecordSplitter final : public RowSplitter {
 public:
  RecordSplitter(char delimiter, const base::File& file, ByteStream::Place start,
                 const ReadLimits& limits)
      : RowSplitter(file, start, limits), delimiter_(delimiter) {}

  std::optional<RawRow> next() override {
    while (stream_.peek() != ByteStream::kEnd) {
      RawRow row = read_record();
      if (!row.fault.empty()) return row;
      if (row.text.find_first_not_of(" \r") != std::string::npos) return complete(std::move(row));
    }
    return std::nullopt;
  }

 private:
  RawRow read_record() {
    RawRow row = begin_row();
    bool quoted = false, field_begins = true;
    while (stream_.peek() != ByteStream::kEnd) {
      const int byte = stream_.take();
      if (byte == '\n' && !quoted) return row;
      if (!add(row, byte)) return abandon(std::move(row), quoted);
      if (byte == '"' && (quoted || field_begins)) {
        // A doubled quote ends the field and begins it anew: the same for finding the record's end.
        quoted = !quoted;
        field_begins = !quoted;
        continue;
      }
      field_begins = !quoted && byte == delimiter_;
    }
    return quoted ? abandon(std::move(row), true) : row;
  }

  // What follows an open quote may be good rows: only the first line is given up.
  RawRow abandon(RawRow row, bool quoted) {
    if (quoted) stream_.seek({row.place.offset, row.place.line});
    stream_.skip_line();
    return with_fault(std::move(row),
                      quoted ? "a quote that this row opens is never closed" : too_long(),
                      stream_.place());
  }

  const char delimiter_;
};

// One array of objects. A row ends where its brackets do; after a broken one the next row is sought
// at the next line that begins as the broken row began.
class ArraySplitter final : public RowSplitter {
 public:
  using RowSplitter::RowSplitter;

  void rewind() override {
    RowSplitter::rewind();
    state_ = State::before_array;
  }

  std::optional<RawRow> next() override {
    while (true) {
      skip_spaces();
      const int byte = stream_.peek();
      switch (state_) {
        case State::before_array:  // detection saw the bracket
          stream_.take();
          state_ = State::before_first;
          continue;
        case State::before_first:
        case State::before_row:
          if (byte == ']' || byte == ByteStream::kEnd) {
            if (state_ == State::before_first || byte == ByteStream::kEnd) break;
            return separator_fault("a comma stands before the end of the array");
          }
          state_ = State::after_row;
          return read_row();
        case State::after_row:
          if (byte == ',') {
            stream_.take();
            state_ = State::before_row;
            continue;
          }
          if (byte == ']' || byte == ByteStream::kEnd) break;
          state_ = State::before_row;
          if (byte == '{') return separator_fault("a comma is missing before this row");
          return separator_fault("this is neither a comma nor the end of the array", true);
        case State::done:
          return std::nullopt;
        case State::after_array:
          break;
      }
      if (auto fault = finish()) return fault;
    }
  }

 private:
  enum class State { before_array, before_first, before_row, after_row, after_array, done };

  void skip_spaces() {
    while (is_space(stream_.peek())) stream_.take();
  }

  RawRow separator_fault(std::string fault, bool skip_line = false) {
    RawRow row = begin_row();
    if (skip_line) stream_.skip_line();
    if (stream_.peek() == ']') {
      stream_.take();
      state_ = State::after_array;
    }
    return with_fault(std::move(row), std::move(fault), stream_.place());
  }

  // At the end of the array, of the file, or after the array.
  std::optional<RawRow> finish() {
    RawRow row = begin_row();
    if (state_ == State::after_array) {
      state_ = State::done;
      if (stream_.peek() == ByteStream::kEnd) return std::nullopt;
      return with_fault(std::move(row), "text follows the end of the array", stream_.place());
    }
    if (stream_.take() == ']') {
      state_ = State::after_array;
      return std::nullopt;
    }
    state_ = State::done;
    return with_fault(std::move(row), "the file ends before the array does", stream_.place());
  }

  RawRow read_row() {
    RawRow row = begin_row();
    std::string open;  // the brackets that are to come
    bool quoted = false;
    while (true) {
      const int byte = stream_.peek();
      if (byte == ByteStream::kEnd)
        return open.empty() && !quoted ? trimmed(std::move(row))
                                       : abandon(std::move(row), "the file ends inside this row");
      if (open.empty() && !quoted && (byte == ',' || byte == ']' || is_space(byte)))
        return trimmed(std::move(row));
      if (!add(row, byte)) return abandon(std::move(row), too_long());
      stream_.take();
      if (quoted) {
        if (byte == '\n') return abandon(std::move(row), "a string is not closed on its line");
        if (byte == '\\' && stream_.peek() != ByteStream::kEnd && stream_.peek() != '\n')
          add(row, stream_.take());
        quoted = byte != '"';
        continue;
      }
      if (byte == '"') quoted = true;
      if (byte == '{' || byte == '[') open.push_back(byte == '{' ? '}' : ']');
      if (open.size() > limits_.depth)
        return abandon(std::move(row),
                       fmt::format("its values are nested more than {} deep, or a bracket is not "
                                   "closed",
                                   limits_.depth));
      if (byte != '}' && byte != ']') continue;
      if (open.empty() || open.back() != static_cast<char>(byte))
        return abandon(std::move(row), fmt::format("'{}' closes nothing", static_cast<char>(byte)));
      open.pop_back();
      if (open.empty()) return trimmed(std::move(row));
    }
  }

  static RawRow trimmed(RawRow row) {
    row.text.erase(row.text.find_last_not_of(" \t\r\n") + 1);
    row.place.bytes = row.text.size();
    return row;
  }

  RawRow abandon(RawRow row, std::string fault) {
    const std::uint64_t column = column_of(row.place.offset);
    stream_.seek({row.place.offset, row.place.line});
    state_ = State::before_row;
    while (true) {
      stream_.skip_line();
      const auto line = stream_.place();
      while (stream_.peek() == ' ' || stream_.peek() == '\t') stream_.take();
      const int byte = stream_.peek();
      if (byte == ByteStream::kEnd) break;
      if (byte == '{' && stream_.place().offset - line.offset == column) break;
      // The bracket of the array stands further left than its rows.
      if (byte == ']' && stream_.place().offset - line.offset < column) {
        state_ = State::after_row;
        break;
      }
    }
    if (stream_.peek() == ByteStream::kEnd) state_ = State::done;
    return with_fault(std::move(row), std::move(fault), stream_.place());
  }

  // How far from the beginning of its line.
  std::uint64_t column_of(std::uint64_t offset) {
    const auto here = stream_.place();
    std::uint64_t column = 0;
    // Rows are indented by a few spaces; what stands further right has no line of its own.
    constexpr std::uint64_t kFurthest = 64;
    for (; column < kFurthest && column < offset; ++column) {
      stream_.seek({offset - column - 1, here.line});
      if (stream_.peek() == '\n') break;
    }
    stream_.seek(here);
    return column;
  }

  State state_ = State::before_array;
};

}  // namespace

std::string RowSplitter::too_long() const {
  return fmt::format("it is longer than {} bytes", limits_.row_bytes);
}

std::unique_ptr<RowSplitter> make_splitter(const DatasetFormat& format, const base::File& file,
                                           ByteStream::Place start, const ReadLimits& limits) {
  if (format.syntax == Syntax::json_array)
    return std::make_unique<ArraySplitter>(file, start, limits);
  if (format.syntax == Syntax::delimited && format.quoting)
    return std::make_unique<RecordSplitter>(format.delimiter, file, start, limits);
  return std::make_unique<LineSplitter>(file, start, limits);
}

}  // namespace malina::tune
