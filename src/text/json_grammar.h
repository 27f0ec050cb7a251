// JSON objects (RFC 8259) as an automaton over bytes: which bytes may come next, and whether the
// object is complete. For constrained answers, so it is narrower than the RFC where a model could
// go on for ever or make what common parsers refuse:
// - the text is one object; strings are valid UTF-8, and \u surrogates come in pairs;
// - at most kJsonDepth objects and arrays are open at once (trust.md R11);
// - white space is what printers make: one blank, a line break, up to kJsonIndent blanks of one
//   kind, or a part of that; there is none behind the object;
// - a number has at most kJsonDigits digits before and behind the point and an exponent of at most
//   three digits, up to kJsonExponent: it is finite in double precision.
// Every state leads to a complete object, by one-byte steps out of kJsonClosingBytes and
// kJsonContinuationBytes: there is no dead end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace malina::text {

inline constexpr unsigned kJsonDepth = 64;
inline constexpr unsigned kJsonIndent = 32;
inline constexpr unsigned kJsonDigits = 32;
inline constexpr unsigned kJsonExponent = 275;  // 10^(32 + 275) is a double

// In any state one of these is accepted, and always taking the first that is ends in a complete
// object within a few bytes for each open object or array. Inside of a character that is so of the
// continuation bytes.
inline constexpr std::string_view kJsonClosingBytes = "\"}]:0d\\{ureals";
inline constexpr std::string_view kJsonContinuationBytes = "\x80\x90\xA0";

// Where in the text a state is.
enum class JsonPlace : std::uint8_t {
  // Between tokens: white space may stand here.
  before,         // of the object
  first_key,      // behind '{'
  next_key,       // behind a ',' of an object
  colon,          // behind a key
  first_element,  // behind '['
  value,          // behind ':', or a ',' of an array
  behind_value,
  complete,
  // In a number.
  minus,
  zero,  // that begins it
  integer,
  point,
  fraction,
  exponent_mark,
  exponent_sign,
  exponent,
  literal,  // true, false, null
  // In a string.
  string,
  escape,
  tail_1,   // one more byte of a character
  tail_2,   // two
  tail_3,   // three
  tail_e0,  // behind these leading bytes the next one has a range of its own
  tail_ed,
  tail_f0,
  tail_f4,
  hex_1,  // digits of \uXXXX
  hex_2,
  hex_2_d,  // behind \uD: 8 to B make a high surrogate, C to F a low one, which cannot be first
  hex_3,
  hex_4,
  high_3,  // of a high surrogate
  high_4,
  low_backslash,  // of the low surrogate that must follow
  low_u,
  low_1,
  low_2,
};
inline constexpr std::size_t kJsonPlaces = static_cast<std::size_t>(JsonPlace::low_2) + 1;

// What of white space stands before the next token.
enum class JsonBlank : std::uint8_t { none, blank, carriage_return, line_break, spaces, tabs };

// A value; equal states accept the same.
struct JsonState {
  std::uint64_t arrays = 0;    // bit i: what is open at depth i is an array, not an object
  std::uint16_t exponent = 0;  // its value so far
  std::uint8_t depth = 0;      // how many are open
  JsonPlace place = JsonPlace::before;
  std::uint8_t count = 0;  // blanks of an indent, digits so far, or where in a literal
  JsonBlank blank = JsonBlank::none;
  bool key = false;  // the string is a key

  bool operator==(const JsonState&) const = default;
};

constexpr bool in_string(JsonPlace place) { return place >= JsonPlace::string; }
constexpr bool complete(const JsonState& state) { return state.place == JsonPlace::complete; }

namespace json_grammar {
bool advance(JsonState& state, unsigned char byte);
}

// One byte on. False where it may not come; the state is then of no further use.
inline bool advance(JsonState& state, unsigned char byte) {
  const bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
  if (state.place == JsonPlace::string && plain) return true;
  return json_grammar::advance(state, byte);
}

// The state behind all the bytes; nothing where one of them may not come.
std::optional<JsonState> accepts(JsonState state, std::string_view bytes);

}  // namespace malina::text
