#include "eval/text_features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace malina::eval {
namespace {

TEST(TextFeatures, TextIsComposedLowerCasedAndItsSpacesAreOne) {
  EXPECT_EQ(normalized_text("  Kde  je\t\nMOJE\u00a0karta? "), "kde je moje karta?");
  EXPECT_EQ(normalized_text("PR\u030cI\u0301LIS\u030c \u00c9TE\u0301"), "příliš été");
  EXPECT_EQ(normalized_text("ÅΣЖ"), "åσж");
  EXPECT_EQ(normalized_text(" \n "), "");
  EXPECT_EQ(normalized_text("A\xff\xc3"), "a\xff\xc3");
}

TEST(TextFeatures, WeightsAreSublinearTfTimesSmoothIdfAtLengthOne) {
  base::ThreadPool pool(1);
  const std::vector<std::string> texts{"a b a", "b"};
  const TextFeatures features = TextFeatures::fit(texts, pool);
  // Words: a, b, "a b", "b a". Runs: "a ", " b", "b ", " a", "a b", " b ", "b a", "a b ", " b a",
  // "a b a".
  EXPECT_EQ(features.width(), 14U);
  const SparseRow second = features.row("b");  // a single character is no run
  ASSERT_EQ(second.values.size(), 1U);
  EXPECT_FLOAT_EQ(second.values[0], 1);

  const double once = 1 + std::log(3.0 / 2), twice = (1 + std::log(2)) * once;
  const double words = std::sqrt(twice * twice + 1 + 2 * once * once);
  // Every run stands once and in one text: ten equal weights.
  std::vector<double> expected{twice / words, 1 / words, once / words, once / words};
  expected.insert(expected.end(), 10, 1 / std::sqrt(10.0));
  SparseRow row = features.row("a b a");
  std::sort(expected.begin(), expected.end());
  std::sort(row.values.begin(), row.values.end());
  ASSERT_EQ(row.values.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(row.values[i], expected[i], 1e-6);
}

TEST(TextFeatures, NeitherOrderNorThreadsMatter) {
  base::ThreadPool one(1), four(4);
  std::vector<std::string> texts;
  for (int i = 0; i < 1000; ++i)
    texts.push_back("text " + std::to_string(i * 7919 % 997) + " of " + std::to_string(i));
  const TextFeatures features = TextFeatures::fit(texts, one);
  std::reverse(texts.begin(), texts.end());
  const TextFeatures reversed = TextFeatures::fit(texts, four);
  EXPECT_TRUE(std::equal(features.terms().begin(), features.terms().end(), reversed.terms().begin(),
                         reversed.terms().end()));
  const SparseRows a = features.rows(texts, one), b = features.rows(texts, four);
  EXPECT_EQ(a.columns, b.columns);
  EXPECT_EQ(a.values, b.values);
  EXPECT_EQ(a.begins, b.begins);
}

TEST(TextFeatures, MostFrequentTermsAreKept) {
  base::ThreadPool pool(1);
  const std::vector<std::string> texts{"xy", "xy", "xy zw"};
  const TextFeatures features = TextFeatures::fit(texts, pool, 2);
  ASSERT_EQ(features.width(), 2U);  // the word and the run "xy", in all three texts
  EXPECT_FLOAT_EQ(features.terms()[0].inverse_document_frequency, 1);
  EXPECT_FLOAT_EQ(features.terms()[1].inverse_document_frequency, 1);
}

TEST(TextFeatures, UnknownAndEmptyTextsAreEmptyRows) {
  base::ThreadPool pool(1);
  const TextFeatures features = TextFeatures::fit(std::vector<std::string>{"abc"}, pool);
  EXPECT_TRUE(features.row("").columns.empty());
  EXPECT_TRUE(features.row("xyz").columns.empty());
  EXPECT_TRUE(TextFeatures().row("abc").columns.empty());
}

TEST(TextFeatures, FlawedTermsAreNoTable) {
  EXPECT_TRUE(TextFeatures::from_terms({{1, 1.0F}, {2, 1.0F}}));
  EXPECT_FALSE(TextFeatures::from_terms({{1, 1.0F}, {1, 2.0F}}));
  EXPECT_FALSE(TextFeatures::from_terms({{1, 0.0F}}));
  EXPECT_FALSE(TextFeatures::from_terms({{1, std::nanf("")}}));
  std::vector<TextFeatures::Term> clustered;
  for (std::uint64_t i = 0; i < 5000; ++i) clustered.push_back({i << 32, 1.0F});
  EXPECT_FALSE(TextFeatures::from_terms(clustered));
}

}  // namespace
}  // namespace malina::eval
