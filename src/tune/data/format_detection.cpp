#include "tune/data/format_detection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <set>
#include <span>
#include <utility>

#include "base/ascii.h"
#include "base/error.h"
#include "base/near_match.h"
#include "base/text_file.h"
#include "tune/data/plain_text.h"
#include "tune/data/row_parser.h"
#include "tune/data/row_splitter.h"

namespace malina::tune {

using Json = nlohmann::ordered_json;

namespace {

using base::Error;
using base::Fault;

constexpr std::size_t kSampledRows = 200;
constexpr std::size_t kMostKeys = 1024;  // of all sampled rows together
constexpr std::uint64_t kSampledBytes = std::uint64_t{4} << 20;

// In the order of preference where a row has several.
constexpr std::array<std::string_view, 19> kTextNames{
    "text",    "utterance", "sentence", "query",    "question",  "input",     "message",
    "content", "body",      "comment",  "review",   "narrative", "complaint", "description",
    "title",   "document",  "request",  "headline", "abstract"};
constexpr std::array<std::string_view, 15> kLabelNames{
    "label", "labels", "category",  "categories", "intent", "class",      "target", "topic",
    "tag",   "tags",   "sentiment", "department", "output", "label_text", "product"};
constexpr std::array<std::string_view, 3> kSlotNames{"slots", "entities", "spans"};

struct Sample {
  std::vector<Json> rows;
  std::string first_fault;
  std::uint64_t first_fault_line = 0;
  std::size_t faults = 0;
};

Sample sample_rows(const DatasetFormat& format, const std::vector<std::string>& columns,
                   const base::File& file, ByteStream::Place start, const ReadLimits& limits,
                   std::size_t most) {
  Sample sample;
  const auto splitter = make_splitter(format, file, start, limits);
  const RowParser parser(format, columns, limits);
  const auto fault = [&](const RawRow& row, const std::string& what) {
    if (sample.faults++ > 0) return;
    sample.first_fault = what;
    sample.first_fault_line = row.place.line;
  };
  while (sample.rows.size() + sample.faults < most &&
         splitter->place().offset < start.offset + kSampledBytes) {
    const auto row = splitter->next();
    if (!row) break;
    if (!row->fault.empty()) {
      fault(*row, row->fault);
      continue;
    }
    try {
      sample.rows.push_back(parser.object(row->text));
    } catch (const BadRow& bad) {
      fault(*row, bad.what);
    }
  }
  return sample;
}

std::string beginning_of(const base::File& file) { return base::read_text(file, 4096); }

// Files of other programs, told by their first bytes.
void refuse_foreign(const base::File& file, std::string_view text) {
  using namespace std::string_view_literals;
  if (text.starts_with("\xff\xfe"sv) || text.starts_with("\xfe\xff"sv))
    throw Error(Fault::corrupt_file,
                file.name() + " is UTF-16 text: save it as UTF-8, which data sets are read as");
  static constexpr std::pair<std::string_view, std::string_view> kKinds[]{
      {"\x1f\x8b"sv, "compressed by gzip: unpack it first"},
      {"\x28\xb5\x2f\xfd"sv, "compressed by zstd: unpack it first"},
      {"PK\x03\x04"sv, "a ZIP archive or a spreadsheet: save the table as CSV in UTF-8"},
      {"\xd0\xcf\x11\xe0"sv, "a spreadsheet of an old form: save the table as CSV in UTF-8"},
      {"PAR1"sv, "a Parquet file: export it as JSON lines or CSV"},
      {"ARROW1"sv, "an Arrow file: export it as JSON lines or CSV"},
      {"GGUF"sv, "a model, not a data set"}};
  for (const auto& [magic, what] : kKinds)
    if (text.starts_with(magic))
      throw Error(Fault::unsupported, fmt::format("{} is {}", file.name(), what));
}

std::string named_like(const std::vector<std::string>& keys,
                       std::span<const std::string_view> names) {
  for (const std::string_view name : names)
    for (const std::string& key : keys)
      if (base::ascii_lower(key) == name) return key;
  return {};
}

// Keys of any of the rows, the commonest first and otherwise in their order.
std::vector<std::string> keys_of(const std::vector<Json>& rows) {
  std::vector<std::pair<std::string, std::size_t>> counts;
  for (const Json& row : rows)
    for (const auto& [key, value] : row.items()) {
      const auto found = std::find_if(counts.begin(), counts.end(),
                                      [&](const auto& entry) { return entry.first == key; });
      if (found != counts.end())
        ++found->second;
      else if (counts.size() < kMostKeys)
        counts.emplace_back(key, 1);
    }
  std::stable_sort(counts.begin(), counts.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> keys;
  for (auto& entry : counts) keys.push_back(std::move(entry.first));
  return keys;
}

std::string listed(const std::vector<std::string>& keys) {
  constexpr std::size_t kMost = 12;
  std::string text;
  for (std::size_t i = 0; i < std::min(keys.size(), kMost); ++i)
    text += (i == 0 ? "" : ", ") + in_readable_quotes(keys[i]);
  return text + (keys.size() > kMost ? ", ..." : "");
}

// Which of several rows have all the keys; most must.
bool most_have(const std::vector<Json>& rows, std::initializer_list<std::string_view> keys) {
  const auto count = std::count_if(rows.begin(), rows.end(), [&](const Json& row) {
    return std::all_of(keys.begin(), keys.end(),
                       [&](std::string_view key) { return row.contains(key); });
  });
  return count > 0 && 2 * static_cast<std::size_t>(count) >= rows.size();
}

// {"input", "output"} is written for both: answers that are short and repeat are labels.
bool are_labels(const std::vector<Json>& rows, const std::string& key) {
  constexpr std::size_t kLongestLabel = 100, kFew = 20;
  std::set<std::string> distinct;
  std::size_t seen = 0;
  for (const Json& row : rows) {
    const Json* value = member(row, key);
    if (value == nullptr || !value->is_string()) continue;
    const auto& text = value->get_ref<const std::string&>();
    if (text.size() > kLongestLabel || text.find('\n') != std::string::npos) return false;
    distinct.insert(text);
    ++seen;
  }
  return seen < kFew || 2 * distinct.size() <= seen;
}

void check_key(const std::string& given, std::string_view option, const base::File& file,
               const std::vector<std::string>& keys) {
  if (given.empty() || std::find(keys.begin(), keys.end(), given) != keys.end()) return;
  throw Error(Fault::invalid_argument,
              fmt::format("{} has no column or key {} for --{}{}; it has {}", file.name(),
                          in_readable_quotes(given), option, base::did_you_mean(given, keys),
                          listed(keys)));
}

void choose_labelled(DatasetFormat& format, const Sample& sample,
                     const std::vector<std::string>& keys, const ReadOptions& options) {
  format.schema = Schema::labelled;
  format.text_key = options.text.empty() ? named_like(keys, kTextNames) : options.text;
  auto others = keys;
  std::erase(others, format.text_key);
  format.label_key = options.label;
  if (options.label.empty()) {
    // Rows that say "label" here and "labels" there: what most say is the rule.
    std::vector<std::string> usual = others;
    std::erase_if(usual, [&](const std::string& key) { return !most_have(sample.rows, {key}); });
    format.label_key = named_like(usual, kLabelNames);
  }
  if (format.syntax == Syntax::delimited) return;
  const std::string slots = named_like(others, kSlotNames);
  if (!slots.empty() && most_have(sample.rows, {slots})) format.slots_key = slots;
}

void choose_schema(DatasetFormat& format, const Sample& sample, const base::File& file,
                   const ReadOptions& options) {
  const auto& rows = sample.rows;
  const auto keys = keys_of(rows);
  check_key(options.text, "text", file, keys);
  check_key(options.label, "label", file, keys);
  const bool chosen = !options.text.empty() || !options.label.empty();
  if (!chosen) {
    for (const std::string_view key : {"chosen", "preferred_output"})
      if (most_have(rows, {key}))
        throw Error(Fault::unsupported,
                    fmt::format("{} holds preferences ('{}'): examples with one answer each are "
                                "what can be learned from",
                                file.name(), key));
    if (most_have(rows, {"messages"})) return void(format.schema = Schema::chat);
    if (most_have(rows, {"conversations"})) return void(format.schema = Schema::sharegpt);
    if (most_have(rows, {"prompt", "completion"})) return void(format.schema = Schema::completion);
    if (most_have(rows, {"instruction", "output"})) return void(format.schema = Schema::alpaca);
  }
  choose_labelled(format, sample, keys, options);
  const bool answered = !format.label_key.empty() || !format.slots_key.empty();
  const bool tokens = !format.slots_key.empty() && most_have(rows, {"tokens"});
  if (answered && (!format.text_key.empty() || tokens)) {
    if (chosen || format.label_key != "output" || are_labels(rows, "output")) return;
    // Free answers to inputs: Alpaca's form without an instruction.
    if (format.text_key == "input") return void(format.schema = Schema::alpaca);
  }
  if (!chosen && format.text_key == "text" && keys.size() == 1)
    return void(format.schema = Schema::text);
  throw Error(Fault::unsupported,
              fmt::format("{}: no {} is recognised among {}; name {}", file.name(),
                          format.text_key.empty() ? "text" : "label", listed(keys),
                          format.text_key.empty() && format.label_key.empty()
                              ? "them with --text and --label"
                          : format.text_key.empty() ? "it with --text"
                                                    : "it with --label"));
}

DetectedFormat detect_json(const base::File& file, ByteStream::Place start, Syntax syntax,
                           const ReadOptions& options) {
  DetectedFormat found;
  found.format.syntax = syntax;
  found.first_row = start;
  const Sample sample = sample_rows(found.format, {}, file, start, options.limits, kSampledRows);
  if (sample.rows.empty() && sample.faults == 0)
    throw Error(Fault::corrupt_file, file.name() + " has no rows");
  const std::string extension = base::ascii_lower(file.path().extension().string());
  if (sample.rows.empty() && syntax == Syntax::json_lines && extension == ".json")
    throw Error(Fault::unsupported,
                file.name() +
                    " is one JSON object, not rows: write one object a line, or one array of them");
  if (sample.rows.empty())
    throw Error(syntax == Syntax::json_lines ? Fault::unsupported : Fault::corrupt_file,
                fmt::format("{}: none of the first {} rows can be read{}; line {}: {}", file.name(),
                            sample.faults,
                            syntax == Syntax::json_lines
                                ? " as one JSON object a line (one array of objects would do too)"
                                : "",
                            sample.first_fault_line, sample.first_fault));
  choose_schema(found.format, sample, file, options);
  return found;
}

// The first record, with its line end; `start` moves behind it.
std::string read_header(const base::File& file, ByteStream::Place& start, bool quoting,
                        const ReadLimits& limits) {
  DatasetFormat table;
  table.syntax = Syntax::delimited;
  table.quoting = quoting;
  const auto splitter = make_splitter(table, file, start, limits);
  const auto row = splitter->next();
  if (!row || !row->fault.empty())
    throw Error(Fault::corrupt_file, fmt::format("{}: the line of column names cannot be read: {}",
                                                 file.name(), row ? row->fault : "there is none"));
  const std::uint64_t begin = start.offset;
  start = splitter->place();
  std::string header(static_cast<std::size_t>(start.offset - begin), '\0');
  file.read_at(begin, std::as_writable_bytes(std::span(header)));
  return header;
}

std::vector<std::string> columns_of(std::string_view header, char delimiter, bool quoting) {
  const std::size_t end = header.find_last_not_of("\r\n");
  const std::size_t begin = header.find_first_not_of("\r\n");
  if (begin == std::string_view::npos) return {};
  return split_fields(header.substr(begin, end + 1 - begin), delimiter, quoting);
}

// The delimiter that cuts the first line into most columns.
char delimiter_of(std::string_view header, const base::File& file) {
  const std::string extension = base::ascii_lower(file.path().extension().string());
  if (extension == ".tsv" || extension == ".tab") return '\t';
  char best = ',';
  std::size_t most = 0;
  for (const char delimiter : {',', ';', '\t'}) {
    std::size_t columns = 0;
    try {
      columns = columns_of(header, delimiter, true).size();
    } catch (const BadRow&) {
      continue;  // not the delimiter, since quotes do not end before it
    }
    if (columns <= most) continue;
    most = columns;
    best = delimiter;
  }
  return best;
}

void check_columns(const std::vector<std::string>& columns, const base::File& file,
                   const ReadLimits& limits) {
  std::set<std::string_view> seen;
  if (columns.size() > std::min<std::size_t>(limits.row_values, 1024))
    throw Error(Fault::unsupported,
                fmt::format("{}: its first line names {} columns", file.name(), columns.size()));
  for (const std::string& column : columns)
    if (!seen.insert(column).second)
      throw Error(Fault::corrupt_file, fmt::format("{}: its first line names column {} twice",
                                                   file.name(), in_readable_quotes(column)));
}

DetectedFormat detect_table(const base::File& file, ByteStream::Place start,
                            const ReadOptions& options) {
  DetectedFormat found;
  DatasetFormat& format = found.format;
  format.syntax = Syntax::delimited;
  found.first_row = start;
  found.header = read_header(file, found.first_row, true, options.limits);
  format.delimiter = delimiter_of(found.header, file);
  try {
    found.columns = columns_of(found.header, format.delimiter, true);
  } catch (const BadRow& bad) {
    throw Error(Fault::corrupt_file,
                fmt::format("{}: the line of column names: {}", file.name(), bad.what));
  }
  check_columns(found.columns, file, options.limits);
  const auto sample = [&](std::size_t most) {
    return sample_rows(format, found.columns, file, found.first_row, options.limits, most);
  };
  // A file of tabs may use quotes as letters. Then reading them as quotes goes wrong somewhere.
  constexpr std::size_t kRowsForQuoting = 20'000;
  if (format.delimiter == '\t') {
    const Sample with = sample(kRowsForQuoting);
    if (with.faults > 0) {
      format.quoting = false;
      const Sample without = sample(kRowsForQuoting);
      format.quoting = std::pair(without.rows.size(), with.faults) <=
                       std::pair(with.rows.size(), without.faults);
    }
  }
  Sample rows = sample(kSampledRows);
  if (rows.rows.empty() && rows.faults == 0)
    throw Error(Fault::corrupt_file, file.name() + " has no rows after the line of column names");
  // Where no row is good the columns still say what was meant.
  Json names = Json::object();
  for (const std::string& column : found.columns) names[column] = "";
  if (rows.rows.empty()) rows.rows.push_back(std::move(names));
  choose_schema(format, rows, file, options);
  return found;
}

}  // namespace

DetectedFormat detect_format(const base::File& file, const ReadOptions& options) {
  const std::string text = beginning_of(file);
  refuse_foreign(file, text);
  const bool mark = text.starts_with("\xef\xbb\xbf");
  ByteStream::Place start{mark ? std::uint64_t{3} : 0, 1};
  ByteStream stream(file, start);
  while (stream.peek() == ' ' || stream.peek() == '\t' || stream.peek() == '\r' ||
         stream.peek() == '\n')
    stream.take();
  if (stream.peek() == ByteStream::kEnd)
    throw Error(Fault::corrupt_file, file.name() + " is empty");
  const std::string extension = base::ascii_lower(file.path().extension().string());
  const bool lines = extension == ".jsonl" || extension == ".ndjson";
  DetectedFormat found;
  if (stream.peek() == '[' && !lines)
    found = detect_json(file, stream.place(), Syntax::json_array, options);
  else if (stream.peek() == '{' || lines)
    found = detect_json(file, start, Syntax::json_lines, options);
  else if (stream.peek() == '[')
    found = detect_json(file, stream.place(), Syntax::json_array, options);
  else
    found = detect_table(file, start, options);
  found.format.byte_order_mark = mark;
  return found;
}

}  // namespace malina::tune
