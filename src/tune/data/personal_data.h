// Personal data in a text, by its form; numbers that have a checksum are checked by it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace malina::tune {

enum class PersonalData : std::uint8_t {
  email,
  iban,          // ISO 13616: the country's length, and 1 modulo 97
  payment_card,  // 13 to 19 digits of a known network, Luhn's sum
  birth_number,  // Czech and Slovak rodné číslo: a date, and modulo 11 where it has ten digits
  phone,         // international, or in one of a few national ways to write it; no checksum exists
};
inline constexpr std::array kPersonalData{PersonalData::email, PersonalData::iban,
                                          PersonalData::payment_card, PersonalData::birth_number,
                                          PersonalData::phone};

std::string_view name(PersonalData kind);   // "birth_number"
std::string_view words(PersonalData kind);  // "birth numbers (rodné číslo)"

struct PersonalDataFound {
  PersonalData kind;
  std::size_t begin, end;  // bytes of the text
  bool operator==(const PersonalDataFound&) const = default;
};

// In order, without overlaps; where several kinds fit, the first in the order above.
std::vector<PersonalDataFound> find_personal_data(std::string_view text);

// Checks of numbers alone, without spaces: for tests and for those who have fields.
bool is_iban(std::string_view number);  // upper case
bool has_luhn_sum(std::string_view digits);
bool is_birth_number(std::string_view digits);  // nine or ten, without the slash

}  // namespace malina::tune
