// For tests: engines on one of the small models of tests/golden.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engine/engine.h"

namespace malina::engine {

struct Setting {
  std::string file;
  math::KvType kv_type = math::KvType::f16;
  math::Precision precision = math::Precision::fast;
};

class Bench {
 public:
  explicit Bench(const Setting& setting, unsigned threads = 2)
      : setting_(setting),
        pool_(threads),
        device_(pool_),
        checkpoint_(format::Checkpoint::open(std::filesystem::path(MALINA_SOURCE_DIR) /
                                             "tests/golden" / (setting.file + ".gguf"))),
        tokenizer_(text::Tokenizer::create(checkpoint_->metadata())),
        model_(model::Model::load(checkpoint_, device_, pool_)) {}

  std::unique_ptr<Engine> engine(EngineOptions options) {
    options.kv_type = setting_.kv_type;
    options.precision = setting_.precision;
    return std::make_unique<Engine>(model_, tokenizer_, device_, arbiter_, options);
  }

 private:
  Setting setting_;
  base::ThreadPool pool_;
  math::CpuDevice device_;
  StepArbiter arbiter_;
  std::shared_ptr<const format::Checkpoint> checkpoint_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::shared_ptr<const model::Model> model_;
};

}  // namespace malina::engine
