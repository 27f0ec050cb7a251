// What a ModelPool holds of a model and of its adapters. The pool's mutex guards all of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "platform/language_model.h"
#include "platform/model_memory.h"
#include "platform/model_pool.h"
#include "platform/model_store.h"

namespace malina::platform {

struct PooledAdapter {
  using Clock = std::chrono::steady_clock;

  std::string label;
  std::filesystem::path place;
  std::shared_ptr<PoolEntry> base;       // until it is loaded: which must not go meanwhile
  std::unique_ptr<LanguageModel> model;  // the base's, under this adapter; null while it is loading
  std::exception_ptr error;              // where it could not be loaded
  std::uint64_t bytes = 0;
  std::size_t users = 0;
  Clock::time_point last_used = Clock::now();
};

struct PoolEntry {
  using Clock = std::chrono::steady_clock;

  std::string label;
  ResolvedModel resolved;
  ModelState state = ModelState::loading;
  std::shared_ptr<const ModelFile>
      file;  // while it is loaded; a wait for room does not read it anew
  MemoryNeed need;
  std::unique_ptr<LanguageModel> model;  // ready and draining
  std::exception_ptr error;              // gone, where it could not be loaded
  std::uint64_t reserved_bytes = 0;
  std::map<std::string, std::shared_ptr<PooledAdapter>> adapters;  // by digest
  std::size_t users = 0;                                           // of adapters too
  bool leased = false;                                             // ever
  std::chrono::seconds keep_alive{};
  Clock::time_point last_used{};
  Clock::time_point asked_at = Clock::now();  // by someone who waits for it

  void move_to(ModelState next);  // throws internal for what is no step of ModelState
  base::Digest digest() const { return resolved.record ? resolved.record->digest : base::Digest(); }
};

}  // namespace malina::platform
