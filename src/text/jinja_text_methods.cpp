#include "text/jinja_text_methods.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_format.h"
#include "text/jinja_operations.h"
#include "text/jinja_strings.h"
#include "text/jinja_unicode.h"

namespace malina::text::jinja {
namespace {

const TextPointer& receiver(Runtime& runtime, const Value& self) {
  return plain_text(runtime, self, "a method");
}

void only_positional(Runtime& runtime, const Arguments& arguments, std::string_view name) {
  if (!arguments.named.empty()) {
    runtime.fail(fmt::format("{}() takes no named arguments", name));
  }
}

// The text of an argument that may be none or left out.
const Text* text_or_none(Runtime& runtime, const Parameters& given, std::size_t index,
                         std::string_view what) {
  if (!given.has(index) || given[index].is(Type::none)) return nullptr;
  return plain_text(runtime, given[index], what).get();
}

template <CaseStyle style>
Value cased(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none(runtime, "a change of case", arguments, {});
  return Value::text(change_case(runtime, receiver(runtime, self), style));
}

template <bool left, bool right>
Value stripped(Runtime& runtime, const Value& self, const Arguments& arguments) {
  only_positional(runtime, arguments, "strip");
  const Parameters given(runtime, "strip", arguments, {"chars"});
  return Value::text(strip(runtime, receiver(runtime, self),
                           text_or_none(runtime, given, 0, "strip()"),
                           {.left = left, .right = right}));
}

template <bool from_right>
Value split_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters given(runtime, "split", arguments, {"sep", "maxsplit"});
  const Text* separator = text_or_none(runtime, given, 0, "split()");
  const Integer count = given.has(1) ? index_of(runtime, given[1], "maxsplit of split()") : -1;
  const auto& text = receiver(runtime, self);
  return make_list(runtime, from_right ? split_from_right(runtime, text, separator, count)
                                       : split(runtime, text, separator, count));
}

Value splitlines(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters given(runtime, "splitlines", arguments, {"keepends"});
  const bool keep = given.has(0) && index_of(runtime, given[0], "keepends of splitlines()") != 0;
  return make_list(runtime, split_lines(runtime, receiver(runtime, self), keep));
}

// The part of a text that start and stop of a method leave, in bytes; nothing where start is beyond
// the end.
std::optional<std::pair<std::size_t, std::size_t>> bounds(Runtime& runtime, const Text& text,
                                                          const Parameters& given,
                                                          std::size_t first) {
  const auto length = static_cast<Integer>(text.characters());
  const auto place = [&](std::size_t index, Integer otherwise) {
    if (!given.has(index) || given[index].is(Type::none)) return otherwise;
    Integer at = index_of(runtime, given[index], "a bound");
    if (at < 0) at = std::max<Integer>(at, -length) + length;
    return at;
  };
  const Integer start = place(first, 0);
  const Integer stop = std::min(place(first + 1, length), length);
  if (start > length || start > stop) return std::nullopt;
  runtime.work(text.bytes().size());
  return std::make_pair(text.byte_of(static_cast<std::size_t>(start)),
                        text.byte_of(static_cast<std::size_t>(stop)));
}

template <bool at_end>
Value begins_or_ends(Runtime& runtime, const Value& self, const Arguments& arguments) {
  constexpr std::string_view kName = at_end ? "endswith" : "startswith";
  only_positional(runtime, arguments, kName);
  const Parameters given(runtime, kName, arguments, {"prefix", "start", "end"}, 1);
  const auto& text = receiver(runtime, self);
  const auto part = bounds(runtime, *text, given, 1);
  const auto matches = [&](const Value& wanted) {
    const auto bytes = plain_text(runtime, wanted, kName)->bytes();
    if (!part) return false;
    const auto within = text->bytes().substr(part->first, part->second - part->first);
    return at_end ? within.ends_with(bytes) : within.starts_with(bytes);
  };
  if (!given[0].is(Type::tuple)) return Value::boolean(matches(given[0]));
  bool found = false;
  for (const auto& wanted : given[0].as<List>().items) found = found || matches(wanted);
  return Value::boolean(found);
}

Value replaced(Runtime& runtime, const Value& self, const Arguments& arguments) {
  only_positional(runtime, arguments, "replace");
  const Parameters given(runtime, "replace", arguments, {"old", "new", "count"}, 2);
  const Integer count = given.has(2) ? index_of(runtime, given[2], "count of replace()") : -1;
  return Value::text(replace(runtime, receiver(runtime, self),
                             *plain_text(runtime, given[0], "replace()"),
                             *plain_text(runtime, given[1], "replace()"), count));
}

// The character where `wanted` is found, or nothing.
std::optional<Integer> found_at(Runtime& runtime, const Value& self, const Parameters& given,
                                bool from_right) {
  const auto& text = receiver(runtime, self);
  const auto wanted = plain_text(runtime, given[0], "find()")->bytes();
  const auto part = bounds(runtime, *text, given, 1);
  if (!part) return std::nullopt;
  const auto within = text->bytes().substr(part->first, part->second - part->first);
  runtime.work(within.size());
  const std::size_t found = from_right ? within.rfind(wanted) : within.find(wanted);
  if (found == std::string_view::npos) return std::nullopt;
  return static_cast<Integer>(count_characters(text->bytes().substr(0, part->first + found)));
}

template <bool from_right>
Value find(Runtime& runtime, const Value& self, const Arguments& arguments) {
  only_positional(runtime, arguments, "find");
  const Parameters given(runtime, "find", arguments, {"sub", "start", "end"}, 1);
  return Value::integer(found_at(runtime, self, given, from_right).value_or(-1));
}

template <bool from_right>
Value index(Runtime& runtime, const Value& self, const Arguments& arguments) {
  only_positional(runtime, arguments, "index");
  const Parameters given(runtime, "index", arguments, {"sub", "start", "end"}, 1);
  const auto found = found_at(runtime, self, given, from_right);
  if (!found) runtime.fail("index() does not find the text");
  return Value::integer(*found);
}

Value count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  only_positional(runtime, arguments, "count");
  const Parameters given(runtime, "count", arguments, {"sub", "start", "end"}, 1);
  const auto& text = receiver(runtime, self);
  const auto wanted = plain_text(runtime, given[0], "count()")->bytes();
  const auto part = bounds(runtime, *text, given, 1);
  if (!part) return Value::integer(0);
  const auto within = text->bytes().substr(part->first, part->second - part->first);
  runtime.work(within.size());
  if (wanted.empty()) return Value::integer(static_cast<Integer>(count_characters(within)) + 1);
  Integer found = 0;
  for (std::size_t at = within.find(wanted); at != std::string_view::npos;
       at = within.find(wanted, at + wanted.size())) {
    ++found;
  }
  return Value::integer(found);
}

