#include "tune/data/personal_data.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace malina::tune {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_letter(char c) { return is_upper(c) || (c >= 'a' && c <= 'z'); }
// Bytes of other scripts count as letters: they continue a word.
bool is_word(char c) { return is_digit(c) || is_letter(c) || c == '_' || (c & 0x80) != 0; }

// Lengths by country: the IBAN registry of SWIFT, release 97.
constexpr std::pair<std::string_view, std::size_t> kIbanLengths[]{
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22},
    {"BH", 22}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22},
    {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18}, {"FO", 18}, {"FR", 27},
    {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27}, {"GT", 28}, {"HR", 21}, {"HU", 28},
    {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26}, {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20},
    {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27},
    {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NL", 18}, {"NO", 15},
    {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"SA", 24},
    {"SC", 31}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"ST", 25}, {"SV", 28}, {"TL", 23},
    {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}};

bool is_local_part(char c) {
  return is_word(c) || c == '.' || c == '+' || c == '-' || c == '%' || c == '\'';
}

// Around the sign at `at`.
std::optional<PersonalDataFound> email_at(std::string_view text, std::size_t at) {
  std::size_t begin = at;
  while (begin > 0 && at - begin < 64 && is_local_part(text[begin - 1])) --begin;
  while (begin < at && (text[begin] == '.' || text[begin] == '-' || text[begin] == '\'')) ++begin;
  std::size_t end = at + 1, last_dot = 0;
  while (end < text.size() && (is_word(text[end]) || text[end] == '-' || text[end] == '.')) {
    if (text[end] == '.') {
      if (text[end - 1] == '.' || text[end - 1] == '@') break;
      last_dot = end;
    }
    ++end;
  }
  if (end > at + 1 && text[end - 1] == '.') {  // the sentence's
    --end;
    last_dot = text.substr(0, end).rfind('.');
    if (last_dot == std::string_view::npos || last_dot < at) last_dot = 0;
  }
  if (begin == at || last_dot == 0 || end - last_dot < 3) return std::nullopt;
  for (std::size_t i = last_dot + 1; i < end; ++i)
    if (!is_letter(text[i])) return std::nullopt;
  return PersonalDataFound{PersonalData::email, begin, end};
}

// Digits and capitals from `begin`, over single spaces; as many as the country's number has.
std::optional<PersonalDataFound> iban_at(std::string_view text, std::size_t begin) {
  const auto country =
      std::find_if(std::begin(kIbanLengths), std::end(kIbanLengths),
                   [&](const auto& entry) { return text.substr(begin).starts_with(entry.first); });
  if (country == std::end(kIbanLengths)) return std::nullopt;
  std::string number;
  std::size_t at = begin;
  while (at < text.size() && number.size() < country->second) {
    const char c = text[at];
    if (is_digit(c) || is_upper(c))
      number.push_back(c);
    else if (c != ' ' || text[at - 1] == ' ')
      break;
    ++at;
  }
  if (at < text.size() && is_word(text[at])) return std::nullopt;
  if (!is_iban(number)) return std::nullopt;
  return PersonalDataFound{PersonalData::iban, begin, at};
}

// A number as people write it: digits in groups, with single separators between.
struct Number {
  std::size_t begin, end;
  std::string digits;
  std::vector<std::size_t> groups;  // digits of each
  std::string separators;           // between the groups
  bool plus;                        // stands before it
  bool parenthesis;                 // around its first group
};

Number number_at(std::string_view text, std::size_t begin) {
  Number number{begin, begin, {}, {0}, {}, begin > 0 && text[begin - 1] == '+', false};
  number.parenthesis = begin > 0 && text[begin - 1] == '(';
  std::size_t at = begin;
  // No kind has more digits than a card; going on would cost the square of a row of figures.
  constexpr std::size_t kMostDigits = 19;
  while (at < text.size()) {
    if (is_digit(text[at])) {
      number.digits.push_back(text[at++]);
      ++number.groups.back();
      number.end = at;
      continue;
    }
    std::size_t next = at + 1;
    if (text[at] == ')' && next < text.size() && text[next] == ' ') ++next;  // "(555) 123"
    const bool separates =
        text[at] == ' ' || text[at] == '-' || text[at] == '.' || text[at] == '/' || text[at] == ')';
    if (!separates || next >= text.size() || !is_digit(text[next])) break;
    if (number.digits.size() > kMostDigits) break;
    number.separators.push_back(text[at]);
    number.groups.push_back(0);
    at = next;
  }
  return number;
}

