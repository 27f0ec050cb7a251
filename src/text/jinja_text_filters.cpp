// Filters that make texts.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_filter_table.h"
#include "text/jinja_format.h"
#include "text/jinja_json.h"
#include "text/jinja_operations.h"
#include "text/jinja_strings.h"
#include "text/jinja_unicode.h"

namespace malina::text::jinja {
namespace {

// str(value), refused where the result would go on being markup.
TextPointer text_of(Runtime& runtime, const Value& value, std::string_view what) {
  return plain_text(runtime, Value::text(to_text(runtime, value)), what);
}

template <CaseStyle style>
Value cased(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters none(runtime, "a change of case", arguments, {});
  return Value::text(change_case(runtime, text_of(runtime, value, "a filter"), style));
}

Value trim(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "trim", arguments, {"chars"});
  const bool which = given.has(0) && !given[0].is(Type::none);
  return Value::text(strip(runtime, text_of(runtime, value, "trim"),
                           which ? plain_text(runtime, given[0], "trim").get() : nullptr, {}));
}

Value replaced(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "replace", arguments, {"old", "new", "count"}, 2);
  const bool counted = given.has(2) && !given[2].is(Type::none);
  return Value::text(replace(runtime, text_of(runtime, value, "replace"),
                             *to_text(runtime, given[0]), *to_text(runtime, given[1]),
                             counted ? index_of(runtime, given[2], "the count of replace") : -1));
}

Value string(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters none(runtime, "string", arguments, {});
  return Value::text(to_text(runtime, value));
}

Value safe(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters none(runtime, "safe", arguments, {});
  TextBuilder out(runtime);
  append_string(runtime, out, value);
  return Value::text(out.finish(true));
}

Value escape(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters none(runtime, "escape", arguments, {});
  return Value::text(escape_html(runtime, to_text(runtime, value)));
}

Value join(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "join", arguments, {"d", "attribute"});
  const auto separator = to_text(runtime, given.value_or(0, Value::text("")));
  const bool attribute = given.has(1) && !given[1].is(Type::none);
  const auto items = iterate(runtime, value);
  TextBuilder out(runtime);
  bool first = true;
  for (Value item; items->next(runtime, item); first = false) {
    runtime.step();
    if (!first) out.add(*separator);
    append_string(runtime, out, attribute ? attribute_path(runtime, item, given[1]) : item);
  }
  return Value::text(out.finish());
}

Value indent(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "indent", arguments, {"width", "first", "blank"});
  const auto& text = plain_text(runtime, value, "indent");
  const Value width = given.value_or(0, Value::integer(4));
  TextPointer by;
  if (width.is(Type::text)) {
    by = plain_text(runtime, width, "indent");
  } else {
    by = compute(runtime, BinaryOperator::multiply, Value::text(" "), width).text();
  }
  const bool blank = given.has(2) && truth(runtime, given[2]);
  TextBuilder ended(runtime);  // the newline makes a last, empty line count
  ended.add(*text);
  ended.add("\n", true);
  const Values lines = split_lines(runtime, ended.finish(), false);
  TextBuilder out(runtime);
  if (given.has(1) && truth(runtime, given[1])) out.add(*by);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.add("\n", true);
    if (i > 0 && (blank || !lines[i].text()->bytes().empty())) out.add(*by);
    out.add(*lines[i].text());
  }
  return Value::text(out.finish());
}

