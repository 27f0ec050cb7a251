#include "platform/decision_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/json_text.h"
#include "base/near_match.h"
#include "base/quote.h"

namespace malina::platform {

using base::CsvReader;
using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::size_t kMostRowBytes = std::size_t{4} << 20;
constexpr std::string_view kMark = "\xEF\xBB\xBF";

using Added = std::span<const std::pair<std::string, Json>>;

// What was read to find the separator comes first again.
CsvReader::Read after(std::string beginning, CsvReader::Read read) {
  return [beginning = std::move(beginning), read = std::move(read),
          place = std::size_t{0}](std::span<char> buffer) mutable -> std::size_t {
    if (place == beginning.size()) return read(buffer);
    const std::size_t count = std::min(buffer.size(), beginning.size() - place);
    std::copy_n(beginning.begin() + static_cast<std::ptrdiff_t>(place), count, buffer.begin());
    place += count;
    return count;
  };
}

std::string first_line(const CsvReader::Read& read) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (text.find('\n') == text.npos && text.size() < (std::size_t{1} << 20)) {
    const std::size_t count = read(buffer);
    if (count == 0) break;
    text.append(buffer.data(), count);
  }
  return text;
}

std::string field_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "";
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

class CsvTable final : public TableReader {
 public:
  CsvTable(CsvReader::Read read, char separator, const std::string& column, const std::string& name)
      : separator_(separator),
        reader_(std::move(read), {.separator = separator, .most_record_bytes = kMostRowBytes}) {
    base::CsvRecord header;
    if (!reader_.next(header))
      throw Error(Fault::invalid_argument, name + ": it is empty; a first line names the columns");
    if (header.problem)
      throw Error(Fault::invalid_argument, fmt::format("{}: line 1: {}", name, *header.problem));
    columns_ = header.fields;
    column_ = find(column, name);
  }

  bool next(TableRow& row) override;
  std::string header_line(std::span<const std::string> added) const override {
    std::vector<std::string> names = columns_;
    names.insert(names.end(), added.begin(), added.end());
    return base::csv_line(names, separator_, reader_.line_end());
  }
  std::string line_of(const TableRow& row, Added added) const override {
    std::vector<std::string> fields = row.fields;
    for (const auto& [name, value] : added) fields.push_back(field_of(value));
    return base::csv_line(fields, separator_, reader_.line_end());
  }
  std::span<const std::string> columns() const override { return columns_; }
  std::optional<Written> whole_rows(CsvReader::Read read,
                                    std::span<const std::string> added) const override;

 private:
  std::size_t find(const std::string& column, const std::string& name) const;

  char separator_;
  CsvReader reader_;
  base::CsvRecord record_;
  std::vector<std::string> columns_;
  std::size_t column_ = 0;
};

std::size_t CsvTable::find(const std::string& column, const std::string& name) const {
  if (column.empty() && columns_.size() == 1) return 0;
  const auto found = std::ranges::find(columns_, column.empty() ? "text" : column);
  if (found != columns_.end()) return static_cast<std::size_t>(found - columns_.begin());
  std::string names;
  for (const std::string& each : columns_)
    names += (names.empty() ? "" : ", ") + base::in_quotes(each);
  throw Error(
      Fault::invalid_argument,
      column.empty()
          ? fmt::format("{}: which column has the texts? There are {}", name, names)
          : fmt::format("{}: there is no column {}{}; there are {}", name, base::in_quotes(column),
                        base::did_you_mean(column, columns_), names));
}

bool CsvTable::next(TableRow& row) {
  if (!reader_.next(record_)) return false;
  row = {};
  row.line = record_.line;
  row.end = record_.end;
  const std::size_t count = record_.fields.size();
  if (record_.problem)
    row.problem = fmt::format("line {}: {}", row.line, *record_.problem);
  else if (count != columns_.size())
    row.problem =
        fmt::format("line {}: {} fields where the header has {}", row.line, count, columns_.size());
  row.fields = record_.fields;
  row.fields.resize(columns_.size());
  if (row.problem.empty()) row.text = row.fields[column_];
  return true;
}

std::optional<TableReader::Written> CsvTable::whole_rows(CsvReader::Read read,
                                                         std::span<const std::string> added) const {
  char last = '\n';
  CsvReader reader(
      [&](std::span<char> buffer) {
        const std::size_t count = read(buffer);
        if (count > 0) last = buffer[count - 1];
        return count;
      },
      {.separator = separator_, .most_record_bytes = 2 * kMostRowBytes});
  Written written;
  base::CsvRecord record;
  bool header = true;
  std::uint64_t last_begin = 0;
  bool all = true;
  while (reader.next(record)) {
    all = !record.problem && record.fields.size() == columns_.size() + added.size();
    if (!all) break;
    if (header) {
      const std::string line = base::csv_line(record.fields, separator_, reader_.line_end());
      if (line != header_line(added)) return std::nullopt;
    }
    last_begin = record.begin;
    written.rows += header ? 0 : 1;
    written.bytes = record.end;
    header = false;
  }
  // A last record without its end may lack a part of its last field, too.
  if (all && last != '\n' && written.bytes > 0) {
    written.rows -= written.rows > 0 ? 1 : 0;
    written.bytes = last_begin;
  }
  return written;
}