bool only(const Number& number, std::string_view separators) {
  return number.separators.find_first_not_of(separators) == std::string::npos;
}

// Visa, Mastercard (two ranges), American Express, Diners, Discover, JCB, UnionPay, Maestro.
bool has_card_prefix(std::string_view digits) {
  const int two = (digits[0] - '0') * 10 + digits[1] - '0';
  const int four = two * 100 + (digits[2] - '0') * 10 + digits[3] - '0';
  return digits[0] == '4' || (two >= 50 && two <= 69) || (four >= 2221 && four <= 2720) ||
         two == 34 || two == 37 || two == 35 || two == 36 || two == 38 || two == 30;
}

bool is_card(const Number& number) {
  const std::size_t count = number.digits.size();
  if (count < 13 || count > 19 || number.plus || !only(number, " -")) return false;
  // One group, or groups of four to six: a list of small numbers is no card.
  for (std::size_t i = 0; i + 1 < number.groups.size(); ++i)
    if (number.groups[i] < 4 || number.groups[i] > 6) return false;
  return has_card_prefix(number.digits) && has_luhn_sum(number.digits);
}

bool is_written_birth_number(const Number& number) {
  if (number.plus || number.parenthesis) return false;
  const bool slash = number.separators == "/" && number.groups[0] == 6;
  const bool plain = number.separators.empty() && number.digits.size() == 10;
  return (slash || plain) && is_birth_number(number.digits);
}

bool is_phone(const Number& number) {
  const std::size_t count = number.digits.size();
  const auto& groups = number.groups;
  if (number.plus) return count >= 8 && count <= 15;
  if (number.digits.starts_with("00") && groups[0] >= 4 && only(number, " -") && count >= 10)
    return count <= 17 && number.digits[2] != '0';  // as no country's code begins
  if (groups == std::vector<std::size_t>{3, 3, 4})  // (555) 123-4567, 555-123-4567
    return number.parenthesis || number.separators == "--" || number.separators == "..";
  // Czech, Polish, Spanish and others: three groups of three.
  return groups == std::vector<std::size_t>{3, 3, 3} && number.separators == "  " &&
         number.digits[0] >= '2';
}

std::optional<PersonalDataFound> number_found(std::string_view text, const Number& number) {
  if (number.end < text.size() && is_word(text[number.end])) return std::nullopt;
  const auto found = [&](PersonalData kind) {
    return PersonalDataFound{kind, number.begin, number.end};
  };
  if (is_card(number)) return found(PersonalData::payment_card);
  if (is_written_birth_number(number)) return found(PersonalData::birth_number);
  if (is_phone(number)) return found(PersonalData::phone);
  return std::nullopt;
}

// What begins at `at`; moves it behind what was looked at.
std::optional<PersonalDataFound> found_at(std::string_view text, std::size_t& at) {
  const bool word_begins = at == 0 || !is_word(text[at - 1]);
  if (word_begins && is_upper(text[at])) {
    if (auto found = iban_at(text, at)) {
      at = found->end;
      return found;
    }
  }
  if (word_begins && is_digit(text[at])) {
    const Number number = number_at(text, at);
    auto found = number_found(text, number);
    // "on 12 4539 1488 0343 6467": what is none as a whole may be one after its first group.
    at = found || number.groups.size() == 1 ? number.end : number.begin + number.groups[0];
    return found;
  }
  ++at;
  return std::nullopt;
}

}  // namespace