Value joined(Runtime& runtime, const Value& self, const Arguments& arguments) {
  only_positional(runtime, arguments, "join");
  const Parameters given(runtime, "join", arguments, {"iterable"}, 1);
  const auto& separator = receiver(runtime, self);
  const Values items = list_of(runtime, given[0]);
  TextBuilder out(runtime);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.add(*separator);
    out.add(*plain_text(runtime, items[i], "join()"));
  }
  return Value::text(out.finish());
}

template <bool suffix>
Value removed(Runtime& runtime, const Value& self, const Arguments& arguments) {
  only_positional(runtime, arguments, "removeprefix");
  const Parameters given(runtime, "removeprefix", arguments, {"prefix"}, 1);
  const auto& text = receiver(runtime, self);
  const auto bytes = text->bytes();
  const auto part = plain_text(runtime, given[0], "removeprefix()")->bytes();
  const bool found = suffix ? bytes.ends_with(part) : bytes.starts_with(part);
  if (!found) return self;
  return Value::text(suffix ? part_of(runtime, text, 0, bytes.size() - part.size())
                            : part_of(runtime, text, part.size(), bytes.size()));
}

template <bool from_right>
Value partition(Runtime& runtime, const Value& self, const Arguments& arguments) {
  only_positional(runtime, arguments, "partition");
  const Parameters given(runtime, "partition", arguments, {"sep"}, 1);
  const auto& text = receiver(runtime, self);
  const auto& separator = plain_text(runtime, given[0], "partition()");
  const auto bytes = text->bytes();
  if (separator->bytes().empty()) runtime.fail("a separator cannot be empty");
  runtime.work(bytes.size());
  const std::size_t found =
      from_right ? bytes.rfind(separator->bytes()) : bytes.find(separator->bytes());
  Values parts;
  if (found != std::string_view::npos) {
    parts = {Value::text(part_of(runtime, text, 0, found)), given[0],
             Value::text(part_of(runtime, text, found + separator->bytes().size(), bytes.size()))};
  } else if (from_right) {
    parts = {Value::text(""), Value::text(""), self};
  } else {
    parts = {self, Value::text(""), Value::text("")};
  }
  return make_list(runtime, std::move(parts), true, Type::tuple);
}

