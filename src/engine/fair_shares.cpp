#include "engine/fair_shares.h"

#include <algorithm>
#include <limits>

namespace malina::engine {

double FairShares::least() const {
  double least = std::numeric_limits<double>::infinity();
  for (const auto& [owner, share] : shares_)
    if (share.generations > 0) least = std::min(least, share.served);
  return least == std::numeric_limits<double>::infinity() ? 0 : least;
}

void FairShares::enter(const std::string& owner) {
  const double floor = least();
  Share& share = shares_[owner];
  if (share.generations++ == 0) share.served = std::max(share.served, floor);
}

void FairShares::leave(const std::string& owner) {
  --shares_.at(owner).generations;
  // Whoever is not here and was served no more than the least would be lifted to it anyway. Where
  // nobody is left, nobody competes: all begin anew.
  const bool anyone = std::any_of(shares_.begin(), shares_.end(),
                                  [](const auto& entry) { return entry.second.generations > 0; });
  const double floor = least();
  std::erase_if(shares_, [&](const auto& entry) {
    return entry.second.generations == 0 && (!anyone || entry.second.served <= floor);
  });
}

void FairShares::charge(const std::string& owner, double cost) { shares_.at(owner).served += cost; }

double FairShares::served(const std::string& owner) const {
  const auto found = shares_.find(owner);
  return found == shares_.end() ? 0 : found->second.served;
}

}  // namespace malina::engine
