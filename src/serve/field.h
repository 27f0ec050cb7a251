// The fields of a request's body: one table for parsing, for the 400s and for the OpenAPI document.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace malina::serve {

using Json = nlohmann::ordered_json;

// A set of JSON types.
enum class Type : std::uint8_t {
  none = 0,
  text = 1,
  integer = 2,
  number = 4,  // integers too
  boolean = 8,
  array = 16,
  object = 32,
};
constexpr Type operator|(Type a, Type b) {
  return static_cast<Type>(static_cast<std::uint8_t>(a) | static_cast<std::uint8_t>(b));
}
constexpr bool has(Type set, Type type) {
  return (static_cast<std::uint8_t>(set) & static_cast<std::uint8_t>(type)) != 0;
}

// honoured: does what it says. inert: accepted, changes nothing, named in x-malina-ignored.
// refused: a 400 that names it, unless null or one of its neutral values, which ask for nothing.
enum class Use { honoured, inert, refused };

inline constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

struct Field {
  std::string_view name;
  Type types = Type::none;  // none: any
  Use use = Use::honoured;
  bool required = false;
  double least = -std::numeric_limits<double>::infinity();  // of a number
  double most = std::numeric_limits<double>::infinity();
  std::size_t shortest = 0;  // characters of a text, elements of an array, members of an object
  std::size_t longest = kUnlimited;
  std::size_t most_items = kUnlimited;           // of an array, where it may be a text too
  std::span<const std::string_view> words = {};  // the only texts there are
  Type item_types = Type::none;  // of an array's elements, or of the values of an open object;
                                 // least and most are theirs then, unless the field is a number
  std::span<const Field> fields = {};  // of an object, or of the objects in an array
  bool open = false;                   // an object of members that are not listed
  std::string_view neutral = "[]";     // JSON, a list of values
  bool told = false;                   // x-malina-ignored names a neutral value too
  std::string_view help = "";
};

// A body that has passed: members that were null are gone.
struct CheckedBody {
  Json json;
  std::vector<std::string> ignored;  // the inert ones that were given, by path
};

// Throws ApiError 400, naming the field and what is allowed, for a body that is not an object, an
// unknown field, a missing one, a wrong type, a value out of range.
CheckedBody check_body(Json body, std::span<const Field> fields);

// The same of a body as it came. 400 also for what is no JSON, or has too much in it.
CheckedBody parse_body(std::string text, std::span<const Field> fields);

// The JSON Schema of a body of these fields.
Json schema(std::span<const Field> fields);

}  // namespace malina::serve
