// Characters as Python's `str` sees them: what counts as a space, a line end, a cased letter.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace malina::text::jinja {

// The character at `position`, which moves past it. `bytes` is valid UTF-8.
char32_t next_character(std::string_view bytes, std::size_t& position);
// The character that ends at `position`, which moves to its first byte.
char32_t previous_character(std::string_view bytes, std::size_t& position);
void append_character(std::string& bytes, char32_t character);
std::size_t count_characters(std::string_view bytes);  // valid UTF-8
// The byte of the first flaw (a surrogate and an overlong form are flaws too), if there is one.
std::optional<std::size_t> first_invalid_utf8(std::string_view bytes);

bool is_space(char32_t character);       // str.isspace, and what str.strip and `\s` take
bool is_line_break(char32_t character);  // str.splitlines
bool is_lower(char32_t character);
bool is_upper(char32_t character);
bool is_title(char32_t character);
bool is_cased(char32_t character);
bool is_case_ignorable(char32_t character);
bool is_alphabetic(char32_t character);
bool is_decimal(char32_t character);
bool is_digit(char32_t character);  // decimals, and superscripts, circled digits and the like
bool is_alphanumeric(char32_t character);  // letters and numbers of every kind
bool is_printable(char32_t character);

enum class Case { lower, upper, title };
// One character becomes one to three; 0 ends a shorter result.
using Mapped = std::array<char32_t, 3>;
Mapped map_case(char32_t character, Case target);

// `bytes` without the white space at its ends, of which either may be kept.
std::string_view strip_space(std::string_view bytes, bool left = true, bool right = true);

}  // namespace malina::text::jinja
