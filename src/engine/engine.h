// Runs generations on one model: owns the thread that decodes, the pages and the schedule.
#pragma once

#include <memory>
#include <thread>

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
  // parameter out of range.
  std::shared_ptr<Stream> submit(Generation generation);

  const model::Model& model() const;
  const text::Tokenizer& tokenizer() const;
  std::size_t context() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace malina::engine
