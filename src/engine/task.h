// A generation under way: its sequence, its sampler and what it still has to compute.
#pragma once

#include <chrono>
#include <memory>

#include "engine/generation.h"
#include "engine/stop_matcher.h"
#include "model/kv_cache.h"

namespace malina::engine {

struct Task {
  Task(Generation request, std::shared_ptr<Stream> sink, std::size_t vocabulary)
      : generation(std::move(request)),
        stream(std::move(sink)),
        sampler(generation.sampling, vocabulary, generation.prompt),
        stops(generation.stop) {}

  Generation generation;
  std::shared_ptr<Stream> stream;
  Sampler sampler;
  StopMatcher stops;
  text::Utf8Stream characters;

  std::unique_ptr<model::Sequence> sequence;  // null until admitted
  model::PageCounts reserved_pages;
  std::size_t prompt_done = 0;  // tokens of the prompt that were computed
  Token last = 0;               // the token to compute next, once the prompt is done
  Finished result;
  bool over = false;
  std::chrono::steady_clock::time_point started, answering;

  bool in_prompt() const { return prompt_done < generation.prompt.size(); }
  bool wants_scores() const { return generation.log_probabilities.has_value(); }
};

}  // namespace malina::engine
