#include "engine/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "base/error.h"

namespace malina::engine {
namespace {

using base::Error;
using base::Fault;

constexpr std::size_t kMostBiases = 300;

void check_range(const char* name, float value, float low, float high) {
  if (!(value >= low && value <= high))
    throw Error(Fault::invalid_argument,
                fmt::format("{} is {}, outside of {} to {}", name, value, low, high));
}

bool allowed(TokenMask mask, std::size_t token) {
  return mask.empty() ||
         (token / 64 < mask.size() && ((mask[token / 64] >> (token % 64)) & 1) != 0);
}

// More likely first; the lower id where equal.
constexpr auto kDescending = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
};

// A logit below which no candidate can be among the k likeliest, also after a division by a
// temperature has rounded; lower than all where k is no help.
float least_of_top(std::span<const float> logits, TokenMask mask, std::size_t k) {
  constexpr float kAll = -std::numeric_limits<float>::infinity();
  constexpr std::size_t kWorthAHeap = 1024;
  if (k == 0 || k > kWorthAHeap || k >= logits.size()) return kAll;
  std::vector<float> heap;  // the k greatest so far, the least of them in front
  heap.reserve(k);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const bool full = heap.size() == k;
    if ((full && !(logits[i] > heap.front())) || !allowed(mask, i)) continue;
    if (full) {
      std::pop_heap(heap.begin(), heap.end(), std::greater<>());
      heap.back() = logits[i];
    } else {
      heap.push_back(logits[i]);
    }
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  }
  if (heap.size() < k || !std::isfinite(heap.front())) return kAll;
  return heap.front() - std::abs(heap.front()) * 1e-5F - 1e-30F;
}

// The lowest of equal ones.
Token argmax(std::span<const float> logits, TokenMask mask) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < logits.size(); ++i)
    if ((!best || logits[i] > logits[*best]) && allowed(mask, i)) best = i;
  if (!best) throw Error(Fault::invalid_argument, "the constraint forbids every token");
  return static_cast<Token>(*best);
}

Token argmax(std::span<const float> logits) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < logits.size(); ++i)
    if (logits[i] > logits[best]) best = i;
  return static_cast<Token>(best);
}

}  // namespace

void check_numbers(std::span<const float> logits) {
  bool sound = true;
  for (const float logit : logits) sound &= logit == logit;
  if (!sound)
    throw Error(Fault::corrupt_file,
                "the model computed logits that are not numbers: its weights hold some, or some "
                "that are too large");
}

void Sampling::check(std::size_t vocabulary) const {
  check_range("temperature", temperature, 0, 2);
  check_range("top_p", top_p, 0, 1);
  check_range("min_p", min_p, 0, 1);
  check_range("frequency_penalty", frequency_penalty, -2, 2);
  check_range("presence_penalty", presence_penalty, -2, 2);
  check_range("repetition_penalty", repetition_penalty, 0.01F, 100);
  if (logit_bias.size() > kMostBiases)
    throw Error(Fault::invalid_argument, fmt::format("logit_bias has {} entries, more than {}",
                                                     logit_bias.size(), kMostBiases));
  for (const auto& [token, bias] : logit_bias) {
    if (token < 0 || static_cast<std::size_t>(token) >= vocabulary)
      throw Error(Fault::invalid_argument,
                  fmt::format("logit_bias names token {}, outside of the vocabulary of {}", token,
                              vocabulary),
                  {.parameter = "logit_bias"});
    check_range("logit_bias", bias, -100, 100);
  }
}

Sampler::Sampler(Sampling sampling, std::size_t vocabulary, std::span<const Token> prompt)
    : sampling_(std::move(sampling)),
      vocabulary_(vocabulary),
      random_(sampling_.seed),
      history_(prompt.begin(), prompt.end()),
      prompt_tokens_(prompt.size()) {
  sampling_.check(vocabulary);
}

bool Sampler::changes_logits(TokenMask mask) const {
  return !mask.empty() || !sampling_.logit_bias.empty() || sampling_.repetition_penalty != 1 ||
         sampling_.frequency_penalty != 0 || sampling_.presence_penalty != 0;
}

void Sampler::adjust(std::span<const float> logits) {
  adjusted_.assign(logits.begin(), logits.end());
  for (const auto& [token, bias] : sampling_.logit_bias)
    adjusted_[static_cast<std::size_t>(token)] += bias;
  penalise();
}

// All that may come, without those that the first filter would throw out at once: of a vocabulary
// of a hundred thousand they would cost as much as some layers of the model.
void Sampler::collect(TokenMask mask) {
  const float least = least_of_top(adjusted_, mask, sampling_.top_k);
  candidates_.clear();
  by_token_ = true;
  for (std::size_t i = 0; i < adjusted_.size(); ++i)
    if (adjusted_[i] >= least && allowed(mask, i))
      candidates_.push_back({adjusted_[i], static_cast<Token>(i)});
  if (candidates_.empty())
    throw Error(Fault::invalid_argument, "the constraint forbids every token");
}

