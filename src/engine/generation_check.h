// What can never run is refused before it waits for anything.
#pragma once

#include <cstddef>
#include <span>

#include "engine/generation.h"
#include "engine/task.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace malina::engine {

// Of one engine. `pool` outlives it; any thread.
class GenerationCheck {
 public:
  // `most_rows`: of one step; what a sliding window keeps depends on it.
  GenerationCheck(const model::Sizes& sizes, const model::PagePool& pool, std::size_t context,
                  std::size_t most_rows)
      : sizes_(sizes), pool_(pool), context_(context), most_rows_(most_rows) {}

  // Throws base::Error(invalid_argument): an empty prompt, a token outside of the vocabulary, more
  // tokens than the context or the pages hold, a parameter out of range.
  void check(const Generation& generation) const;
  // The same of the continuations of a task, whose forks need pages beside each other.
  void check_branches(const Task& task) const;
  // That a sequence of so many positions takes.
  model::PageCounts pages_for(std::size_t positions) const {
    return model::PagePool::pages_for(sizes_, positions, most_rows_);
  }

 private:
  void check_continuations(const Generation& generation) const;
  void check_tokens(std::span<const Token> tokens) const;

  const model::Sizes& sizes_;
  const model::PagePool& pool_;
  const std::size_t context_, most_rows_;
};

}  // namespace malina::engine
