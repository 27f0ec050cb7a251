#include "tune/data/personal_data.h"

#include <gtest/gtest.h>

#include <string>

namespace malina::tune {
namespace {

// "kind:text" of all that is found.
std::string found(const std::string& text) {
  std::string result;
  for (const auto& one : find_personal_data(text))
    result += (result.empty() ? "" : " ") + std::string(name(one.kind)) + ":" +
              text.substr(one.begin, one.end - one.begin);
  return result;
}

TEST(PersonalData, EmailAddressesEndWhereTheyEnd) {
  EXPECT_EQ(found("Write to jan.novak+a@mail.example.cz."), "email:jan.novak+a@mail.example.cz");
  EXPECT_EQ(found("(a@b.org), c@d.io"), "email:a@b.org email:c@d.io");
  EXPECT_EQ(found("777123456@seznam.cz"), "email:777123456@seznam.cz");
  for (const char* none : {"user @ home", "a@b", "@handle", "a@b.", "a@.cz", "x@1.2", "a@b..cz"})
    EXPECT_EQ(found(none), "") << none;
}

TEST(PersonalData, AccountNumbersHaveTheirCountrysLengthAndSum) {
  EXPECT_TRUE(is_iban("CZ6508000000192000145399"));
  EXPECT_TRUE(is_iban("GB82WEST12345698765432"));
  EXPECT_TRUE(is_iban("DE89370400440532013000"));
  EXPECT_FALSE(is_iban("DE89370400440532013001"));
  EXPECT_FALSE(is_iban("DE8937040044053201300"));
  EXPECT_EQ(found("to CZ65 0800 0000 1920 0014 5399 today"), "iban:CZ65 0800 0000 1920 0014 5399");
  EXPECT_EQ(found("to CZ65 0800 0000 1920 0014 5398 today"), "");
  EXPECT_EQ(found("XDE89370400440532013000"), "");
}

TEST(PersonalData, CardsHaveLuhnsSum) {
  EXPECT_TRUE(has_luhn_sum("4539148803436467"));
  EXPECT_FALSE(has_luhn_sum("4539148803436468"));
  EXPECT_EQ(found("card 4539 1488 0343 6467, please"), "payment_card:4539 1488 0343 6467");
  EXPECT_EQ(found("378282246310005"), "payment_card:378282246310005");
  EXPECT_EQ(found("on 12 4539-1488-0343-6467"), "payment_card:4539-1488-0343-6467");
  EXPECT_EQ(found("4539 1488 0343 6468"), "");
  EXPECT_EQ(found("0000000000000000"), "");  // a sum alone is not enough
}

TEST(PersonalData, BirthNumbersHaveADateAndARemainder) {
  EXPECT_TRUE(is_birth_number("7801233540"));   // 780123354 % 11 is 10: given out until 1985
  EXPECT_TRUE(is_birth_number("8555140000"));   // a woman, 14 May 1985
  EXPECT_TRUE(is_birth_number("531231123"));    // nine digits
  EXPECT_FALSE(is_birth_number("541231123"));   // not any more in 1954
  EXPECT_FALSE(is_birth_number("8513140003"));  // a thirteenth month
  EXPECT_FALSE(is_birth_number("8502300004"));  // 30 February
  EXPECT_FALSE(is_birth_number("8555140001"));
  EXPECT_EQ(found("RČ: 855514/0000."), "birth_number:855514/0000");
  EXPECT_EQ(found("RČ 8555140000"), "birth_number:8555140000");
  EXPECT_EQ(found("č. j. 855514/0001"), "");
}

TEST(PersonalData, TelephonesAreWrittenInAFewWays) {
  EXPECT_EQ(found("call +420 777 123 456 now"), "phone:420 777 123 456");
  EXPECT_EQ(found("777 123 456"), "phone:777 123 456");
  EXPECT_EQ(found("(555) 123-4567 or 555-123-4567"), "phone:555) 123-4567 phone:555-123-4567");
  EXPECT_EQ(found("00420 777123456"), "phone:00420 777123456");
  for (const char* none : {"order 123456789", "100 000 000 crowns", "2024-06-01", "1,234,567",
                           "12:30:45", "v1.2.3", "10.0.0.1", "room 12", "+42"})
    EXPECT_EQ(found(none), "") << none;
}

// Each group may begin a number: looking on from each to the end would take hours here.
TEST(PersonalData, ALongRowOfFiguresIsReadOnce) {
  std::string figures;
  while (figures.size() < (std::size_t{4} << 20)) figures += "0.12 ";
  EXPECT_EQ(found(figures), "");
  EXPECT_EQ(found(figures + "4539 1488 0343 6467"), "payment_card:4539 1488 0343 6467");
}

TEST(PersonalData, TextWithoutAnyIsLeftInPeace) {
  EXPECT_EQ(found(""), "");
  EXPECT_EQ(found("Příliš žluťoučký kůň 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"), "");
}

}  // namespace
}  // namespace malina::tune