template <Padding padding>
Value padded(Runtime& runtime, const Value& self, const Arguments& arguments) {
  only_positional(runtime, arguments, "padding");
  const Parameters given(runtime, "padding", arguments, {"width", "fillchar"}, 1);
  const Value space = given.value_or(1, Value::text(" "));
  const auto& fill = plain_text(runtime, space, "padding");
  if (fill->characters() != 1) runtime.fail("padding needs a single character");
  return Value::text(pad(runtime, receiver(runtime, self),
                         index_of(runtime, given[0], "the width of padding"), *fill, padding));
}

Value zfill(Runtime& runtime, const Value& self, const Arguments& arguments) {
  only_positional(runtime, arguments, "zfill");
  const Parameters given(runtime, "zfill", arguments, {"width"}, 1);
  const auto& text = receiver(runtime, self);
  const Integer width = index_of(runtime, given[0], "the width of zfill()");
  const auto bytes = text->bytes();
  const std::size_t sign = !bytes.empty() && (bytes[0] == '+' || bytes[0] == '-') ? 1 : 0;
  TextBuilder out(runtime);
  out.add(*text, 0, sign);
  for (auto missing = width - static_cast<Integer>(text->characters()); missing > 0; --missing) {
    out.add("0", true);
  }
  out.add(*text, sign, bytes.size());
  return Value::text(out.finish());
}

Value format(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return formatted_fields(runtime, receiver(runtime, self), arguments);
}

template <bool (*predicate)(char32_t), bool empty = false>
Value all_are(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none(runtime, "a question about a text", arguments, {});
  const auto bytes = receiver(runtime, self)->bytes();
  runtime.work(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    if (!predicate(next_character(bytes, at))) return Value::boolean(false);
  }
  return Value::boolean(empty || !bytes.empty());
}

bool ascii(char32_t c) { return c < 128; }

template <bool lower>
Value all_cased(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Parameters none(runtime, "a question about a text", arguments, {});
  const auto bytes = receiver(runtime, self)->bytes();
  runtime.work(bytes.size());
  bool found = false;
  for (std::size_t at = 0; at < bytes.size();) {
    const char32_t c = next_character(bytes, at);
    if (is_title(c) || (lower ? is_upper(c) : is_lower(c))) return Value::boolean(false);
    found = found || is_cased(c);
  }
  return Value::boolean(found);
}

constexpr MethodName kTextMethods[] = {
    {"capitalize", cased<CaseStyle::capitalized>},
    {"casefold", nullptr},
    {"center", padded<Padding::both>},
    {"count", count},
    {"encode", nullptr},
    {"endswith", begins_or_ends<true>},
    {"expandtabs", nullptr},
    {"find", find<false>},
    {"format", format},
    {"format_map", nullptr},
    {"index", index<false>},
    {"isalnum", all_are<is_alphanumeric>},
    {"isalpha", all_are<is_alphabetic>},
    {"isascii", all_are<ascii, true>},
    {"isdecimal", all_are<is_decimal>},
    {"isdigit", all_are<is_digit>},
    {"isidentifier", nullptr},
    {"islower", all_cased<true>},
    {"isnumeric", nullptr},
    {"isprintable", all_are<is_printable, true>},
    {"isspace", all_are<is_space>},
    {"istitle", nullptr},
    {"isupper", all_cased<false>},
    {"join", joined},
    {"ljust", padded<Padding::right>},
    {"lower", cased<CaseStyle::lower>},
    {"lstrip", stripped<true, false>},
    {"maketrans", nullptr},
    {"partition", partition<false>},
    {"removeprefix", removed<false>},
    {"removesuffix", removed<true>},
    {"replace", replaced},
    {"rfind", find<true>},
    {"rindex", index<true>},
    {"rjust", padded<Padding::left>},
    {"rpartition", partition<true>},
    {"rsplit", split_method<true>},
    {"rstrip", stripped<false, true>},
    {"split", split_method<false>},
    {"splitlines", splitlines},
    {"startswith", begins_or_ends<false>},
    {"strip", stripped<true, true>},
    {"swapcase", cased<CaseStyle::swap>},
    {"title", cased<CaseStyle::title_method>},
    {"translate", nullptr},
    {"upper", cased<CaseStyle::upper>},
    {"zfill", zfill},
};

}  // namespace

std::span<const MethodName> text_methods() { return kTextMethods; }

}  // namespace malina::text::jinja
