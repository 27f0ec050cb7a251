#include "tune/example_reader.h"

#include <fmt/format.h>

#include <span>
#include <utility>

#include "tune/data/format_detection.h"
#include "tune/data/plain_text.h"
#include "tune/data/row_parser.h"
#include "tune/data/row_splitter.h"

namespace malina::tune {

namespace {

std::string_view syntax_name(const DatasetFormat& format) {
  if (format.syntax == Syntax::json_lines) return "JSON lines";
  if (format.syntax == Syntax::json_array) return "a JSON array";
  if (format.delimiter == '\t') return format.quoting ? "TSV" : "TSV without quoting";
  return format.delimiter == ';' ? "CSV with semicolons" : "CSV";
}

}  // namespace

std::string describe(const DatasetFormat& format) {
  std::string text(syntax_name(format));
  switch (format.schema) {
    case Schema::chat:
      return text + ", chat messages";
    case Schema::completion:
      return text + ", prompt and completion";
    case Schema::text:
      return text + ", texts";
    case Schema::alpaca:
      return text + ", Alpaca";
    case Schema::sharegpt:
      return text + ", ShareGPT";
    case Schema::labelled:
      break;
  }
  text += ", text in " + in_readable_quotes(format.text_key.empty() ? "tokens" : format.text_key);
  if (!format.label_key.empty()) text += ", label in " + in_readable_quotes(format.label_key);
  if (!format.slots_key.empty()) text += ", spans in " + in_readable_quotes(format.slots_key);
  return text;
}

ExampleReader::ExampleReader(const std::filesystem::path& path, ReadOptions options)
    : file_(std::make_unique<base::File>(base::File::open(path))), options_(std::move(options)) {
  DetectedFormat found = detect_format(*file_, options_);
  format_ = found.format;
  header_ = std::move(found.header);
  splitter_ = make_splitter(format_, *file_, found.first_row, options_.limits);
  parser_ = std::make_unique<RowParser>(format_, std::move(found.columns), options_.limits);
}

ExampleReader::ExampleReader(ExampleReader&&) noexcept = default;
ExampleReader::~ExampleReader() = default;

std::optional<Row> ExampleReader::next() {
  const auto row = splitter_->next();
  if (!row) return std::nullopt;
  return parser_->parse(*row);
}

std::uint64_t ExampleReader::bytes_read() const { return splitter_->place().offset; }

void ExampleReader::rewind() { splitter_->rewind(); }

Row ExampleReader::at(const RowPlace& place) const {
  return parser_->parse({place, source(place), {}});
}

std::string ExampleReader::source(const RowPlace& place) const {
  std::string text(static_cast<std::size_t>(place.bytes), '\0');
  file_->read_at(place.offset, std::as_writable_bytes(std::span(text)));
  return text;
}

nlohmann::ordered_json template_messages(const Conversation& conversation) {
  auto messages = nlohmann::ordered_json::array();
  for (const Message& message : conversation.messages) {
    nlohmann::ordered_json one{{"role", message.role}, {"content", message.content}};
    for (const auto& [key, value] : message.fields.items()) one[key] = value;
    messages.push_back(std::move(one));
  }
  return messages;
}

}  // namespace malina::tune
