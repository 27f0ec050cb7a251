#include "serve/field.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/json_text.h"
#include "base/near_match.h"
#include "base/quote.h"
#include "base/utf8.h"
#include "serve/api_error.h"

namespace malina::serve {

namespace {

constexpr std::pair<Type, std::string_view> kTypes[] = {
    {Type::text, "string"},     {Type::integer, "integer"}, {Type::number, "number"},
    {Type::boolean, "boolean"}, {Type::array, "array"},     {Type::object, "object"}};

std::string list(Type types) {
  std::string words;
  for (const auto& [type, word] : kTypes)
    if (has(types, type)) words += (words.empty() ? "" : " or ") + std::string(word);
  return words;
}

bool is_whole(const Json& value) {
  return value.is_number_integer() ||
         (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>() &&
          std::abs(value.get<double>()) < 9.0e15);
}

bool fits(const Json& value, Type types) {
  if (types == Type::none) return true;
  if (value.is_string()) return has(types, Type::text);
  if (value.is_boolean()) return has(types, Type::boolean);
  if (value.is_array()) return has(types, Type::array);
  if (value.is_object()) return has(types, Type::object);
  return value.is_number() &&
         (has(types, Type::number) || (has(types, Type::integer) && is_whole(value)));
}

std::string_view type_word(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_number()) return is_whole(value) ? "integer" : "number";
  return value.type_name();
}

// An open object whose values are of certain types; where it may be an array too, the types are
// those of the array's elements.
bool has_typed_values(const Field& field) {
  return field.open && field.item_types != Type::none && !has(field.types, Type::array);
}

class Checker {
 public:
  explicit Checker(std::vector<std::string>& ignored) : ignored_(ignored) {}

  void object(Json& object, std::span<const Field> fields, const std::string& path, bool open) {
    for (const auto& [key, value] : object.items()) {
      const Field* field = find(fields, key);
      if (field == nullptr && !open) unknown(fields, key, path);
    }
    for (const Field& field : fields) {
      const auto found = object.find(field.name);
      const bool absent = found == object.end() || found->is_null();
      if (absent && field.required)
        throw bad_request(fmt::format("'{}' is required", join(path, field.name)),
                          join(path, field.name), "missing_required_parameter");
      if (!absent) check(*found, field, join(path, field.name));
    }
    Json present = Json::object();
    for (auto& [key, value] : object.items())
      if (!value.is_null()) present.emplace(key, std::move(value));
    object = std::move(present);
  }

 private:
  static std::string join(const std::string& path, std::string_view name) {
    return path.empty() ? std::string(name) : path + "." + std::string(name);
  }
  static const Field* find(std::span<const Field> fields, std::string_view name) {
    const auto found = std::ranges::find(fields, name, &Field::name);
    return found == fields.end() ? nullptr : &*found;
  }
  [[noreturn]] static void unknown(std::span<const Field> fields, const std::string& key,
                                   const std::string& path) {
    std::vector<std::string> names;
    for (const Field& field : fields) names.emplace_back(field.name);
    throw bad_name(fmt::format("there is no field {}{}", base::in_quotes(join(path, key)),
                               base::did_you_mean(key, names)),
                   join(path, key), "unknown_parameter");
  }
  [[noreturn]] static void refuse(const std::string& path, const std::string& what) {
    throw bad_request(fmt::format("'{}' {}", path, what), path, "invalid_value");
  }

  void check(Json& value, const Field& field, const std::string& path) {
    if (field.use == Use::refused) {
      const Json neutral = Json::parse(field.neutral);
      if (std::ranges::find(neutral, value) != neutral.end()) {
        if (field.told) ignored_.push_back(path);
        value = nullptr;  // asks for nothing: as if it were not there
        return;
      }
      throw bad_request(
          fmt::format("'{}' is not supported{}", path,
                      neutral.empty() ? "" : "; leave it out, or give " + neutral[0].dump()),
          path, "unsupported_parameter");
    }
    if (!fits(value, field.types))
      refuse(path, fmt::format("must be {}, not {}", list(field.types), type_word(value)));
    if (field.use == Use::inert) ignored_.push_back(path);
    if (value.is_number()) number(value, field, field.types, path);
    if (value.is_string()) text(value.get_ref<const std::string&>(), field, path);
    if (value.is_array()) array(value, field, path);
    if (value.is_object()) {
      length(value.size(), field, path, "members");
      if (has_typed_values(field)) values(value, field, path);
      if (!field.fields.empty() || !field.open) object(value, field.fields, path, field.open);
    }
  }

  static void number(Json& value, const Field& field, Type types, const std::string& path) {
    const double number = value.get<double>();
    if (number < field.least || number > field.most) {
      if (std::isinf(field.most)) refuse(path, fmt::format("must be at least {}", field.least));
      if (std::isinf(field.least)) refuse(path, fmt::format("must be at most {}", field.most));
      refuse(path, fmt::format("must be between {} and {}, not {}", field.least, field.most,
                               value.dump().substr(0, 40)));
    }
    if (value.is_number_float() && types != Type::none && !has(types, Type::number))
      value = static_cast<std::int64_t>(number);  // 5.0 is a whole number, as JSON Schema has it
  }

