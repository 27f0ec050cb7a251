// str() and repr(), as Python has them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "text/jinja_operations.h"
#include "text/jinja_unicode.h"

namespace malina::text::jinja {
namespace {

constexpr std::size_t kQuotedBytes = 80;  // of a value in a message

class Printer {
 public:
  Printer(Runtime& runtime, TextBuilder& out) : runtime_(runtime), out_(out) {}

  void print(const Value& value);

 private:
  void text(const Text& text);
  void list(const Value& value, std::string_view open, std::string_view close);
  void dict(const Value& value);
  void pairs(const Dict& dict, bool trusted);
  void view(const View& view, bool trusted);

  // Python prints a container that it is already printing as three dots.
  bool enter(const Value& value, std::string_view dots) {
    if (std::find(open_.begin(), open_.end(), value.object().get()) != open_.end()) {
      out_.add(dots, value.trusted());
      return false;
    }
    open_.push_back(value.object().get());
    return true;
  }

  Runtime& runtime_;
  TextBuilder& out_;
  std::vector<const Object*> open_;
};

void Printer::print(const Value& value) {
  runtime_.step();
  const Runtime::Level level(runtime_);
  const auto word = [&](std::string_view spelled) { out_.add(spelled, value.trusted()); };
  switch (value.type()) {
    case Type::undefined:
      return word("Undefined");
    case Type::none:
      return word("None");
    case Type::boolean:
      return word(value.boolean() ? "True" : "False");
    case Type::integer:
      return word(integer_to_string(value.integer()));
    case Type::real:
      return word(real_to_string(value.real()));
    case Type::text:
      return text(*value.text());
    case Type::list:
      return list(value, "[", "]");
    case Type::tuple:
      return list(value, "(", ")");
    case Type::dict:
      return dict(value);
    case Type::range: {
      const auto& range = value.as<Range>();
      word(fmt::format("range({}, {}", integer_to_string(range.start),
                       integer_to_string(range.stop)));
      if (range.step != 1) word(", " + integer_to_string(range.step));
      return word(")");
    }
    case Type::view:
      if (!enter(value, "...")) return;
      view(value.as<View>(), value.trusted());
      return open_.pop_back();
    case Type::name_space:
      word("<Namespace ");
      if (enter(value, "{...}")) {
        pairs(value.as<NameSpace>().attributes, value.trusted());
        open_.pop_back();
      }
      return word(">");
    case Type::macro:
      return word(fmt::format("<Macro '{}'>", macro_name(value)));
    default:
      runtime_.unsupported(fmt::format("printing a {} is not supported", type_name(value)));
  }
}

// repr of a str: in single quotes unless only double ones avoid an escape.
void Printer::text(const Text& text) {
  const auto bytes = text.bytes();
  const bool has_single = bytes.find('\'') != std::string_view::npos;
  const char quote = has_single && bytes.find('"') == std::string_view::npos ? '"' : '\'';
  const bool ends_trusted = text.trusted();
  const std::string mark(1, quote);
  if (text.markup()) runtime_.unsupported("printing a text marked safe inside a list");
  out_.add(mark, ends_trusted);
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t begin = at;
    const char32_t c = next_character(bytes, at);
    const auto code = static_cast<unsigned>(c);
    const bool trusted = text.trusted_at(begin);
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out_.add("\\", trusted);
      out_.add(bytes.substr(begin, 1), trusted);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out_.add(c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t", trusted);
    } else if (is_printable(c)) {
      out_.add(text, begin, at);
    } else {
      out_.add(c < 0x100     ? fmt::format("\\x{:02x}", code)
               : c < 0x10000 ? fmt::format("\\u{:04x}", code)
                             : fmt::format("\\U{:08x}", code),
               trusted);
    }
  }
  out_.add(mark, ends_trusted);
}

void Printer::list(const Value& value, std::string_view open, std::string_view close) {
  if (!enter(value, value.is(Type::list) ? "[...]" : "(...)")) return;
  const auto& items = value.as<List>().items;
  out_.add(open, value.trusted());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out_.add(", ", value.trusted());
    print(items[i]);
  }
  if (value.is(Type::tuple) && items.size() == 1) out_.add(",", value.trusted());
  out_.add(close, value.trusted());
  open_.pop_back();
}

void Printer::dict(const Value& value) {
  if (!enter(value, "{...}")) return;
  pairs(value.as<Dict>(), value.trusted());
  open_.pop_back();
}

