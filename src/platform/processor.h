// What computes: the cores of this process, and whose turn it is. One for all models in memory.
#pragma once

#include "base/thread_pool.h"
#include "engine/step_arbiter.h"
#include "math/device.h"

namespace malina::platform {

// Must outlive the models that use it.
struct Processor {
  explicit Processor(unsigned threads = 0) : pool(threads), device(pool) {}  // 0: all it may use

  base::ThreadPool pool;
  math::CpuDevice device;
  engine::StepArbiter arbiter;
};

}  // namespace malina::platform
