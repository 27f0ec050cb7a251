// Runs generations on one model: owns the thread that decodes, the pages and the schedule.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "engine/draft.h"
#include "engine/generation.h"
#include "engine/step_arbiter.h"
#include "math/ops/attention.h"
#include "model/transformer.h"

namespace malina::engine {

struct EngineOptions {
  math::Precision precision = math::Precision::fast;
  math::KvType kv_type = math::KvType::f16;
  std::size_t context = 0;    // positions a generation may have; 0: the model's own
  std::size_t positions = 0;  // of all generations together; 0: as many as `context`
  std::size_t max_rows = 0;   // of one step; 0: chosen by the transformer
  // What a step should take at most: prompts are computed in pieces that leave it so. Answers do
  // not depend on it.
  std::chrono::milliseconds step_time{100};
  std::size_t max_waiting = 0;  // generations that do not run yet; 0: no limit
  // Guesses what follows from what followed the same tokens before. Answers do not depend on it.
  Speculation speculation = Speculation::adaptive;
};

// What the engine is doing, as of its last step.
struct EngineStatus {
  std::size_t running = 0, waiting = 0;  // generations
  // Pages of keys and values, of all kinds of layers together. Used: by what runs; cached: kept for
  // prompts that begin alike, and given up as soon as what runs needs them.
  std::size_t pages_used = 0, pages_cached = 0, pages_capacity = 0;
  // Since the engine was made.
  std::uint64_t prompt_tokens_computed = 0;  // again after a preemption, too
  std::uint64_t prompt_tokens_cached = 0;    // taken from prefixes computed before
  std::uint64_t answer_tokens = 0;
  std::uint64_t continuation_tokens =
      0;                              // computed for continuations, again after a preemption too
  std::uint64_t drafted_tokens = 0;   // guessed
  std::uint64_t accepted_tokens = 0;  // guessed right: part of answer_tokens
  std::uint64_t steps = 0;
  std::uint64_t preemptions = 0;  // generations that gave their pages back and began anew
  std::chrono::nanoseconds last_step{};
};

class Engine {
 public:
  // The device and the arbiter must outlive the engine. Throws base::Error(out_of_memory) where the
  // key-value cache does not fit.
  Engine(std::shared_ptr<const model::Model> model,
         std::shared_ptr<const text::Tokenizer> tokenizer, math::Device& device,
         StepArbiter& arbiter, const EngineOptions& options = {});
  ~Engine();  // cancels what runs

  // Any thread. Throws base::Error(invalid_argument) for what can never run: an empty prompt, a
  // token outside of the vocabulary, more tokens than the context (nothing is ever truncated), a
  // parameter out of range; base::Error(overloaded) where max_waiting generations wait already.
  std::shared_ptr<Stream> submit(Generation generation);
  // Several of one request: all of them or none. They do not count against each other, so that what
  // asks for more answers than may wait still runs where nobody waits.
  std::vector<std::shared_ptr<Stream>> submit(std::vector<Generation> generations);

  const model::Model& model() const;
  const text::Tokenizer& tokenizer() const;
  std::size_t context() const;
  EngineStatus status() const;  // any thread

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace malina::engine
