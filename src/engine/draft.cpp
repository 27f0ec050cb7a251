#include "engine/draft.h"

#include <algorithm>

namespace malina::engine {
namespace {

constexpr std::size_t kShortest = 2, kLongest = 4;  // tokens that must be the same
constexpr std::size_t kFurthest = 8192;             // positions to look back
constexpr double kWeight = 0.1;                     // of one guess in the running mean
constexpr double kMargin = 1.05;                    // a gain below the noise is none
// After so many refusals one short attempt, so that a text that begins to repeat is noticed.
constexpr std::size_t kAttempt = 48, kAttemptDrafts = 2;

}  // namespace

std::vector<Token> look_up(std::span<const Token> tokens, std::size_t most) {
  const std::size_t size = tokens.size();
  std::size_t longest = kShortest - 1;
  std::size_t follows = 0;
  const std::size_t furthest = size > kFurthest ? size - kFurthest : 0;
  for (std::size_t end = size - std::min<std::size_t>(size, 1); end > furthest; --end) {
    std::size_t same = 0;
    while (same < kLongest && same < end && tokens[end - 1 - same] == tokens[size - 1 - same])
      ++same;
    if (same <= longest) continue;
    longest = same;
    follows = end;
    if (longest == kLongest) break;
  }
  std::vector<Token> drafts;
  if (follows == 0) return drafts;
  for (std::size_t i = 0; i < most; ++i)
    drafts.push_back(follows + i < size ? tokens[follows + i] : drafts[follows + i - size]);
  return drafts;
}

double DraftLength::expected(std::size_t drafts) const {
  double sum = 0;
  double all_right = 1;
  for (std::size_t i = 0; i < drafts; ++i) sum += all_right *= rate_;
  return sum;
}

std::size_t DraftLength::choose(const StepPace& pace, std::size_t rows, double tokens) {
  const double time = pace.answer_time(rows);
  if (time <= 0) return 0;
  double best = kMargin * tokens / time;
  std::size_t chosen = 0;
  for (std::size_t drafts = 1; drafts <= kMostDrafts && rows + drafts <= kMostDraftRows; ++drafts) {
    const double speed = (tokens + expected(drafts)) / pace.answer_time(rows + drafts);
    if (speed <= best) continue;
    best = speed;
    chosen = drafts;
  }
  if (chosen > 0) {
    refused_ = 0;
  } else if (++refused_ >= kAttempt && rows + kAttemptDrafts <= kMostDraftRows) {
    refused_ = 0;
    chosen = kAttemptDrafts;
  }
  return chosen;
}

void DraftLength::verified(std::size_t proposed, std::size_t accepted) {
  for (std::size_t i = 0; i < accepted; ++i) rate_ += kWeight * (1 - rate_);
  if (accepted < proposed) rate_ -= kWeight * rate_;
}

}  // namespace malina::engine