  // As JSON Schema counts. The parser has let valid UTF-8 through alone.
  static void text(const std::string& value, const Field& field, const std::string& path) {
    length(base::code_points(value), field, path, "characters");
    if (field.words.empty() || std::ranges::find(field.words, value) != field.words.end()) return;
    std::string words;
    for (const std::string_view word : field.words)
      words += fmt::format("{}'{}'", words.empty() ? "" : ", ", word);
    refuse(path, fmt::format("must be one of {}, not {}", words, base::in_quotes(value)));
  }

  static void length(std::size_t length, const Field& field, const std::string& path,
                     std::string_view unit) {
    if (length < field.shortest)
      refuse(path, field.shortest == 1
                       ? "is empty"
                       : fmt::format("has {} {}, fewer than {}", length, unit, field.shortest));
    if (length > field.longest)
      refuse(path, fmt::format("has {} {}, more than {}", length, unit, field.longest));
  }

  // The keys are the client's own, and not repeated.
  static void values(Json& object, const Field& field, const std::string& path) {
    for (auto& [key, value] : object.items()) {
      if (!fits(value, field.item_types))
        refuse(path, fmt::format("must have values that are {}, not {}", list(field.item_types),
                                 type_word(value)));
      if (value.is_number()) number(value, field, field.item_types, path);
    }
  }

  void array(Json& value, const Field& field, const std::string& path) {
    length(value.size(), field, path, "elements");
    if (value.size() > field.most_items)
      refuse(path, fmt::format("has {} elements, more than {}", value.size(), field.most_items));
    for (std::size_t i = 0; i < value.size(); ++i) {
      const std::string place = fmt::format("{}[{}]", path, i);
      if (!fits(value[i], field.item_types))
        refuse(place,
               fmt::format("must be {}, not {}", list(field.item_types), type_word(value[i])));
      if (value[i].is_number()) number(value[i], field, field.item_types, place);
      if (value[i].is_object() && !field.fields.empty())
        object(value[i], field.fields, place, field.open);
    }
  }

  std::vector<std::string>& ignored_;
};

Json types_schema(Type types) {
  Json words = Json::array();
  for (const auto& [type, word] : kTypes)
    if (has(types, type)) words.push_back(word);
  return words;
}

Json field_schema(const Field& field) {
  Json result = Json::object();
  if (!field.help.empty()) result["description"] = field.help;
  if (field.use == Use::refused) {
    result["enum"] = Json::parse(field.neutral);
    result["enum"].push_back(nullptr);
    return result;
  }
  if (field.types != Type::none) {
    result["type"] = types_schema(field.types);
    if (!field.required) result["type"].push_back("null");
  }
  const bool bounds_values = has_typed_values(field);
  if (!std::isinf(field.least) && !bounds_values) result["minimum"] = field.least;
  if (!std::isinf(field.most) && !bounds_values) result["maximum"] = field.most;
  if (!field.words.empty()) {
    result["enum"] = field.words;
    if (!field.required) result["enum"].push_back(nullptr);
  }
  const auto limit = [&](Type type, const char* least, const char* most) {
    if (!has(field.types, type)) return;
    if (field.shortest > 0) result[least] = field.shortest;
    if (field.longest != kUnlimited) result[most] = field.longest;
  };
  limit(Type::text, "minLength", "maxLength");
  limit(Type::array, "minItems", "maxItems");
  limit(Type::object, "minProperties", "maxProperties");
  if (field.most_items != kUnlimited) result["maxItems"] = field.most_items;
  if (bounds_values) {
    Json& values = result["additionalProperties"] = {{"type", types_schema(field.item_types)}};
    if (!std::isinf(field.least)) values["minimum"] = field.least;
    if (!std::isinf(field.most)) values["maximum"] = field.most;
  }
  if (has(field.types, Type::array)) {
    Json items = field.fields.empty() ? Json::object() : schema(field.fields);
    if (field.open) items.erase("additionalProperties");
    if (field.item_types != Type::none) items["type"] = types_schema(field.item_types);
    for (const char* bound : {"minimum", "maximum"})
      if (result.contains(bound) && !has(field.types, Type::number | Type::integer)) {
        items[bound] = result[bound];
        result.erase(bound);
      }
    result["items"] = std::move(items);
  }
  if (has(field.types, Type::object) && (!field.fields.empty() || !field.open)) {
    Json inner = schema(field.fields);
    inner.erase("type");
    if (field.open) inner.erase("additionalProperties");
    result.update(inner);
  }
  return result;
}

}  // namespace

CheckedBody check_body(Json body, std::span<const Field> fields) {
  if (!body.is_object()) throw bad_request("the body must be a JSON object");
  CheckedBody result;
  Checker(result.ignored).object(body, fields, "", false);
  result.json = std::move(body);
  return result;
}

// Ordered, since templates show tools in the order in which they came; so members are bounded.
CheckedBody parse_body(std::string text, std::span<const Field> fields) {
  constexpr base::JsonLimits kLimits{
      .bytes = std::size_t{1} << 30, .values = 1 << 18, .depth = 64, .members = 1024};
  Json body;
  try {
    body = base::parse_json<Json>(text, "the body", kLimits);
  } catch (const base::Error& error) {
    throw bad_request(error.what(), {}, "invalid_json");
  }
  text = {};  // before it is there twice
  return check_body(std::move(body), fields);
}

Json schema(std::span<const Field> fields) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const Field& field : fields) {
    properties[std::string(field.name)] = field_schema(field);
    if (field.required) required.push_back(field.name);
  }
  Json result{{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) result["required"] = std::move(required);
  result["additionalProperties"] = false;
  return result;
}

}  // namespace malina::serve
