#include "base/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace malina::base {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{64} << 10;
constexpr std::string_view kMark = "\xEF\xBB\xBF";

void set_problem(CsvRecord& record, std::string text) {
  if (!record.problem) record.problem = std::move(text);
}

}  // namespace

CsvReader::CsvReader(Read read, CsvOptions options) : read_(std::move(read)), options_(options) {
  buffer_.resize(kBufferBytes);
}

int CsvReader::peek() {
  if (place_ == filled_) {
    if (ended_) return -1;
    place_ = 0;
    filled_ = read_(std::span(buffer_));
    ended_ = filled_ == 0;
    if (ended_) return -1;
  }
  return static_cast<unsigned char>(buffer_[place_]);
}

int CsvReader::get() {
  const int c = peek();
  if (c < 0) return c;
  ++place_;
  ++offset_;
  if (c == '\n') ++line_;
  return c;
}

void CsvReader::skip_mark() {
  if (peek() != static_cast<unsigned char>(kMark[0])) return;
  // A mark may be cut by the end of what was read first: bytes that turn out to be none go back.
  std::string seen;
  while (seen.size() < kMark.size() && peek() >= 0 && kMark.starts_with(seen))
    seen.push_back(static_cast<char>(get()));
  if (seen == kMark) return;
  offset_ -= seen.size();
  line_ -= static_cast<std::uint64_t>(std::count(seen.begin(), seen.end(), '\n'));
  buffer_.replace(0, place_, seen);
  filled_ = filled_ - place_ + seen.size();
  place_ = 0;
  buffer_.resize(std::max(buffer_.size(), kBufferBytes));
}

// False at the end of the input.
bool CsvReader::skip_empty_lines() {
  while (peek() == '\n') get();
  return peek() >= 0;
}

bool CsvReader::next(CsvRecord& record) {
  if (std::exchange(first_, false)) skip_mark();
  record.problem.reset();
  do {
    if (!skip_empty_lines()) return false;
    record.fields.clear();
    record.line = line_;
    record.begin = offset_;
    parse(record);
    record.end = offset_;  // a line of CR LF alone is empty too
  } while (record.fields.size() == 1 && record.fields[0].empty() && !record.problem &&
           record.end - record.begin == 2 && record.line != line_);
  return true;
}

void CsvReader::parse(CsvRecord& record) {
  record.fields.emplace_back();
  State state = State::field_begin;
  std::size_t bytes = 0;
  int before = 0;
  for (;;) {
    const int c = get();
    if (c < 0) {
      if (state == State::quoted)
        set_problem(record,
                    fmt::format("the quote of field {} is never closed", record.fields.size()));
      return;
    }
    const bool quoted = state == State::quoted;
    if (c == '\n' && !carriage_return_) carriage_return_ = before == '\r';
    before = c;
    if (c == '\n' && !quoted) return;
    if (c == '\r' && !quoted && peek() == '\n') {
      get();
      if (!carriage_return_) carriage_return_ = true;
      return;
    }
    if (++bytes > options_.most_record_bytes) {
      set_problem(record,
                  fmt::format("the record is longer than {} bytes", options_.most_record_bytes));
      state = State::broken;
      continue;
    }
    state = take(state, static_cast<char>(c), record);
  }
}

CsvReader::State CsvReader::take(State state, char c, CsvRecord& record) {
  const bool separator = c == options_.separator;
  const auto next_field = [&] {
    record.fields.emplace_back();
    return State::field_begin;
  };
  const auto broken = [&](std::string_view what) {
    set_problem(record, fmt::format("{} field {}", what, record.fields.size()));
    return State::broken;
  };
  if (c == '\0') return broken("a zero byte in");
  switch (state) {
    case State::field_begin:
      if (c == '"') return State::quoted;
      [[fallthrough]];
    case State::plain:
      if (separator) return next_field();
      if (c == '"') return broken("a quote inside of the unquoted");
      record.fields.back().push_back(c);
      return State::plain;
    case State::quoted:
      if (c == '"') return State::quote_in_quoted;
      record.fields.back().push_back(c);
      return State::quoted;
    case State::quote_in_quoted:
      if (separator) return next_field();
      if (c != '"') return broken("text after the closing quote of");
      record.fields.back().push_back(c);
      return State::quoted;
    case State::broken:
      return State::broken;
  }
  return State::broken;
}

char csv_separator(std::string_view header) {
  constexpr std::array<char, 3> kSeparators{',', ';', '\t'};
  std::array<std::size_t, 3> counts{};
  bool quoted = false;
  for (const char c : header) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '\n') break;
    for (std::size_t i = 0; i < kSeparators.size(); ++i)
      if (c == kSeparators[i]) ++counts[i];
  }
  const auto most = std::max_element(counts.begin(), counts.end());
  return kSeparators[static_cast<std::size_t>(most - counts.begin())];
}

std::string csv_line(std::span<const std::string> fields, char separator,
                     std::string_view line_end) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) line.push_back(separator);
    const std::string& field = fields[i];
    const std::array<char, 4> special{'"', '\n', '\r', separator};
    // An empty field alone in its record would be an empty line, which is passed over.
    const bool quote =
        field.find_first_of(std::string_view(special.data(), special.size())) != field.npos ||
        (field.empty() && fields.size() == 1) || (i == 0 && field.starts_with(kMark));
    if (!quote) {
      line += field;
      continue;
    }
    line.push_back('"');
    for (const char c : field) {
      if (c == '"') line.push_back('"');
      line.push_back(c);
    }
    line.push_back('"');
  }
  line += line_end;
  return line;
}

}  // namespace malina::base