void Sampler::penalise() {
  if (sampling_.repetition_penalty != 1) {
    const std::size_t window =
        sampling_.repetition_window == 0
            ? history_.size()
            : std::min<std::size_t>(sampling_.repetition_window, history_.size());
    std::vector<Token> seen(history_.end() - static_cast<std::ptrdiff_t>(window), history_.end());
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    for (const Token token : seen) {
      if (static_cast<std::size_t>(token) >= adjusted_.size()) continue;
      float& logit = adjusted_[static_cast<std::size_t>(token)];
      logit =
          logit > 0 ? logit / sampling_.repetition_penalty : logit * sampling_.repetition_penalty;
    }
  }
  if (sampling_.frequency_penalty == 0 && sampling_.presence_penalty == 0) return;
  for (const auto& [token, count] : answer_counts_)
    adjusted_[static_cast<std::size_t>(token)] -=
        sampling_.frequency_penalty * static_cast<float>(count) + sampling_.presence_penalty;
}

void Sampler::keep_top_k() {
  const std::size_t k = sampling_.top_k;
  if (k == 0 || k >= candidates_.size()) return;
  const auto kth = candidates_.begin() + static_cast<std::ptrdiff_t>(k - 1);
  by_token_ = false;
  std::nth_element(candidates_.begin(), kth, candidates_.end(), kDescending);
  if (sampling_.order == SamplingOrder::llama_cpp) {
    candidates_.resize(k);
    return;
  }
  const float least = kth->logit;
  std::erase_if(candidates_, [&](const Candidate& candidate) { return candidate.logit < least; });
}

void Sampler::keep_top_p() {
  if (sampling_.top_p >= 1) return;
  by_token_ = false;
  const float top = greatest();
  double total = 0;
  for (const Candidate& candidate : candidates_) total += std::exp(double{candidate.logit - top});
  const double enough = total * static_cast<double>(sampling_.top_p);
  double sum = 0;
  std::size_t kept = 0;
  // Sorting all would cost most of the time; the set is nearly always small.
  for (std::size_t sorted = 0; kept < candidates_.size() && (kept == 0 || sum < enough); ++kept) {
    if (kept == sorted) {
      const std::size_t next = std::min(candidates_.size(), std::max<std::size_t>(64, sorted * 4));
      std::partial_sort(candidates_.begin() + static_cast<std::ptrdiff_t>(sorted),
                        candidates_.begin() + static_cast<std::ptrdiff_t>(next), candidates_.end(),
                        kDescending);
      sorted = next;
    }
    sum += std::exp(double{candidates_[kept].logit - top});
  }
  candidates_.resize(kept);
}

void Sampler::keep_min_p() {
  if (sampling_.min_p <= 0) return;
  const float top = greatest();
  const float least = top + std::log(sampling_.min_p);
  std::erase_if(candidates_, [&](const Candidate& candidate) { return candidate.logit < least; });
}

void Sampler::apply_temperature() {
  // Near zero the quotients would be infinite, all alike: there the likeliest is at 0.
  const float top = greatest();
  const bool overflows = !std::isfinite(top / sampling_.temperature);
  for (Candidate& candidate : candidates_)
    candidate.logit = (overflows ? candidate.logit - top : candidate.logit) / sampling_.temperature;
}

float Sampler::greatest() const {
  float top = candidates_[0].logit;
  for (const Candidate& candidate : candidates_) top = std::max(top, candidate.logit);
  return top;
}

Token Sampler::draw() {
  // In order of ids, so that the drawn token does not depend on how the filters left them.
  if (!by_token_)
    std::sort(candidates_.begin(), candidates_.end(),
              [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
  const float top = greatest();
  double total = 0;
  weights_.clear();
  for (const Candidate& candidate : candidates_) {
    weights_.push_back(std::exp(double{candidate.logit - top}));
    total += weights_.back();
  }
  double target = random_.uniform() * total;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    target -= weights_[i];
    if (target < 0) return candidates_[i].token;
  }
  return std::min_element(candidates_.begin(), candidates_.end(), kDescending)->token;
}

Token Sampler::choose(std::span<const float> logits, TokenMask mask) {
  if (sampling_.temperature == 0 && !changes_logits(mask)) return argmax(logits);
  adjust(logits);
  if (sampling_.temperature == 0) return argmax(adjusted_, mask);
  collect(mask);
  if (sampling_.order == SamplingOrder::hugging_face) apply_temperature();
  keep_top_k();
  keep_top_p();
  keep_min_p();
  if (sampling_.order == SamplingOrder::llama_cpp) apply_temperature();
  return draw();
}

Token Sampler::sample(std::span<const float> logits, TokenMask mask) {
  logits = logits.first(std::min(logits.size(), vocabulary_));
  check_numbers(logits);
  const Token token = choose(logits, mask);
  history_.push_back(token);
  ++answer_counts_[token];
  return token;
}

std::vector<std::pair<Token, float>> most_likely(std::span<const float> logits, std::size_t n) {
  n = std::min(n, logits.size());
  std::vector<std::pair<Token, float>> best;  // kept sorted; n is at most a few dozen
  const auto before = [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  };
  for (std::size_t i = 0; i < logits.size() && n > 0; ++i) {
    if (best.size() == n && logits[i] <= best.back().second) continue;
    const std::pair entry{static_cast<Token>(i), logits[i]};
    best.insert(std::upper_bound(best.begin(), best.end(), entry, before), entry);
    if (best.size() > n) best.pop_back();
  }
  return best;
}

}  // namespace malina::engine
