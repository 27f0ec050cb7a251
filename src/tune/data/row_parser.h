// The text of one row to an example, by the schema of its file.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tune/data/row_splitter.h"
#include "tune/example_reader.h"

namespace malina::tune {

// Thrown while a row is read and caught by RowParser::parse alone: its message becomes a
// DatasetError. Rows are rejected from deep within nested values, and a file has many.
struct BadRow {
  std::string what;
};

// The fields of a record of a delimited file, without their quotes. Throws BadRow.
std::vector<std::string> split_fields(std::string_view record, char delimiter, bool quoting);

// Immutable; safe on many threads.
class RowParser {
 public:
  RowParser(DatasetFormat format, std::vector<std::string> columns, ReadLimits limits)
      : format_(std::move(format)), columns_(std::move(columns)), limits_(limits) {}

  Row parse(const RawRow& row) const;
  // The row as an object; of a table, its columns as texts. Throws BadRow.
  nlohmann::ordered_json object(std::string_view text) const;

  const DatasetFormat& format() const { return format_; }

 private:
  DatasetFormat format_;
  std::vector<std::string> columns_;
  ReadLimits limits_;
};

// Each schema's part of it (row_schemas.cpp, chat_row.cpp, labelled_row.cpp). Throw BadRow.
using RowContent = std::variant<Classification, Completion, Conversation>;
RowContent chat_row(const nlohmann::ordered_json& row);
RowContent completion_row(const nlohmann::ordered_json& row);
RowContent text_row(const nlohmann::ordered_json& row);
RowContent alpaca_row(const nlohmann::ordered_json& row);
RowContent sharegpt_row(const nlohmann::ordered_json& row);
RowContent labelled_row(const nlohmann::ordered_json& row, const DatasetFormat& format);

// A member of an object, or nullptr where it is absent or null.
const nlohmann::ordered_json* member(const nlohmann::ordered_json& object, std::string_view key);
// A member that must be there and be a text.
const std::string& text_member(const nlohmann::ordered_json& object, std::string_view key);
// A text, or "" where the member is absent or null.
std::string optional_text(const nlohmann::ordered_json& object, std::string_view key);
bool is_blank(std::string_view text);
// A list of messages in OpenAI's form. `all`: whose answers have weight 1 where they say nothing;
// otherwise 0.
std::vector<Message> read_messages(const nlohmann::ordered_json& list, bool answers_are_learned);
// "tools" as a list, or as the text of one; null where there are none.
nlohmann::ordered_json read_tools(const nlohmann::ordered_json& row);
// Throws BadRow where no message has a weight.
Conversation checked_conversation(std::vector<Message> messages, nlohmann::ordered_json tools);

}  // namespace malina::tune