void Printer::pairs(const Dict& dict, bool trusted) {
  out_.add("{", trusted);
  bool first = true;
  for (const auto& [key, item] : dict.items) {
    if (!first) out_.add(", ", trusted);
    first = false;
    print(key);
    out_.add(": ", trusted);
    print(item);
  }
  out_.add("}", trusted);
}

void Printer::view(const View& view, bool trusted) {
  constexpr std::array<std::string_view, 3> kNames = {"dict_keys([", "dict_values([",
                                                      "dict_items(["};
  out_.add(kNames[static_cast<std::size_t>(view.of)], trusted);
  const Values items = list_of(runtime_, Value::object(Type::view, std::make_shared<View>(view)));
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out_.add(", ", trusted);
    print(items[i]);
  }
  out_.add("])", trusted);
}

}  // namespace

std::string_view type_name(const Value& value) {
  switch (value.type()) {
    case Type::missing:
    case Type::undefined:
      return "an undefined value";
    case Type::none:
      return "none";
    case Type::boolean:
      return "bool";
    case Type::integer:
      return "int";
    case Type::real:
      return "float";
    case Type::text:
      return "str";
    case Type::list:
      return "list";
    case Type::tuple:
      return "tuple";
    case Type::dict:
      return "dict";
    case Type::range:
      return "range";
    case Type::view:
      return "dict view";
    case Type::iterator:
      return "generator";
    case Type::name_space:
      return "namespace";
    case Type::macro:
      return "macro";
    case Type::method:
      return "method";
    case Type::function:
      return "function";
    case Type::loop:
      return "loop variable";
  }
  return "value";
}

void append_string(Runtime& runtime, TextBuilder& out, const Value& value) {
  if (value.is(Type::text)) return out.add(*value.text());
  if (value.is(Type::undefined)) return;
  append_representation(runtime, out, value);
}

void append_representation(Runtime& runtime, TextBuilder& out, const Value& value) {
  Printer(runtime, out).print(value);
}

TextPointer to_text(Runtime& runtime, const Value& value) {
  if (value.is(Type::text)) return value.text();
  TextBuilder out(runtime);
  append_string(runtime, out, value);
  return out.finish();
}

// float.__repr__: the shortest digits that give the number back; an exponent below -4 and from 16.
std::string real_to_string(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::scientific)
                       .ptr;
  std::string_view scientific(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  std::string sign;
  if (scientific.front() == '-') {
    sign = "-";
    scientific.remove_prefix(1);
  }
  const std::size_t mark = scientific.find('e');
  std::string digits(scientific.substr(0, mark));
  if (digits.size() > 1) digits.erase(1, 1);  // the point
  int exponent = 0;
  std::string_view power = scientific.substr(mark + 1);
  if (power.front() == '+') power.remove_prefix(1);
  std::from_chars(power.data(), power.data() + power.size(), exponent);
  if (exponent < -4 || exponent >= 16) {
    if (digits.size() > 1) digits.insert(1, ".");
    return fmt::format("{}{}e{}{:02}", sign, digits, exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0)
    return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string integer_to_string(Integer value) {
  std::string digits;
  const bool below = value < 0;
  do {
    const auto digit = static_cast<int>(value % 10);
    digits.push_back(static_cast<char>('0' + (digit < 0 ? -digit : digit)));
    value /= 10;
  } while (value != 0);
  if (below) digits.push_back('-');
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string quoted(Runtime& runtime, const Value& value) {
  if (!value.is(Type::text) && !value.is_number() && !value.is(Type::none)) {
    return fmt::format("({})", type_name(value));
  }
  TextBuilder out(runtime);
  append_representation(runtime, out, value);
  const auto printed = out.finish();
  std::string result(printed->bytes());
  if (result.size() <= kQuotedBytes) return result;
  std::size_t cut = kQuotedBytes;
  while ((static_cast<unsigned char>(result[cut]) & 0xC0U) == 0x80U) --cut;
  return result.substr(0, cut) + "...";
}

const TextPointer& plain_text(Runtime& runtime, const Value& value, std::string_view what) {
  if (value.is(Type::undefined)) runtime.fail(value.as<Undefined>().message);
  if (!value.is(Type::text)) {
    runtime.fail(fmt::format("{} needs a str, not {}", what, type_name(value)));
  }
  if (value.text()->markup()) {
    runtime.unsupported(fmt::format("{} with a text marked safe is not supported", what));
  }
  return value.text();
}

}  // namespace malina::text::jinja
