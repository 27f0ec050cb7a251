// How much each owner was served, so that the one who was served least comes next.
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace malina::engine {

// The virtual token counter of Sheng et al., "Fairness in Serving Large Language Models" (OSDI
// 2024): a counter for each owner grows with the tokens computed for it; whoever comes after a
// pause begins at the least counter of those that are here, so that nobody saves up time by being
// idle, and keeps a higher one, so that nobody loses debts by a pause either. One thread.
class FairShares {
 public:
  // What a token costs: answers are computed one row a step (the weights of the paper).
  static constexpr double kPromptToken = 1, kAnswerToken = 2;

  void enter(const std::string& owner);  // one more of its generations waits or runs
  void leave(const std::string& owner);  // one less
  void charge(const std::string& owner, double cost);
  double served(const std::string& owner) const;
  std::size_t size() const { return shares_.size(); }  // owners that are remembered

 private:
  struct Share {
    double served = 0;
    std::size_t generations = 0;
  };
  double least() const;  // of the owners that are here; 0 without any

  std::map<std::string, Share, std::less<>> shares_;
};

}  // namespace malina::engine
