#include "serve/query.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/quote.h"
#include "serve/api_error.h"
#include "serve/router.h"

namespace malina::serve {

namespace {

constexpr std::size_t kMostDigits = 15;  // exact in every number type

std::string decoded(std::string_view text) {
  std::string spaced(text);
  std::ranges::replace(spaced, '+', ' ');  // as HTML forms write them
  auto result = percent_decoded(spaced);
  if (!result || Json(*result).dump(-1, ' ', false, Json::error_handler_t::ignore) !=
                     Json(*result).dump(-1, ' ', false, Json::error_handler_t::replace))
    throw bad_request("the query is not percent-encoded UTF-8 text", {}, "invalid_query");
  return *std::move(result);
}

Json value_of(const std::string& text, const Field* field) {
  const bool digits = !text.empty() && text.size() <= kMostDigits &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  if (field != nullptr && has(field->types, Type::integer) && digits) return std::stoll(text);
  // Clients write so what they leave out; a list of pairs has no other text.
  if (field != nullptr && field->types == Type::object && text == "null") return nullptr;
  return text;
}

void add(Json& query, std::string name, const std::string& text, std::span<const Field> fields) {
  Json* place = &query;
  std::string shown = name;
  if (const std::size_t open = name.find('['); open != std::string::npos && name.ends_with(']')) {
    std::string inner = name.substr(open + 1, name.size() - open - 2);
    place = &query[name.substr(0, open)];
    name = std::move(inner);
    if (place->is_null()) *place = Json::object();
  }
  if (!place->is_object() || place->contains(name))
    throw bad_name("the parameter " + base::in_quotes(shown) + " was given twice", shown,
                   "invalid_query");
  const auto field = std::ranges::find(fields, name, &Field::name);
  const bool listed = place == &query && field != fields.end();
  (*place)[name] = value_of(text, listed ? &*field : nullptr);
}

}  // namespace

Json checked_query(std::string_view target, std::span<const Field> fields) {
  Json query = Json::object();
  const std::size_t begin = target.find('?');
  if (fields.empty()) return query;
  std::string_view rest =
      begin == std::string_view::npos ? std::string_view() : target.substr(begin + 1);
  rest = rest.substr(0, rest.find('#'));
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    std::string name = decoded(pair.substr(0, equals));
    const std::string text =
        equals == std::string_view::npos ? std::string() : decoded(pair.substr(equals + 1));
    add(query, std::move(name), text, fields);
  }
  return check_body(std::move(query), fields).json;
}

}  // namespace malina::serve
