// A pause that comes in a fit of a linear model, which keeps nothing of what it has done.
#pragma once

#include <functional>

#include "base/error.h"

namespace malina::tune {

// What `work` returns; false where a fit in it was stopped by `pause`
// (eval::LogisticOptions::stop). Then `spent` is true from there on: what was half done cannot be
// gone on with, and throws base::Error(internal). Errors of `work` pass through.
template <class Work>
bool finished_or_paused(const std::function<bool()>& pause, bool& spent, const Work& work) {
  if (spent) throw base::Error(base::Fault::internal, "a job that was paused in a fit has ended");
  try {
    return work();
  } catch (const base::Error& error) {
    if (error.fault() != base::Fault::cancelled || !pause || !pause()) throw;
    spent = true;
    return false;
  }
}

}  // namespace malina::tune
