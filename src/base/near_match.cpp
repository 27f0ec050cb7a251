#include "base/near_match.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"

namespace malina::base {

namespace {

// Optimal string alignment distance (Levenshtein with swaps of neighbours).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), previous(b.size() + 1), current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        current[j] = std::min(current[j], before[j - 2] + 1);
    }
    std::swap(before, previous);
    std::swap(previous, current);
  }
  return previous[b.size()];
}

}  // namespace

std::vector<std::string> near_matches(std::string_view typed, std::span<const std::string> known,
                                      std::size_t most) {
  constexpr std::size_t kLongestWord = 128;  // the distance takes the product of both lengths
  if (typed.empty() || typed.size() > kLongestWord) return {};
  const std::string word = ascii_lower(typed);
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const std::string& candidate : known) {
    if (candidate.size() > kLongestWord) continue;
    const std::string other = ascii_lower(candidate);
    const std::size_t edits = distance(word, other);
    const std::size_t allowed = std::max<std::size_t>(1, std::max(word.size(), other.size()) / 3);
    const bool part =
        word.size() >= 2 && (other.find(word) != std::string::npos || word.starts_with(other));
    if (edits <= allowed)
      near.emplace_back(edits, candidate);
    else if (part)
      near.emplace_back(kLongestWord + edits, candidate);
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string> result;
  for (auto& [rank, name] : near)
    if (result.size() < most) result.push_back(std::move(name));
  return result;
}

std::string did_you_mean(std::string_view typed, std::span<const std::string> known) {
  const std::vector<std::string> near = near_matches(typed, known);
  if (near.empty()) return "";
  std::string text = "; did you mean ";
  for (std::size_t i = 0; i < near.size(); ++i) {
    if (i > 0) text += i + 1 == near.size() ? " or " : ", ";
    text += "'" + near[i] + "'";
  }
  return text + "?";
}

}  // namespace malina::base
