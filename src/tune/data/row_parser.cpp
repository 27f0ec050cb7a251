#include "tune/data/row_parser.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/json_text.h"
#include "text/unicode.h"
#include "tune/data/plain_text.h"

namespace malina::tune {

using Json = nlohmann::ordered_json;

namespace {

// One field from `position`, which moves to the delimiter behind it or to the end.
std::string quoted_field(std::string_view record, std::size_t& position, char delimiter) {
  std::string field;
  for (++position; position < record.size(); ++position) {
    if (record[position] != '"') {
      field.push_back(record[position]);
      continue;
    }
    if (position + 1 < record.size() && record[position + 1] == '"') {
      field.push_back(record[++position]);
      continue;
    }
    ++position;
    if (position < record.size() && record[position] != delimiter)
      throw BadRow{fmt::format("text follows the closing quote of a field, at byte {} of the row",
                               position + 1)};
    return field;
  }
  throw BadRow{"a quote is never closed"};
}

void check_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const std::size_t bytes = text::valid_character(text.substr(at));
    if (bytes == 0)
      throw BadRow{fmt::format("it is not UTF-8 at byte {} of the row (0x{:02x})", at + 1,
                               static_cast<unsigned char>(text[at]))};
    at += bytes;
  }
  if (const auto zero = text.find('\0'); zero != std::string_view::npos)
    throw BadRow{fmt::format("it has a zero byte, at byte {} of the row", zero + 1)};
}

std::string_view type_in_words(const Json& value) {
  if (value.is_string()) return "a text";
  if (value.is_array()) return "a list";
  if (value.is_object()) return "an object";
  if (value.is_null()) return "null";
  return value.is_boolean() ? "true or false" : "a number";
}

RowContent content_of(const Json& row, const DatasetFormat& format) {
  switch (format.schema) {
    case Schema::chat:
      return chat_row(row);
    case Schema::completion:
      return completion_row(row);
    case Schema::text:
      return text_row(row);
    case Schema::alpaca:
      return alpaca_row(row);
    case Schema::sharegpt:
      return sharegpt_row(row);
    case Schema::labelled:
      return labelled_row(row, format);
  }
  throw base::Error(base::Fault::internal, "a schema without a reader");
}

std::string licence_of(const Json& row) {
  for (const std::string_view key : {"license", "licence"}) {
    const Json* value = member(row, key);
    if (value != nullptr && value->is_string()) return value->get<std::string>();
  }
  return {};
}

}  // namespace

std::vector<std::string> split_fields(std::string_view record, char delimiter, bool quoting) {
  std::vector<std::string> fields;
  std::size_t position = 0;
  while (true) {
    if (quoting && position < record.size() && record[position] == '"') {
      fields.push_back(quoted_field(record, position, delimiter));
    } else {
      const std::size_t end = std::min(record.find(delimiter, position), record.size());
      fields.emplace_back(record.substr(position, end - position));
      position = end;
    }
    if (position >= record.size()) return fields;
    ++position;
  }
}

Json RowParser::object(std::string_view text) const {
  check_utf8(text);
  if (format_.syntax == Syntax::delimited) {
    const auto fields = split_fields(text, format_.delimiter, format_.quoting);
    if (fields.size() != columns_.size())
      throw BadRow{fmt::format("it has {} field{}, and the first line names {} column{}",
                               fields.size(), fields.size() == 1 ? "" : "s", columns_.size(),
                               columns_.size() == 1 ? "" : "s")};
    Json row = Json::object();
    for (std::size_t i = 0; i < fields.size(); ++i) row.emplace(columns_[i], fields[i]);
    return row;
  }
  try {
    Json row = base::parse_json<Json>(text, "",
                                      {.bytes = limits_.row_bytes,
                                       .values = limits_.row_values,
                                       .depth = limits_.depth,
                                       .members = 1024});
    if (!row.is_object())
      throw BadRow{fmt::format("a row is an object, and this is {}", type_in_words(row))};
    return row;
  } catch (const base::Error& error) {
    const std::string_view message = error.what();  // ": it is not valid JSON, at byte 7"
    throw BadRow{std::string(message.substr(message.starts_with(": ") ? 2 : 0))};
  }
}

Row RowParser::parse(const RawRow& row) const {
  if (!row.fault.empty()) return DatasetError{row.place, row.fault};
  try {
    const Json object = this->object(row.text);
    return Example{row.place, content_of(object, format_), licence_of(object)};
  } catch (const BadRow& bad) {
    return DatasetError{row.place, bad.what};
  }
}

const Json* member(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const std::string& text_member(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  if (found == object.end()) throw BadRow{fmt::format("there is no {}", in_readable_quotes(key))};
  if (!found->is_string())
    throw BadRow{
        fmt::format("{} is {}, not a text", in_readable_quotes(key), type_in_words(*found))};
  return found->get_ref<const std::string&>();
}

std::string optional_text(const Json& object, std::string_view key) {
  return member(object, key) == nullptr ? std::string() : text_member(object, key);
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos;
}

}  // namespace malina::tune
