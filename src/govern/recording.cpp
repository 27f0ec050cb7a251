#include "govern/recording.h"

#include "store/database.h"

namespace malina::govern {

std::optional<RecordingState> told_by(const std::exception_ptr& failure) {
  if (!failure) return RecordingState{};
  try {
    std::rethrow_exception(failure);
  } catch (const store::StorageError& error) {
    return RecordingState{error.kind() == store::StorageError::Kind::disk_full
                              ? Recording::disk_full
                              : Recording::read_only,
                          error.what()};
  } catch (const base::Error& error) {
    if (error.fault() == base::Fault::overloaded) return std::nullopt;
    return RecordingState{Recording::fails, error.what()};
  } catch (const std::exception& error) {
    return RecordingState{Recording::fails, error.what()};
  }
}

void RecordingWatch::note(const std::exception_ptr& failure) {
  auto told = told_by(failure);
  const std::scoped_lock lock(mutex_);
  asked_at_.reset();
  if (!told) return;
  state_ = *std::move(told);
  noted_at_ = clock_.monotonic();
}

RecordingState RecordingWatch::state() const {
  const std::scoped_lock lock(mutex_);
  return state_;
}

bool RecordingWatch::should_ask() {
  const std::scoped_lock lock(mutex_);
  const auto now = clock_.monotonic();
  const auto good_for = state_.recording == Recording::works ? kGoodFor : kBadFor;
  if (noted_at_ && now - *noted_at_ < good_for) return false;
  if (asked_at_ && now - *asked_at_ < kGoodFor) return false;
  asked_at_ = now;
  return true;
}

}  // namespace malina::govern
