#include "engine/generation_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace malina::engine {

using base::Error;
using base::Fault;

void GenerationCheck::check(const Generation& generation) const {
  if (generation.prompt.empty()) throw Error(Fault::invalid_argument, "the prompt is empty");
  if (!generation.continuations.empty()) check_continuations(generation);
  const std::size_t total = generation.prompt.size() + generation.max_tokens;
  if (generation.max_tokens > context_ || total > context_)
    throw Error(Fault::invalid_argument,
                fmt::format("the prompt has {} tokens and {} are to be generated, but the context "
                            "holds {}",
                            generation.prompt.size(), generation.max_tokens, context_));
  if (!pages_for(total).fits_in(pool_.capacity()))
    throw Error(
        Fault::invalid_argument,
        fmt::format("{} tokens do not fit in a key-value cache of {}", total, pool_.positions()));
  check_tokens(generation.prompt);
  if (generation.pooling != Pooling::none &&
      (generation.max_tokens != 0 || generation.score_prompt || generation.log_probabilities))
    throw Error(Fault::invalid_argument, "an embedding has no answer and no log-probabilities");
  if (generation.stop.size() > kMostStops)
    throw Error(Fault::invalid_argument,
                fmt::format("{} stop strings, more than {}", generation.stop.size(), kMostStops));
  for (const std::string& stop : generation.stop)
    if (stop.empty()) throw Error(Fault::invalid_argument, "a stop string is empty");
  if (generation.log_probabilities.value_or(0) > kMostTopLogProbabilities)
    throw Error(Fault::invalid_argument,
                fmt::format("{} log-probabilities were asked for, more than {}",
                            *generation.log_probabilities, kMostTopLogProbabilities));
}

void GenerationCheck::check_tokens(std::span<const Token> tokens) const {
  for (const Token token : tokens)
    if (token < 0 || static_cast<std::size_t>(token) >= sizes_.vocab)
      throw Error(Fault::invalid_argument,
                  fmt::format("token {} is outside of the vocabulary of {}", token, sizes_.vocab),
                  {.parameter = "prompt"});
}

void GenerationCheck::check_continuations(const Generation& generation) const {
  if (generation.max_tokens != 0 || generation.score_prompt || generation.log_probabilities ||
      generation.pooling != Pooling::none)
    throw Error(Fault::invalid_argument, "continuations are scored instead of an answer");
  std::size_t longest = 0;
  for (const Continuation& continuation : generation.continuations) {
    if (continuation.scored_from >= continuation.tokens.size())
      throw Error(Fault::invalid_argument, "a continuation has no token to be scored");
    check_tokens(continuation.tokens);
    longest = std::max(longest, continuation.tokens.size());
  }
  const std::size_t prompt = generation.prompt.size();
  if (prompt + longest > context_)
    throw Error(Fault::invalid_argument,
                fmt::format("the prompt has {} tokens and its longest continuation {}, but the "
                            "context holds {}",
                            prompt, longest, context_));
}

// The pages of the narrowest way must be there (Scheduler::add).
void GenerationCheck::check_branches(const Task& task) const {
  model::PageCounts needed;
  const std::size_t pages = (task.longest() + math::kPagePositions - 1) / math::kPagePositions;
  for (std::size_t kind = 0; kind < pool_.kinds(); ++kind)
    needed.kinds[kind] = pages + task.branches->least_pages();
  if (!needed.fits_in(pool_.capacity()))
    throw Error(Fault::invalid_argument,
                fmt::format("{} tokens and {} forks of their continuations do not fit in a "
                            "key-value cache of {}",
                            task.longest(), task.branches->least_pages() - 1, pool_.positions()));
}

}  // namespace malina::engine
