// A pause that comes in a fit of a linear model, which keeps nothing of what it has done.
#pragma once

#include <functional>

#include "base/error.h"
#include "eval/logistic_regression.h"

namespace malina::tune {

// One job's runs. After a run that a pause has stopped in a fit, or that has failed, what was half
// done cannot be gone on with: a further one throws base::Error(internal). One thread.
class FitPause {
 public:
  // What `work` returns; false where a fit in it, or what else asks stop(), was stopped because
  // `asked` says so. Errors of `work` pass through.
  template <class Work>
  bool run(const std::function<bool()>& asked, const Work& work) {
    if (spent_) throw base::Error(base::Fault::internal, "a job that was stopped has ended");
    asked_ = asked;
    spent_ = true;
    try {
      const bool finished = work();
      spent_ = false;
      return finished;
    } catch (const base::Error& error) {
      if (error.fault() != base::Fault::cancelled || !stopped_) throw;
      return false;
    }
  }

  // For the fits of `work`: it stays as it is once it has said yes. Borrows this.
  eval::Stop stop() {
    return [this] { return stopped_ = stopped_ || (asked_ && asked_()); };
  }

 private:
  std::function<bool()> asked_;
  bool stopped_ = false, spent_ = false;
};

}  // namespace malina::tune
