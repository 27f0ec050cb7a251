// Stop strings in streamed text: they match across token borders and are never returned.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace malina::engine {

// One owner, one thread.
class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Takes what was generated, gives what may be shown: all but the longest suffix that could begin
  // a stop. After a match (the earliest in the text) everything from it on is dropped.
  std::string push(std::string_view text);
  std::string finish();  // what was held back, when the generation ends otherwise
  bool matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool matched_ = false;
};

}  // namespace malina::engine