Value tojson(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "tojson", arguments,
                         {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonLayout layout;
  layout.ascii = given.has(0) && truth(runtime, given[0]);
  layout.sort_keys = given.has(3) && truth(runtime, given[3]);
  if (given.has(1) && !given[1].is(Type::none)) {
    layout.between_items = ",";
    layout.indent = given[1].is(Type::text)
                        ? given[1].text()->bytes()
                        : compute(runtime, BinaryOperator::multiply, Value::text(" "), given[1])
                              .text()
                              ->bytes();
  }
  if (given.has(2) && !given[2].is(Type::none)) {
    const Values pair = list_of(runtime, given[2]);
    if (pair.size() != 2) runtime.fail("separators of tojson are two texts");
    layout.between_items = plain_text(runtime, pair[0], "tojson")->bytes();
    layout.after_key = plain_text(runtime, pair[1], "tojson")->bytes();
  }
  return Value::text(to_json(runtime, value, layout));
}

Value fromjson(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters none(runtime, "fromjson", arguments, {});
  return parse_json(runtime, *plain_text(runtime, value, "fromjson"));
}

Value center(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "center", arguments, {"width"});
  const Value width = given.value_or(0, Value::integer(80));
  return Value::text(pad(runtime, text_of(runtime, value, "center"),
                         index_of(runtime, width, "the width of center"), Text(" ", true),
                         Padding::both));
}

Value truncate(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters given(runtime, "truncate", arguments, {"length", "killwords", "end", "leeway"});
  const Integer limit =
      index_of(runtime, given.value_or(0, Value::integer(255)), "the length of truncate");
  const Value end_value = given.value_or(2, Value::text("..."));
  const auto& end = plain_text(runtime, end_value, "truncate");
  const bool has_leeway = given.has(3) && !given[3].is(Type::none);
  const Integer leeway = has_leeway ? index_of(runtime, given[3], "the leeway of truncate") : 5;
  const auto kept = limit - static_cast<Integer>(end->characters());
  if (kept < 0 || leeway < 0) runtime.fail("truncate leaves no room for its end");
  const auto size = static_cast<Integer>(length(runtime, value));
  if (size <= limit || size - limit <= leeway) return value;
  const auto& text = plain_text(runtime, value, "truncate");
  runtime.work(text->bytes().size());
  std::size_t cut = text->byte_of(static_cast<std::size_t>(kept));
  if (!given.has(1) || !truth(runtime, given[1])) {
    const auto space = text->bytes().substr(0, cut).rfind(' ');
    if (space != std::string_view::npos) cut = space;
  }
  TextBuilder out(runtime);
  out.add(*text, 0, cut);
  out.add(*end);
  return Value::text(out.finish());
}

Value wordcount(Runtime& runtime, const Value& value, const Arguments& arguments) {
  const Parameters none(runtime, "wordcount", arguments, {});
  const auto text = to_text(runtime, value);
  const auto bytes = text->bytes();
  runtime.work(bytes.size());
  Integer words = 0;
  bool inside = false;
  for (std::size_t at = 0; at < bytes.size();) {
    const char32_t c = next_character(bytes, at);
    const bool word = c == '_' || is_alphanumeric(c);
    words += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value::integer(words);
}

Value format(Runtime& runtime, const Value& value, const Arguments& arguments) {
  if (!arguments.named.empty() && !arguments.positional.empty()) {
    runtime.fail("format takes values either by place or by name");
  }
  const Value text = Value::text(to_text(runtime, value));
  if (arguments.named.empty()) {
    return formatted(runtime, text, make_list(runtime, arguments.positional, true, Type::tuple));
  }
  auto named = std::make_shared<Dict>();
  for (const auto& [name, item] : arguments.named) named->set(runtime, Value::text(name), item);
  return formatted(runtime, text, Value::object(Type::dict, std::move(named)));
}

constexpr FilterName kFilters[] = {
    {"capitalize", cased<CaseStyle::capitalized>},
    {"center", center},
    {"e", escape},
    {"escape", escape},
    {"format", format},
    {"from_json", fromjson},
    {"fromjson", fromjson},
    {"indent", indent},
    {"join", join},
    {"lower", cased<CaseStyle::lower>},
    {"replace", replaced},
    {"safe", safe},
    {"string", string},
    {"title", cased<CaseStyle::title_filter>},
    {"tojson", tojson},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", cased<CaseStyle::upper>},
    {"wordcount", wordcount},
};

}  // namespace

std::span<const FilterName> text_filters() { return kFilters; }

}  // namespace malina::text::jinja
