// A pause that comes in a fit of a linear model, which keeps nothing of what it has done.
#pragma once

#include <functional>

#include "base/error.h"

namespace malina::tune {

// What `work` returns; false where a fit in it was stopped (eval::LogisticOptions::stop), by
// `stop`, which `work` finds set: `asked`, that stays as it is once it has said yes. Other errors
// of `work` pass through. After either `spent` is true: what was half done cannot be gone on with,
// and throws base::Error(internal).
template <class Work>
bool finished_or_paused(const std::function<bool()>& asked, std::function<bool()>& stop,
                        bool& spent, const Work& work) {
  if (spent) throw base::Error(base::Fault::internal, "a job that was stopped in a fit has ended");
  bool stopped = false;
  if (asked) stop = [&] { return stopped = stopped || asked(); };
  spent = true;
  try {
    const bool finished = work();
    spent = false;
    stop = {};
    return finished;
  } catch (const base::Error& error) {
    stop = {};
    if (error.fault() != base::Fault::cancelled || !stopped) throw;
    return false;
  }
}

}  // namespace malina::tune
