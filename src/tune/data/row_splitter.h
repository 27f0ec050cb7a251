// Cuts a file into the text of its rows, and finds the next row after a broken one.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "tune/data/byte_stream.h"
#include "tune/example_reader.h"

namespace malina::tune {

struct RawRow {
  RowPlace place;
  std::string text;   // empty where there is a fault
  std::string fault;  // why the row cannot be cut out; "" where it can
};

// One owner, one thread.
class RowSplitter {
 public:
  RowSplitter(const base::File& file, ByteStream::Place start, const ReadLimits& limits)
      : stream_(file, start), start_(start), limits_(limits) {}
  virtual ~RowSplitter() = default;

  virtual std::optional<RawRow> next() = 0;
  virtual void rewind() { stream_.seek(start_); }
  ByteStream::Place place() const { return stream_.place(); }

 protected:
  RawRow begin_row() const {
    const auto at = stream_.place();
    return {{at.line, at.offset, 0}, {}, {}};
  }
  // Adds a byte while the row is within its limit.
  bool add(RawRow& row, int byte) const {
    if (row.text.size() >= limits_.row_bytes) return false;
    row.text.push_back(static_cast<char>(byte));
    return true;
  }
  std::string too_long() const;

  ByteStream stream_;
  const ByteStream::Place start_;
  const ReadLimits limits_;
};

// `start`: after the byte order mark, and of a table after the column names.
std::unique_ptr<RowSplitter> make_splitter(const DatasetFormat& format, const base::File& file,
                                           ByteStream::Place start, const ReadLimits& limits);

}  // namespace malina::tune
