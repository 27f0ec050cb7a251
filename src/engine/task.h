// A generation under way: its sequence, its sampler and what it still has to compute.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "engine/branches.h"
#include "engine/draft.h"
#include "engine/generation.h"
#include "engine/prefix_index.h"
#include "engine/stop_matcher.h"
#include "model/kv_cache.h"

namespace malina::engine {

struct Task {
  Task(Generation request, std::shared_ptr<Stream> sink, std::size_t vocabulary)
      : generation(std::move(request)),
        stream(std::move(sink)),
        sampler(generation.sampling, vocabulary, generation.prompt),
        stops(generation.stop),
        tokens(std::move(generation.prompt)),
        prompt_tokens(tokens.size()) {
    if (generation.continuations.empty()) return;
    branches = std::make_unique<Branches>(generation.continuations);
    generation.continuations = {};
  }

  Generation generation;  // without its prompt, which is in `tokens`, and its continuations
  std::shared_ptr<Stream> stream;
  Sampler sampler;
  StopMatcher stops;
  text::Utf8Stream characters;

  std::vector<Token> tokens;  // the prompt, then the answer so far
  std::size_t prompt_tokens;
  std::vector<double> pooled;  // sums of hidden states; doubles, so that long prompts stay exact
  std::size_t pooled_positions = 0;  // that are in it
  std::size_t scored = 0;            // tokens of the prompt whose scores were passed on

  std::uint64_t number = 0;  // in the order of submission; the scheduler's
  // Null while it waits. It has computed the first length() of `tokens`; the last token is never
  // computed before it is known.
  std::unique_ptr<model::Sequence> sequence;
  bool long_context = false;       // Sequence::long_context
  bool admitted = false;           // once; a preempted one waits again
  bool progressed = false;         // had rows in the last step
  std::size_t charged_tokens = 0;  // of the answer, that its owner was charged for
  std::size_t kept_pages = 0;      // of the sequence, that the prefix index was told of

  std::unique_ptr<Branches> branches;  // where continuations are scored

  DraftLength drafts;

  Finished result;
  bool over = false;
  std::chrono::steady_clock::time_point submitted, started, answering;

  bool wants_scores() const { return generation.log_probabilities.has_value(); }
  std::size_t computed() const { return sequence ? sequence->length() : 0; }
  std::size_t remaining() const { return tokens.size() - computed(); }
  // Positions that it has when all is computed.
  std::size_t longest() const {
    return prompt_tokens + (branches ? branches->longest() : generation.max_tokens);
  }
  // How many positions may come from elsewhere: the logits of those after it are needed. The token
  // at `scored` is scored by the one before it.
  std::size_t may_skip() const {
    if (generation.pooling == Pooling::mean) return pooled_positions;
    if (generation.score_prompt && scored < prompt_tokens) return scored == 0 ? 0 : scored - 1;
    return tokens.size() - 1;
  }
  bool shares() const { return !generation.cache_scope.empty(); }
  bool may_share_with(const Task& other) const {  // the keys are equal; no copy is made
    return generation.cache_scope == other.generation.cache_scope &&
           generation.adapter == other.generation.adapter && long_context == other.long_context;
  }
  PrefixKey key() const { return {generation.cache_scope, generation.adapter, long_context}; }
};

}  // namespace malina::engine
