#include "text/jinja_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "text/jinja_operations.h"
#include "text/jinja_sort.h"
#include "text/jinja_unicode.h"

namespace malina::text::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonLayout& layout)
      : runtime_(runtime), layout_(layout), out_(runtime) {}

  TextPointer run(const Value& value) {
    write(value, 0);
    return out_.finish();
  }

 private:
  void write(const Value& value, std::size_t level);
  void list(const Value& value, std::size_t level);
  void dict(const Value& value, std::size_t level);
  void text(const Text& text);
  void key(const Value& value);
  void line(std::size_t level, bool trusted) {
    if (!layout_.indent) return;
    out_.add("\n", trusted);
    for (std::size_t i = 0; i < level; ++i) out_.add(*layout_.indent, trusted);
  }
  std::string scalar(const Value& value) const;

  Runtime& runtime_;
  const JsonLayout& layout_;
  TextBuilder out_;
};

std::string real_to_json(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return real_to_string(value);
}

std::string JsonWriter::scalar(const Value& value) const {
  switch (value.type()) {
    case Type::none:
      return "null";
    case Type::boolean:
      return value.boolean() ? "true" : "false";
    case Type::integer:
      return integer_to_string(value.integer());
    case Type::real:
      return real_to_json(value.real());
    default:
      runtime_.fail(fmt::format("{} cannot be written as JSON", type_name(value)));
  }
}

void JsonWriter::write(const Value& value, std::size_t level) {
  runtime_.step();
  const Runtime::Level nested(runtime_);
  switch (value.type()) {
    case Type::text:
      return text(*value.text());
    case Type::list:
    case Type::tuple:
      return list(value, level);
    case Type::dict:
      return dict(value, level);
    default:
      out_.add(scalar(value), value.trusted());
  }
}

void JsonWriter::list(const Value& value, std::size_t level) {
  const auto& items = value.as<List>().items;
  const bool trusted = value.trusted();
  if (items.empty()) return out_.add("[]", trusted);
  out_.add("[", trusted);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out_.add(layout_.between_items, trusted);
    line(level + 1, trusted);
    write(items[i], level + 1);
  }
  line(level, trusted);
  out_.add("]", trusted);
}

void JsonWriter::dict(const Value& value, std::size_t level) {
  auto items = value.as<Dict>().items;
  runtime_.work(items.size() * sizeof(items[0]));
  const bool trusted = value.trusted();
  if (items.empty()) return out_.add("{}", trusted);
  if (layout_.sort_keys) {
    stable_merge_sort(items, [&](const auto& left, const auto& right) {
      return less(runtime_, left.first, right.first);
    });
  }
  out_.add("{", trusted);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out_.add(layout_.between_items, trusted);
    line(level + 1, trusted);
    key(items[i].first);
    out_.add(layout_.after_key, trusted);
    write(items[i].second, level + 1);
  }
  line(level, trusted);
  out_.add("}", trusted);
}

void JsonWriter::key(const Value& value) {
  if (value.is(Type::text)) return text(*value.text());
  if (!value.is_number() && !value.is(Type::none)) {
    runtime_.fail(fmt::format("a key that is {} cannot be written as JSON", type_name(value)));
  }
  out_.add("\"" + scalar(value) + "\"", value.trusted());
}

void JsonWriter::text(const Text& text) {
  static constexpr std::string_view kFrom = "\"\\\b\f\n\r\t";
  static constexpr std::string_view kTo = "\"\\bfnrt";
  const auto bytes = text.bytes();
  const bool ends_trusted = text.trusted();
  const auto escape = [&](char32_t unit, bool trusted) {
    out_.add(fmt::format("\\u{:04x}", static_cast<unsigned>(unit)), trusted);
  };
  out_.add("\"", ends_trusted);
  std::size_t plain = 0;  // from here on nothing needs an escape
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t begin = at;
    const char32_t c = next_character(bytes, at);
    const auto known = c < 128 ? kFrom.find(static_cast<char>(c)) : std::string_view::npos;
    const bool beyond = layout_.ascii && c > 126;
    if (known == std::string_view::npos && c >= 32 && !beyond) continue;
    out_.add(text, plain, begin);
    plain = at;
    const bool trusted = text.trusted_at(begin);
    if (known != std::string_view::npos) {
      out_.add("\\", trusted);
      out_.add(kTo.substr(known, 1), trusted);
    } else if (c < 0x10000) {
      escape(c, trusted);
    } else {
      escape(0xD800 + ((c - 0x10000) >> 10), trusted);
      escape(0xDC00 + ((c - 0x10000) & 0x3FF), trusted);
    }
  }
  out_.add(text, plain, bytes.size());
  out_.add("\"", ends_trusted);
}

Value text_from_json(Runtime& runtime, const std::string& bytes, bool trusted) {
  if (first_invalid_utf8(bytes)) runtime.fail("a text that is handed in is not valid UTF-8");
  TextBuilder text(runtime);
  text.add(bytes, trusted);
  return Value::text(text.finish());
}

// Before the parser builds it: the deepest nesting of brackets outside of texts.
std::size_t json_depth(std::string_view bytes) {
  std::size_t depth = 0, deepest = 0;
  bool inside = false;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const char c = bytes[at];
    if (inside && c == '\\') {
      ++at;
    } else if (c == '"') {
      inside = !inside;
    } else if (!inside && (c == '[' || c == '{')) {
      deepest = std::max(deepest, ++depth);
    } else if (!inside && (c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Value from_json(Runtime& runtime, const nlohmann::ordered_json& json, bool trusted) {
  const Runtime::Level level(runtime);
  using Kind = nlohmann::ordered_json::value_t;
  switch (json.type()) {
    case Kind::null:
      return Value::none(trusted);
    case Kind::boolean:
      return Value::boolean(json.get<bool>(), trusted);
    case Kind::number_integer:
      return Value::integer(json.get<std::int64_t>(), trusted);
    case Kind::number_unsigned:
      return Value::integer(json.get<std::uint64_t>(), trusted);
    case Kind::number_float:
      return Value::real(json.get<double>(), trusted);
    case Kind::string:
      return text_from_json(runtime, json.get_ref<const std::string&>(), trusted);
    case Kind::array: {
      Values items;
      for (const auto& item : json) items.push_back(from_json(runtime, item, trusted));
      return make_list(runtime, std::move(items), trusted);
    }
    case Kind::object: {
      auto dict = std::make_shared<Dict>();
      for (const auto& [key, value] : json.items()) {
        dict->set(runtime, text_from_json(runtime, key, trusted),
                  from_json(runtime, value, trusted));
      }
      return Value::object(Type::dict, std::move(dict), trusted);
    }
    default:
      runtime.fail("a value that is handed in is not JSON");
  }
}

Value parse_json(Runtime& runtime, const Text& text) {
  runtime.work(text.bytes().size() * 8);
  runtime.check_depth(json_depth(text.bytes()));
  const auto json = nlohmann::ordered_json::parse(text.bytes(), nullptr, false);
  if (json.is_discarded()) runtime.fail("the text is not JSON");
  return from_json(runtime, json, text.trusted());
}

TextPointer to_json(Runtime& runtime, const Value& value, const JsonLayout& layout) {
  return JsonWriter(runtime, layout).run(value);
}

}  // namespace malina::text::jinja
