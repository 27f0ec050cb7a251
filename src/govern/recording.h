// Whether what happens can be recorded now, as the last writes tell.
#pragma once

#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"

namespace malina::govern {

enum class Recording {
  works,
  disk_full,  // goes on by itself when there is room
  read_only,  // until the program is started again: a sync failed
  fails,      // the system refuses to write for another reason
};

struct RecordingState {
  Recording recording = Recording::works;
  std::string cause = {};  // names files of this machine: for the log alone
};

// What a write's outcome says; nullopt where it never reached the disk (overloaded).
std::optional<RecordingState> told_by(const std::exception_ptr& failure);

// How the last write went, and whether it is time to ask the disk itself. Safe on many threads.
class RecordingWatch {
 public:
  // What a write has told counts for so long: a good one longer, since the next one tells of a bad
  // end by itself.
  static constexpr std::chrono::seconds kGoodFor{5}, kBadFor{1};

  explicit RecordingWatch(const base::Clock& clock) : clock_(clock) {}

  // A write's outcome.
  void note(const std::exception_ptr& failure);
  RecordingState state() const;
  // True where what is known is too old: then this caller should write something and note() it.
  // Others are told false until it has, or kGoodFor has passed.
  bool should_ask();

 private:
  const base::Clock& clock_;
  mutable std::mutex mutex_;
  RecordingState state_;
  std::optional<base::Clock::Monotonic> noted_at_, asked_at_;
};

}  // namespace malina::govern
