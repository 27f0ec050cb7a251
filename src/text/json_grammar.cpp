#include "text/json_grammar.h"

namespace malina::text {
namespace {

using enum JsonPlace;

constexpr std::string_view kLiterals{"true\0false\0null", 15};

constexpr bool is_digit(unsigned char byte) { return byte >= '0' && byte <= '9'; }
constexpr bool is_hex(unsigned char byte) {
  return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

bool go(JsonState& state, JsonPlace place) {
  state.place = place;
  return true;
}
bool go_if(JsonState& state, bool condition, JsonPlace place) {
  state.place = place;
  return condition;
}

bool open(JsonState& state, bool array) {
  if (state.depth == kJsonDepth) return false;
  state.arrays |= std::uint64_t{array} << state.depth;
  ++state.depth;
  return go(state, array ? first_element : first_key);
}

bool in_array(const JsonState& state) { return ((state.arrays >> (state.depth - 1U)) & 1U) != 0; }

bool close(JsonState& state, bool array) {
  if (in_array(state) != array) return false;
  --state.depth;
  state.arrays &= ~(std::uint64_t{1} << state.depth);
  return go(state, state.depth == 0 ? JsonPlace::complete : behind_value);
}

bool begin_string(JsonState& state, bool key) {
  state.key = key;
  return go(state, string);
}

bool begin_literal(JsonState& state, std::size_t first) {
  state.count = static_cast<std::uint8_t>(first + 1);
  return go(state, literal);
}

bool begin_value(JsonState& state, unsigned char byte) {
  switch (byte) {
    case '"':
      return begin_string(state, false);
    case '{':
      return open(state, false);
    case '[':
      return open(state, true);
    case '-':
      return go(state, minus);
    case '0':
      return go(state, zero);
    case 't':
      return begin_literal(state, 0);
    case 'f':
      return begin_literal(state, 5);
    case 'n':
      return begin_literal(state, 11);
    default:
      state.count = 1;
      return go_if(state, is_digit(byte), integer);
  }
}

bool follow_value(JsonState& state, unsigned char byte) {
  if (byte == ',') return go(state, in_array(state) ? value : next_key);
  return (byte == '}' && close(state, false)) || (byte == ']' && close(state, true));
}

bool indent(JsonState& state, JsonBlank kind) {
  state.blank = kind;
  return ++state.count <= kJsonIndent;
}

bool advance_blank(JsonState& state, unsigned char byte) {
  const JsonBlank before = state.blank;
  const JsonBlank kind = byte == ' ' ? JsonBlank::spaces : JsonBlank::tabs;
  switch (byte) {
    case '\n':
      state.blank = JsonBlank::line_break;
      return before < JsonBlank::line_break;
    case '\r':
      state.blank = JsonBlank::carriage_return;
      return before < JsonBlank::carriage_return;
    default:
      if (before == JsonBlank::line_break || before == kind) return indent(state, kind);
      state.blank = JsonBlank::blank;
      return before == JsonBlank::none;
  }
}

bool advance_between(JsonState& state, unsigned char byte) {
  if (byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t')
    return advance_blank(state, byte);
  state.count = 0;
  state.blank = JsonBlank::none;
  switch (state.place) {
    case before:
      return byte == '{' && open(state, false);
    case first_key:
      return byte == '}' ? close(state, false) : byte == '"' && begin_string(state, true);
    case next_key:
      return byte == '"' && begin_string(state, true);
    case colon:
      return go_if(state, byte == ':', value);
    case first_element:
      return byte == ']' ? close(state, true) : begin_value(state, byte);
    case value:
      return begin_value(state, byte);
    default:
      return follow_value(state, byte);
  }
}

// What follows a whole number, if it does not go on.
bool end_number(JsonState& state, unsigned char byte) {
  state.count = 0;
  state.exponent = 0;
  state.place = behind_value;
  return advance_between(state, byte);
}

bool advance_digit(JsonState& state) { return ++state.count <= kJsonDigits; }

bool advance_exponent(JsonState& state, unsigned char byte) {
  if (!is_digit(byte)) return state.place == exponent && end_number(state, byte);
  const unsigned next = state.exponent * 10U + (byte - '0');
  if (++state.count > 3 || next > kJsonExponent) return false;
  state.exponent = static_cast<std::uint16_t>(next);
  return go(state, exponent);
}

bool begin_exponent(JsonState& state) {
  state.count = 0;
  return go(state, exponent_mark);
}

bool advance_number(JsonState& state, unsigned char byte) {
  const bool mark = byte == 'e' || byte == 'E';
  switch (state.place) {
    case minus:
      return is_digit(byte) && begin_value(state, byte);
    case integer:
      if (is_digit(byte)) return advance_digit(state);
      [[fallthrough]];
    case zero:
      if (mark) return begin_exponent(state);
      if (byte != '.') return end_number(state, byte);
      state.count = 0;
      return go(state, point);
    case point:
      state.count = 1;
      return go_if(state, is_digit(byte), fraction);
    case fraction:
      if (is_digit(byte)) return advance_digit(state);
      return mark ? begin_exponent(state) : end_number(state, byte);
    case exponent_mark:
      if (byte == '+' || byte == '-') return go(state, exponent_sign);
      [[fallthrough]];
    default:
      return advance_exponent(state, byte);
  }
}

bool advance_literal(JsonState& state, unsigned char byte) {
  if (byte != static_cast<unsigned char>(kLiterals[state.count])) return false;
  ++state.count;
  if (state.count < kLiterals.size() && kLiterals[state.count] != '\0') return true;
  state.count = 0;
  return go(state, behind_value);
}

// The second bytes are those of the table 3-7 of the Unicode standard: no overlong forms, no
// surrogates, nothing above U+10FFFF.
bool begin_character(JsonState& state, unsigned char byte) {
  if (byte < 0xC2 || byte > 0xF4) return false;
  if (byte < 0xE0) return go(state, tail_1);
  if (byte == 0xE0) return go(state, tail_e0);
  if (byte == 0xED) return go(state, tail_ed);
  if (byte < 0xF0) return go(state, tail_2);
  if (byte == 0xF0) return go(state, tail_f0);
  return go(state, byte == 0xF4 ? tail_f4 : tail_3);
}

bool advance_plain(JsonState& state, unsigned char byte) {
  if (byte == '\\') return go(state, escape);
  if (byte != '"') return byte >= 0x20 && (byte < 0x80 || begin_character(state, byte));
  state.place = state.key ? colon : behind_value;
  state.key = false;
  return true;
}

bool advance_escape(JsonState& state, unsigned char byte) {
  if (byte == 'u') return go(state, hex_1);
  return go_if(state,
               byte != '\0' && std::string_view("\"\\/bfnrt").find(static_cast<char>(byte)) !=
                                   std::string_view::npos,
               string);
}

bool advance_surrogate(JsonState& state, unsigned char byte) {
  switch (state.place) {
    case hex_2_d:
      if (byte >= '0' && byte <= '7') return go(state, hex_3);
      return go_if(state,
                   byte == '8' || byte == '9' || (byte | 0x20) == 'a' || (byte | 0x20) == 'b',
                   high_3);
    case high_3:
      return go_if(state, is_hex(byte), high_4);
    case high_4:
      return go_if(state, is_hex(byte), low_backslash);
    case low_backslash:
      return go_if(state, byte == '\\', low_u);
    case low_u:
      return go_if(state, byte == 'u', low_1);
    case low_1:
      return go_if(state, (byte | 0x20) == 'd', low_2);
    default:
      return go_if(state, (byte | 0x20) >= 'c' && (byte | 0x20) <= 'f', hex_3);
  }
}

bool advance_string(JsonState& state, unsigned char byte) {
  const auto tail = [&](unsigned first, unsigned last, JsonPlace next) {
    return go_if(state, byte >= first && byte <= last, next);
  };
  switch (state.place) {
    case string:
      return advance_plain(state, byte);
    case escape:
      return advance_escape(state, byte);
    case tail_1:
      return tail(0x80, 0xBF, string);
    case tail_2:
      return tail(0x80, 0xBF, tail_1);
    case tail_3:
      return tail(0x80, 0xBF, tail_2);
    case tail_e0:
      return tail(0xA0, 0xBF, tail_1);
    case tail_ed:
      return tail(0x80, 0x9F, tail_1);
    case tail_f0:
      return tail(0x90, 0xBF, tail_2);
    case tail_f4:
      return tail(0x80, 0x8F, tail_2);
    case hex_1:
      return go_if(state, is_hex(byte), (byte | 0x20) == 'd' ? hex_2_d : hex_2);
    case hex_2:
      return go_if(state, is_hex(byte), hex_3);
    case hex_3:
      return go_if(state, is_hex(byte), hex_4);
    case hex_4:
      return go_if(state, is_hex(byte), string);
    default:
      return advance_surrogate(state, byte);
  }
}

}  // namespace

namespace json_grammar {

bool advance(JsonState& state, unsigned char byte) {
  if (state.place < JsonPlace::complete) return advance_between(state, byte);
  if (state.place == JsonPlace::complete) return false;
  if (state.place < literal) return advance_number(state, byte);
  if (state.place == literal) return advance_literal(state, byte);
  return advance_string(state, byte);
}

}  // namespace json_grammar

std::optional<JsonState> accepts(JsonState state, std::string_view bytes) {
  for (const char byte : bytes)
    if (!advance(state, static_cast<unsigned char>(byte))) return std::nullopt;
  return state;
}

}  // namespace malina::text
