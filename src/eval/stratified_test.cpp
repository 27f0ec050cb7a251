#include "eval/stratified.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"

namespace malina::eval {
namespace {

// 100 of class 0, 31 of class 1, 2 of class 2, mixed.
std::vector<std::uint32_t> uneven() {
  std::vector<std::uint32_t> classes;
  for (std::uint32_t i = 0; i < 133; ++i) classes.push_back(i % 4 == 1 && i < 124 ? 1 : 0);
  classes[50] = classes[132] = 2;
  return classes;
}

std::vector<std::size_t> counts(std::span<const std::uint32_t> classes,
                                std::span<const std::size_t> chosen) {
  std::vector<std::size_t> result(3);
  for (const std::size_t i : chosen) ++result[classes[i]];
  return result;
}

TEST(Stratified, ClassesAreNumberedInTheOrderOfTheirNames) {
  const ClassIndex index = index_classes(std::vector<std::string>{"b", "a", "b", "Z"});
  EXPECT_EQ(index.names, (std::vector<std::string>{"Z", "a", "b"}));
  EXPECT_EQ(index.of, (std::vector<std::uint32_t>{2, 1, 2, 0}));
}

TEST(Stratified, FoldsAreEvenInSizeAndInEveryClass) {
  const auto classes = uneven();
  const auto folds = stratified_folds(classes, 5, 7);
  std::vector<std::vector<std::size_t>> members(5);
  for (std::size_t i = 0; i < folds.size(); ++i) members[folds[i]].push_back(i);
  const auto all = counts(classes, [] {
    std::vector<std::size_t> every(133);
    for (std::size_t i = 0; i < every.size(); ++i) every[i] = i;
    return every;
  }());
  for (const auto& fold : members) {
    EXPECT_GE(fold.size(), 26U);
    EXPECT_LE(fold.size(), 27U);
    const auto share = counts(classes, fold);
    for (std::size_t k = 0; k < 3; ++k) EXPECT_LE(share[k], (all[k] + 4) / 5);
  }
  EXPECT_EQ(folds, stratified_folds(classes, 5, 7));
  EXPECT_NE(folds, stratified_folds(classes, 5, 8));
  EXPECT_THROW(stratified_folds(classes, 0, 1), base::Error);
}

TEST(Stratified, SplitIsDisjointWholeAndInProportion) {
  const auto classes = uneven();
  const std::vector<double> shares{2, 1, 1};
  const auto parts = stratified_split(classes, shares, 3);
  ASSERT_EQ(parts.size(), 3U);
  std::set<std::size_t> seen;
  for (const auto& part : parts) {
    EXPECT_TRUE(std::is_sorted(part.begin(), part.end()));
    seen.insert(part.begin(), part.end());
  }
  EXPECT_EQ(seen.size(), classes.size());
  EXPECT_EQ(parts[0].size() + parts[1].size() + parts[2].size(), classes.size());
  EXPECT_NEAR(static_cast<double>(parts[0].size()), 66.5, 1);
  const auto ones = counts(classes, parts[0]);
  EXPECT_NEAR(static_cast<double>(ones[1]), 2 * static_cast<double>(counts(classes, parts[1])[1]),
              3);
  EXPECT_EQ(parts, stratified_split(classes, shares, 3));
}

TEST(Stratified, ManyClassesOfOneAreSharedOutToo) {
  std::vector<std::uint32_t> classes;
  for (std::uint32_t i = 0; i < 90; ++i) classes.push_back(i);
  const auto parts = stratified_split(classes, std::vector<double>{1, 1, 1}, 1);
  for (const auto& part : parts) EXPECT_EQ(part.size(), 30U);
}

TEST(Stratified, SharesMustBePositiveNumbers) {
  const auto classes = uneven();
  EXPECT_THROW(stratified_split(classes, std::vector<double>{}, 1), base::Error);
  EXPECT_THROW(stratified_split(classes, std::vector<double>{1, 0}, 1), base::Error);
  EXPECT_THROW(stratified_split(classes, std::vector<double>{1, -1}, 1), base::Error);
}

TEST(Stratified, EveryPrefixOfTheNestedOrderHoldsItsShareOfEveryClass) {
  const auto classes = uneven();
  const auto order = nested_order(classes, 11);
  EXPECT_EQ(std::set<std::size_t>(order.begin(), order.end()).size(), classes.size());
  const auto all = counts(classes, order);
  for (std::size_t n = 0; n <= order.size(); ++n) {
    const auto prefix = counts(classes, std::span(order).first(n));
    for (std::size_t k = 0; k < 3; ++k) {
      const double due = static_cast<double>(all[k] * n) / static_cast<double>(order.size());
      EXPECT_NEAR(static_cast<double>(prefix[k]), due, 1.6) << n << " of class " << k;
    }
  }
}

TEST(Stratified, SubsetsPerClassAreNested) {
  const auto classes = uneven();
  const auto ten = per_class_subset(classes, 10, 2), forty = per_class_subset(classes, 40, 2);
  EXPECT_EQ(counts(classes, ten), (std::vector<std::size_t>{10, 10, 2}));
  EXPECT_EQ(counts(classes, forty),
            (std::vector<std::size_t>{40, counts(classes, nested_order(classes, 2))[1], 2}));
  EXPECT_TRUE(std::includes(forty.begin(), forty.end(), ten.begin(), ten.end()));
}

}  // namespace
}  // namespace malina::eval
