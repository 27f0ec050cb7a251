#include "tune/certificate.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace malina::tune {
namespace {

Certificate some() {
  return {
      .tolerance = 0.002,
      .examples = {{"a longer text", tokens_digest(std::vector<std::int32_t>{1, 2}), {0.25, 0.75}},
                   {"short", "", {1, 0}},
                   {"\"ř\"\n", "", {0.123457, 0.876543}},
                   {"from Brno", "", {0.5, 0.75}, {{5, 9, "place"}}}}};
}

TEST(Certificate, IsReadAsItWasWritten) {
  EXPECT_EQ(parse_certificate(to_text(some()), "c"), some());
}

TEST(Certificate, RoundsToSixDecimals) {
  Certificate certificate = some();
  certificate.examples[0].probabilities = {1.0 / 3, 2.0 / 3};
  const Certificate back = parse_certificate(to_text(certificate), "c");
  EXPECT_EQ(back.examples[0].probabilities, (std::vector<double>{0.333333, 0.666667}));
}

TEST(Certificate, TokensInAnotherOrderAreOthers) {
  EXPECT_EQ(tokens_digest(std::vector<std::int32_t>{1, 256}).size(), 7 + 64u);
  EXPECT_NE(tokens_digest(std::vector<std::int32_t>{1, 256}),
            tokens_digest(std::vector<std::int32_t>{256, 1}));
}

TEST(Certificate, TheShortestAreOfTheShortestTexts) {
  EXPECT_EQ(some().shortest(2), (std::vector<std::size_t>{1, 2}));  // of five bytes both
  EXPECT_EQ(some().shortest(9).size(), 4u);
}

TEST(Certificate, RefusesWhatIsNone) {
  const auto refused = [](std::string text, const std::string& from, const std::string& to) {
    text.replace(text.find(from), from.size(), to);
    try {
      parse_certificate(text, "c.json");
    } catch (const base::Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  const std::string text = to_text(some());
  EXPECT_NE(refused(text, "certificate 1", "certificate 2").find("c.json"), std::string::npos);
  EXPECT_NE(refused(text, "0.75", "1.75").find("a probability"), std::string::npos);
  EXPECT_NE(refused(text, "0.75", "\"x\"").find("a probability"), std::string::npos);
  EXPECT_NE(refused(text, "0.002", "0.9").find("tolerance"), std::string::npos);
  EXPECT_NE(refused(text, "\"short\"", "7").find("'text'"), std::string::npos);
  EXPECT_NE(refused(text, "\"examples\"", "\"example\"").find("'examples'"), std::string::npos);
  EXPECT_NE(refused(text, "\"end\":9", "\"end\":10").find("'end'"), std::string::npos);
  EXPECT_NE(refused(text, "\"start\":5", "\"start\":-5").find("'start'"), std::string::npos);
  EXPECT_NE(refused(text, "\"place\"", "null").find("'type'"), std::string::npos);
  EXPECT_NE(refused(text, "}]}]}", "}]}]").find("c.json"), std::string::npos);
}

}  // namespace
}  // namespace malina::tune
