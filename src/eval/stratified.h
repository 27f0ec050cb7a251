// Parts of labelled examples in which every class has its share, reproducible from a seed: folds,
// the parts of validation data, and nested subsets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace malina::eval {

// Labels as numbers: classes in ascending order of their names (bytes), and of each example its
// class.
struct ClassIndex {
  std::vector<std::string> names;
  std::vector<std::uint32_t> of;  // [examples], below names.size()
};
ClassIndex index_classes(std::span<const std::string> labels);

// The fold of each example, below `folds`. Examples of each class are shuffled and dealt out one by
// one, and each class begins where the last one ended: so neither the sizes of two folds nor a
// class's shares of them differ by more than one. A class with fewer examples than folds is missing
// in some. Throws invalid_argument for no folds.
std::vector<std::uint32_t> stratified_folds(std::span<const std::uint32_t> classes,
                                            std::size_t folds, std::uint64_t seed);

// Disjoint parts of all examples, each ascending, by shares that are positive and need not sum
// to 1. The shuffled examples of one class after the other go to whichever part is furthest behind
// its share, so small classes do not all round the same way. Throws invalid_argument for shares
// that are not positive numbers.
std::vector<std::vector<std::size_t>> stratified_split(std::span<const std::uint32_t> classes,
                                                       std::span<const double> shares,
                                                       std::uint64_t seed);

// Examples in an order whose every prefix is stratified: the first k are a subset for training, and
// all subsets are nested. An example's place is (its shuffled place in its class + 1/2) divided by
// the class's size, so a prefix of n of N examples holds n/N of every class, within one.
std::vector<std::size_t> nested_order(std::span<const std::uint32_t> classes, std::uint64_t seed);

// The first `per_class` of every class in nested_order (all of a smaller class), ascending. Nested
// for rising `per_class` and the same seed.
std::vector<std::size_t> per_class_subset(std::span<const std::uint32_t> classes,
                                          std::size_t per_class, std::uint64_t seed);

}  // namespace malina::eval
