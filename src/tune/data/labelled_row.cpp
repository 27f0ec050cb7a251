// Rows of a text with labels, spans or both.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "text/unicode.h"
#include "tune/data/plain_text.h"
#include "tune/data/row_parser.h"

namespace malina::tune {

using Json = nlohmann::ordered_json;

namespace {

// Where each unit that offsets count in begins and ends, in bytes.
struct Units {
  std::vector<std::size_t> starts, ends;
};

// Code points of valid UTF-8.
Units characters_of(std::string_view text) {
  Units units;
  for (std::size_t at = 0; at < text.size();) {
    units.starts.push_back(at);
    at += std::max<std::size_t>(text::valid_character(text.substr(at)), 1);
    units.ends.push_back(at);
  }
  return units;
}

std::vector<std::string> tokens_of(const Json& list) {
  if (!list.is_array()) throw BadRow{"'tokens' is no list"};
  std::vector<std::string> tokens;
  for (const Json& token : list) {
    if (!token.is_string()) throw BadRow{"'tokens' has something that is no text"};
    tokens.push_back(token.get<std::string>());
  }
  return tokens;
}

// Tokens stand in the text in their order.
Units places_of(const std::vector<std::string>& tokens, std::string_view text) {
  Units units;
  std::size_t from = 0;
  for (const std::string& token : tokens) {
    const std::size_t at = text.find(token, from);
    if (at == std::string_view::npos)
      throw BadRow{fmt::format("token {} is not in the text, or not in this order",
                               in_readable_quotes(token))};
    units.starts.push_back(at);
    units.ends.push_back(from = at + token.size());
  }
  return units;
}

std::string label_text(const Json& value) {
  std::string label = value.is_string() ? value.get<std::string>() : value.dump();
  if (value.is_object() || value.is_array() || value.is_null())
    throw BadRow{"a label is a text, a number, or true or false"};
  if (is_blank(label)) throw BadRow{"the label is empty"};
  return label;
}

void read_labels(const Json& row, const std::string& key, Classification& read) {
  if (key.empty()) return;
  const auto value = row.find(key);
  if (value == row.end()) throw BadRow{fmt::format("there is no {}", in_readable_quotes(key))};
  if (value->is_null()) throw BadRow{"the label is null"};
  if (!value->is_array()) {
    read.labels.push_back(label_text(*value));
    return;
  }
  read.multiple = true;
  for (const Json& one : *value) {
    std::string label = label_text(one);
    if (std::find(read.labels.begin(), read.labels.end(), label) != read.labels.end())
      throw BadRow{fmt::format("label {} stands twice", in_readable_quotes(label))};
    read.labels.push_back(std::move(label));
  }
}

std::size_t offset_of(const Json& slot, std::string_view key) {
  const Json* value = member(slot, key);
  if (value == nullptr || !value->is_number_unsigned())
    throw BadRow{fmt::format("a slot's '{}' is no whole number", key)};
  return value->get<std::size_t>();
}

std::string type_of(const Json& slot) {
  for (const std::string_view key : {"type", "label", "entity", "tag"}) {
    if (member(slot, key) == nullptr) continue;
    std::string type = text_member(slot, key);
    if (!is_blank(type)) return type;
  }
  throw BadRow{"a slot has no 'type'"};
}

Slot read_slot(const Json& slot, const std::string& text, const Units& units,
               std::string_view unit_name) {
  if (!slot.is_object()) throw BadRow{"a slot is no object"};
  const std::size_t start = offset_of(slot, "start"), end = offset_of(slot, "end");
  if (start >= end) throw BadRow{fmt::format("the slot from {} to {} is empty", start, end)};
  if (end > units.ends.size())
    throw BadRow{fmt::format("the slot from {} to {} ends after the text, which has {} {}", start,
                             end, units.ends.size(), unit_name)};
  Slot read{units.starts[start], units.ends[end - 1], type_of(slot)};
  if (member(slot, "value") != nullptr) {
    const std::string& value = text_member(slot, "value");
    const std::string_view there = std::string_view(text).substr(read.start, read.end - read.start);
    if (value != there)
      throw BadRow{fmt::format("the slot from {} to {} is {} in the text, and its 'value' is {}",
                               start, end, in_readable_quotes(there), in_readable_quotes(value))};
  }
  return read;
}

void read_slots(const Json& row, const std::string& key, const std::vector<std::string>& tokens,
                Classification& read) {
  if (key.empty()) return;
  const auto list = row.find(key);
  if (list == row.end()) throw BadRow{fmt::format("there is no {}", in_readable_quotes(key))};
  if (!list->is_array()) throw BadRow{fmt::format("{} is no list", in_readable_quotes(key))};
  read.has_slots = true;
  const bool by_token = !tokens.empty();
  const Units units = by_token ? places_of(tokens, read.text) : characters_of(read.text);
  for (const Json& slot : *list)
    read.slots.push_back(read_slot(slot, read.text, units, by_token ? "tokens" : "characters"));
  std::stable_sort(read.slots.begin(), read.slots.end(), [](const Slot& a, const Slot& b) {
    return std::pair(a.start, a.end) < std::pair(b.start, b.end);
  });
}

}  // namespace

RowContent labelled_row(const Json& row, const DatasetFormat& format) {
  Classification read;
  // SpERT's form: spans count in tokens, which stand beside the text or instead of it.
  std::vector<std::string> tokens;
  if (const Json* list = format.slots_key.empty() ? nullptr : member(row, "tokens"))
    tokens = tokens_of(*list);
  if (format.text_key.empty())
    read.text = fmt::format("{}", fmt::join(tokens, " "));
  else
    read.text = text_member(row, format.text_key);
  if (is_blank(read.text)) throw BadRow{"the text is empty"};
  read_labels(row, format.label_key, read);
  read_slots(row, format.slots_key, tokens, read);
  return read;
}

}  // namespace malina::tune
