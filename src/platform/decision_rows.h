// Rows of a table of texts, one after another: CSV, TSV or JSON lines.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/csv.h"

namespace malina::platform {

enum class TableFormat { csv, tsv, json_lines };
// By the name's ending: .csv, .tsv, .jsonl, .ndjson; nullopt for another.
std::optional<TableFormat> table_format(std::string_view file_name);

struct TableRow {
  std::string text;                 // to decide about
  std::string problem;              // why there is none; "" where there is
  std::vector<std::string> fields;  // of CSV: as many as the header has
  nlohmann::ordered_json json;      // of JSON lines: the object; null where it is none
  std::string raw;                  // of JSON lines: the line, where it is no object
  std::uint64_t line = 0;
  std::uint64_t end = 0;  // bytes of the input up to here
};

// What a table's rows are written as. One owner, one thread.
class TableReader {
 public:
  virtual ~TableReader() = default;
  virtual bool next(TableRow& row) = 0;  // false at the end
  // The header with these columns, as a line; "" where the format has none.
  virtual std::string header_line(std::span<const std::string> added) const = 0;
  // The row with what is added, in the header's order.
  virtual std::string line_of(
      const TableRow& row,
      std::span<const std::pair<std::string, nlohmann::ordered_json>> added) const = 0;
  // Columns that the table has already; of JSON lines none is known.
  virtual std::span<const std::string> columns() const = 0;
  // Of a table that was written with header_line() and line_of(): the whole rows at its beginning,
  // without the header, and the bytes that they and the header have. A header that is another:
  // nullopt.
  struct Written {
    std::uint64_t rows = 0, bytes = 0;
  };
  virtual std::optional<Written> whole_rows(base::CsvReader::Read read,
                                            std::span<const std::string> added) const = 0;
};

// `column`: the one with the texts; "": the one named text, or the only one (of JSON lines: text or
// input). Reads the header; throws base::Error(invalid_argument) where the column is not there or
// there is no header, naming those there are. `name`: of the input, for messages.
std::unique_ptr<TableReader> read_table(TableFormat format, base::CsvReader::Read read,
                                        const std::string& column, const std::string& name);

}  // namespace malina::platform