std::string_view name(PersonalData kind) {
  switch (kind) {
    case PersonalData::email:
      return "email";
    case PersonalData::iban:
      return "iban";
    case PersonalData::payment_card:
      return "payment_card";
    case PersonalData::birth_number:
      return "birth_number";
    case PersonalData::phone:
      return "phone";
  }
  return "";
}

std::string_view words(PersonalData kind) {
  switch (kind) {
    case PersonalData::email:
      return "e-mail addresses";
    case PersonalData::iban:
      return "account numbers (IBAN)";
    case PersonalData::payment_card:
      return "payment cards";
    case PersonalData::birth_number:
      return "birth numbers (rodné číslo)";
    case PersonalData::phone:
      return "telephone numbers";
  }
  return "";
}

bool is_iban(std::string_view number) {
  const auto country =
      std::find_if(std::begin(kIbanLengths), std::end(kIbanLengths),
                   [&](const auto& entry) { return number.starts_with(entry.first); });
  if (country == std::end(kIbanLengths) || number.size() != country->second) return false;
  if (!is_digit(number[2]) || !is_digit(number[3])) return false;
  int remainder = 0;  // of the number with its first four signs last, letters as 10 to 35
  for (std::size_t i = 0; i < number.size(); ++i) {
    const char c = number[(i + 4) % number.size()];
    if (is_digit(c))
      remainder = (remainder * 10 + (c - '0')) % 97;
    else if (is_upper(c))
      remainder = (remainder * 100 + (c - 'A' + 10)) % 97;
    else
      return false;
  }
  return remainder == 1;
}

bool has_luhn_sum(std::string_view digits) {
  int sum = 0;
  bool twice = false;
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit, twice = !twice) {
    if (!is_digit(*digit)) return false;
    const int value = (*digit - '0') * (twice ? 2 : 1);
    sum += value > 9 ? value - 9 : value;
  }
  return !digits.empty() && sum % 10 == 0;
}

// Act 133/2000 Coll., section 13: YYMMDD and an ending of three digits until 1953, of four since;
// the month is 50 more for women, and since 2004 may be 20 more for either.
bool is_birth_number(std::string_view digits) {
  if (digits.size() != 9 && digits.size() != 10) return false;
  if (!std::all_of(digits.begin(), digits.end(), is_digit)) return false;
  const auto two = [&](std::size_t at) { return (digits[at] - '0') * 10 + digits[at + 1] - '0'; };
  int year = two(0), month = two(2);
  const int day = two(4);
  if (digits.size() == 9) {
    if (year > 53) return false;
    year += 1900;
  } else {
    year += year < 54 ? 2000 : 1900;
  }
  if (month > 50) month -= 50;
  if (month > 20 && year >= 2004) month -= 20;
  if (month < 1 || month > 12 || day < 1) return false;
  constexpr int kDays[]{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (day > kDays[month - 1] + (leap && month == 2 ? 1 : 0)) return false;
  if (digits.size() == 9) return digits.substr(6) != "000";
  std::uint64_t nine = 0;
  for (const char c : digits.substr(0, 9)) nine = nine * 10 + static_cast<std::uint64_t>(c - '0');
  // Until 1985 some were given out whose remainder is 10, with a last digit of 0.
  return nine % 11 % 10 == static_cast<std::uint64_t>(digits[9] - '0') &&
         (nine % 11 != 10 || year < 1986);
}

std::vector<PersonalDataFound> find_personal_data(std::string_view text) {
  std::vector<PersonalDataFound> found;
  std::size_t covered = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '@') {
      auto email = email_at(text, at++);
      if (!email || email->begin < covered) continue;
      at = covered = email->end;
      found.push_back(*email);
      continue;
    }
    if (auto one = found_at(text, at)) {
      covered = one->end;
      // "777123456@x.cz" is an address: the sign after it decides.
      if (covered < text.size() && text[covered] == '@' && is_digit(text[covered - 1])) {
        covered = one->begin;
        continue;
      }
      found.push_back(*one);
    }
  }
  return found;
}

}  // namespace malina::tune
