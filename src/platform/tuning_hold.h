// A name that is being tuned is one process's until that has ended. A server's job has its name by
// its record, from when it is made until it is over (job_records.h).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "platform/held_file.h"

namespace malina::platform {

// What a tuning under this name in HOME/tuned may have left that did not end: of a classifier or a
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
  // Of an output elsewhere, beside it (OUTPUT.hold).
  explicit TuningHold(const std::filesystem::path& output);
  ~TuningHold();
  TuningHold(const TuningHold&) = delete;
  TuningHold& operator=(const TuningHold&) = delete;

  // Whether something is left of a tuning that was begun by a hold and has not ended.
  static bool unfinished(const std::filesystem::path& home, const std::string& name);

 private:
  const std::filesystem::path home_;  // empty: of an output
  const std::string name_;
  HeldFile file_;
};

}  // namespace malina::platform
