#include "platform/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"

namespace malina::platform {

using base::Error;
using base::Fault;

namespace {

constexpr std::size_t kWindow = 512;
constexpr std::size_t kWindowsInFlight = 4;

}  // namespace

PerplexityResult measure_perplexity(engine::Engine& engine, std::string_view text,
                                    const LoadedAdapter& adapter,
                                    const std::function<void(double)>& progress) {
  const text::Tokenizer& tokenizer = engine.tokenizer();
  const std::vector<text::Token> tokens = tokenizer.encode(text);
  const bool bos = tokenizer.adds_bos() && tokenizer.bos();
  const std::size_t window_tokens = std::min(kWindow, engine.context());
  if (window_tokens < 2)
    throw Error(Fault::invalid_argument,
                "a context of 1 is too short: nothing stands before the token to be scored");
  const std::size_t own = window_tokens - (bos ? 1 : 0);
  PerplexityResult result;
  result.tokens = tokens.size();
  double sum = 0;
  double squares = 0;
  std::deque<std::shared_ptr<engine::Stream>> streams;
  const auto drain = [&](engine::Stream& stream) {
    while (const auto event = stream.next()) {
      if (!event->log_probability) continue;
      sum -= *event->log_probability;
      squares += *event->log_probability * *event->log_probability;
      ++result.scored;
    }
  };
  for (std::size_t first = 0; first < tokens.size(); first += own) {
    engine::Generation window;
    if (bos) window.prompt.push_back(*tokenizer.bos());
    const std::size_t last = std::min(tokens.size(), first + own);
    window.prompt.insert(window.prompt.end(), tokens.begin() + static_cast<std::ptrdiff_t>(first),
                         tokens.begin() + static_cast<std::ptrdiff_t>(last));
    window.log_probabilities = 0;
    window.score_prompt = true;
    window.adapter = adapter;
    streams.push_back(engine.submit(std::move(window)));
    ++result.windows;
    if (streams.size() < kWindowsInFlight) continue;
    drain(*streams.front());
    streams.pop_front();
    if (progress) progress(static_cast<double>(last) / static_cast<double>(tokens.size()));
  }
  for (const auto& stream : streams) drain(*stream);
  if (result.scored == 0)
    throw Error(Fault::invalid_argument,
                fmt::format("the text has {} tokens, too few to score any", tokens.size()));
  const double count = static_cast<double>(result.scored);
  const double mean = sum / count;
  const double variance = result.scored > 1 ? (squares - sum * mean) / (count - 1) : 0;
  result.perplexity = std::exp(mean);
  result.standard_error = result.perplexity * std::sqrt(std::max(0.0, variance) / count);
  return result;
}

}  // namespace malina::platform
