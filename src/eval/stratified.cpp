#include "eval/stratified.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "base/shuffle.h"

namespace malina::eval {

namespace {

// The examples of each class, shuffled.
std::vector<std::vector<std::size_t>> shuffled_classes(std::span<const std::uint32_t> classes,
                                                       std::uint64_t seed) {
  std::size_t count = 0;
  for (const std::uint32_t c : classes) count = std::max<std::size_t>(count, c + 1);
  std::vector<std::vector<std::size_t>> members(count);
  for (std::size_t i = 0; i < classes.size(); ++i) members[classes[i]].push_back(i);
  base::Random random(seed);
  for (auto& list : members) base::shuffle(list, random);
  return members;
}

}  // namespace

ClassIndex index_classes(std::span<const std::string> labels) {
  std::map<std::string_view, std::uint32_t> numbers;
  for (const std::string& label : labels) numbers.emplace(label, 0);
  ClassIndex index;
  for (auto& [name, number] : numbers) {
    number = static_cast<std::uint32_t>(index.names.size());
    index.names.emplace_back(name);
  }
  index.of.reserve(labels.size());
  for (const std::string& label : labels) index.of.push_back(numbers.find(label)->second);
  return index;
}

std::vector<std::uint32_t> stratified_folds(std::span<const std::uint32_t> classes,
                                            std::size_t folds, std::uint64_t seed) {
  if (folds == 0) throw base::Error(base::Fault::invalid_argument, "there are no folds");
  std::vector<std::uint32_t> fold(classes.size());
  std::size_t next = 0;
  for (const auto& members : shuffled_classes(classes, seed))
    for (const std::size_t i : members) fold[i] = static_cast<std::uint32_t>(next++ % folds);
  return fold;
}

std::vector<std::vector<std::size_t>> stratified_split(std::span<const std::uint32_t> classes,
                                                       std::span<const double> shares,
                                                       std::uint64_t seed) {
  double whole = 0;
  for (const double share : shares) {
    if (!(share > 0) || !std::isfinite(share))
      throw base::Error(base::Fault::invalid_argument, "a share is not a positive number");
    whole += share;
  }
  if (shares.empty() || !std::isfinite(whole))
    throw base::Error(base::Fault::invalid_argument, "there are no shares to split by");
  std::vector<std::vector<std::size_t>> parts(shares.size());
  std::size_t before = 0;  // over all classes
  for (const auto& members : shuffled_classes(classes, seed)) {
    for (const std::size_t i : members) {
      std::size_t chosen = 0;
      double behind = -1;
      for (std::size_t part = 0; part < shares.size(); ++part) {
        const double due = static_cast<double>(before + 1) * shares[part] / whole -
                           static_cast<double>(parts[part].size());
        if (due > behind) behind = due, chosen = part;
      }
      parts[chosen].push_back(i);
      ++before;
    }
  }
  for (auto& part : parts) std::sort(part.begin(), part.end());
  return parts;
}

std::vector<std::size_t> nested_order(std::span<const std::uint32_t> classes, std::uint64_t seed) {
  const auto members = shuffled_classes(classes, seed);
  struct Place {
    double share;
    std::uint64_t tie;  // classes of one size would stand in their order otherwise
    std::size_t example;
  };
  base::Random random(seed ^ 0x6E65737465640000);
  std::vector<Place> places;
  for (const auto& list : members)
    for (std::size_t i = 0; i < list.size(); ++i)
      places.push_back({(static_cast<double>(i) + 0.5) / static_cast<double>(list.size()),
                        random.next(), list[i]});
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return std::tie(a.share, a.tie, a.example) < std::tie(b.share, b.tie, b.example);
  });
  std::vector<std::size_t> order;
  order.reserve(places.size());
  for (const Place& place : places) order.push_back(place.example);
  return order;
}

std::vector<std::size_t> per_class_subset(std::span<const std::uint32_t> classes,
                                          std::size_t per_class, std::uint64_t seed) {
  std::vector<std::size_t> chosen;
  for (const auto& members : shuffled_classes(classes, seed))
    chosen.insert(
        chosen.end(), members.begin(),
        members.begin() + static_cast<std::ptrdiff_t>(std::min(per_class, members.size())));
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace malina::eval
