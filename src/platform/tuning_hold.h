// A name that is being tuned is one process's until that has ended: the command's, or the server's
// from the making of a job to its record, and while it works on it. In between the job has its name
// by its record (job_records.h).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "platform/held_file.h"

namespace malina::platform {

// What a tuning under this name in HOME/tuned has left that did not end: of a classifier or a
// tagger, of an adapter that writes, or of a whole model.
std::vector<std::filesystem::path> left_of_tuning(const std::filesystem::path& home,
                                                  const std::string& name);

// Held while a tuning runs. What ends with its work undone leaves its file, so that the name is
// known to be somebody's.
class TuningHold {
 public:
  // Of a name, in HOME/tuned/.holds. Throws already_exists, naming the process, where another holds
  // it; io.
  TuningHold(const std::filesystem::path& home, std::string name);
  // Of an output elsewhere, beside it (.OUTPUT.hold); nothing is held where files cannot be.
  explicit TuningHold(const std::filesystem::path& output);
  ~TuningHold();
  TuningHold(const TuningHold&) = delete;
  TuningHold& operator=(const TuningHold&) = delete;

  // Whether a hold before it was left with work undone.
  bool continues() const { return continues_; }
  // Its file goes with it, whatever is left: that is another's, who is known otherwise.
  void leave_nothing() { leaves_ = false; }

 private:
  const std::filesystem::path home_;  // empty: of an output
  const std::string name_;
  std::optional<HeldFile> file_;
  bool continues_ = false, leaves_ = true;
};

}  // namespace malina::platform
