// What a data set puts around every text: "Classify this complaint: ... Product:". Two parts with
// different wrappers may hold the same texts, and no comparison of whole rows would show it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace malina::tune {

struct Wrappers {
  std::vector<std::string> prefixes, suffixes;  // the longest first

  // The text without the wrappers that it has; all of it where nothing else would be left.
  std::string_view strip(std::string_view text) const;
  bool empty() const { return prefixes.empty() && suffixes.empty(); }
};

// Finds them in a sample of a part's texts. A wrapper begins (or ends) at least three in ten of
// the texts, and looks like one: it ends with a sign such as a colon or a line end (a suffix begins
// with one), or is long. What half of all questions happen to begin with ("How do I") is none.
// One owner, one thread.
class WrapperFinder {
 public:
  void add(std::string_view text);
  Wrappers find() const;

 private:
  std::vector<std::string> sample_;  // beginnings and ends alone
  std::uint64_t seen_ = 0;
  base::Random random_{1};
};

}  // namespace malina::tune