class JsonLines final : public TableReader {
 public:
  JsonLines(CsvReader::Read read, std::string column)
      : read_(std::move(read)), column_(std::move(column)) {}

  bool next(TableRow& row) override;
  std::string header_line(std::span<const std::string>) const override { return ""; }
  std::string line_of(const TableRow& row, Added added) const override;
  std::span<const std::string> columns() const override { return {}; }
  std::optional<Written> whole_rows(CsvReader::Read read,
                                    std::span<const std::string> added) const override;

 private:
  // A line without its end; false at the end of the input. `whole`: it had its end.
  bool read_line(std::string& line, bool& whole, bool& too_long);
  void parse(std::string line, TableRow& row) const;

  CsvReader::Read read_;
  std::string column_;
  std::string buffer_ = std::string(std::size_t{64} << 10, '\0');
  std::size_t place_ = 0, filled_ = 0;
  std::uint64_t offset_ = 0, line_ = 0;
};

bool JsonLines::read_line(std::string& line, bool& whole, bool& too_long) {
  line.clear();
  whole = too_long = false;
  bool any = false;
  while (!whole) {
    if (place_ == filled_) {
      place_ = 0;
      filled_ = read_(std::span(buffer_));
      if (filled_ == 0) break;
    }
    const auto begin = buffer_.begin() + static_cast<std::ptrdiff_t>(place_);
    const auto stop = buffer_.begin() + static_cast<std::ptrdiff_t>(filled_);
    const auto end = std::find(begin, stop, '\n');
    any = true;
    whole = end != stop;
    too_long = too_long || line.size() + static_cast<std::size_t>(end - begin) > kMostRowBytes;
    if (!too_long) line.append(begin, end);
    const auto taken = static_cast<std::size_t>(end - begin) + (whole ? 1 : 0);
    place_ += taken;
    offset_ += taken;
  }
  if (any) ++line_;
  if (line.ends_with('\r')) line.pop_back();
  return any;
}

bool JsonLines::next(TableRow& row) {
  std::string line;
  bool whole = false;
  bool too_long = false;
  do {
    if (!read_line(line, whole, too_long)) return false;
    if (line_ == 1 && line.starts_with(kMark)) line.erase(0, kMark.size());
  } while (!too_long && line.find_first_not_of(" \t") == line.npos);
  row = {};
  row.line = line_;
  row.end = offset_;
  if (too_long)
    row.problem = fmt::format("line {}: it is longer than {} bytes", line_, kMostRowBytes);
  else
    parse(std::move(line), row);
  return true;
}

void JsonLines::parse(std::string line, TableRow& row) const {
  const auto wrong = [&](std::string what) {
    row.problem = fmt::format("line {}: {}", line_, what);
  };
  try {
    row.json = base::parse_json<Json>(line, fmt::format("line {}", line_),
                                      {.bytes = kMostRowBytes, .members = 4096});
  } catch (const Error& error) {
    row.problem = error.what();
    row.raw = std::move(line);
    return;
  }
  if (!row.json.is_object()) {
    row.json = nullptr;
    row.raw = std::move(line);
    return wrong("it is no JSON object");
  }
  const std::string name = !column_.empty()            ? column_
                           : row.json.contains("text") ? "text"
                                                       : "input";
  const auto text = row.json.find(name);
  if (text == row.json.end())
    return wrong(column_.empty() ? "it has neither a member 'text' nor 'input' (--column)"
                                 : fmt::format("it has no member {}", base::in_quotes(name)));
  if (!text->is_string()) return wrong(fmt::format("{} is no text", base::in_quotes(name)));
  row.text = text->get<std::string>();
}

std::string JsonLines::line_of(const TableRow& row, Added added) const {
  Json json = row.json.is_object() ? row.json : Json::object();
  if (!row.json.is_object()) json["line"] = row.raw;
  for (const auto& [name, value] : added) {
    std::string key = name;  // what the row has itself stays
    while (row.json.is_object() && row.json.contains(key)) key = "decision_" + key;
    json[key] = value;
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<TableReader::Written> JsonLines::whole_rows(
    CsvReader::Read read, std::span<const std::string> added) const {
  JsonLines lines(std::move(read), "");
  Written written;
  std::string line;
  bool whole = false;
  bool too_long = false;
  while (lines.read_line(line, whole, too_long) && whole) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object() ||
        !std::ranges::all_of(added, [&](const auto& name) { return json.contains(name); }))
      break;
    ++written.rows;
    written.bytes = lines.offset_;
  }
  return written;
}

}  // namespace

std::optional<TableFormat> table_format(std::string_view file_name) {
  if (file_name.ends_with(".csv")) return TableFormat::csv;
  if (file_name.ends_with(".tsv")) return TableFormat::tsv;
  if (file_name.ends_with(".jsonl") || file_name.ends_with(".ndjson"))
    return TableFormat::json_lines;
  return std::nullopt;
}

std::unique_ptr<TableReader> read_table(TableFormat format, CsvReader::Read read,
                                        const std::string& column, const std::string& name) {
  if (format == TableFormat::json_lines)
    return std::make_unique<JsonLines>(std::move(read), column);
  std::string beginning = first_line(read);
  const char separator = format == TableFormat::tsv ? '\t' : base::csv_separator(beginning);
  return std::make_unique<CsvTable>(after(std::move(beginning), std::move(read)), separator, column,
                                    name);
}

}  // namespace malina::platform
