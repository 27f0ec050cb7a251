#include "platform/refusal_audit.h"

namespace malina::platform {

RefusalAudit::~RefusalAudit() {
  const std::scoped_lock lock(mutex_);
  flush_locked(true);
}

void RefusalAudit::record(const Refusal& refusal, std::int64_t count) {
  sink_({.actor = refusal.actor,
         .action = refusal.action,
         .subject = refusal.source,
         .request = refusal.request_id,
         .outcome = "refused",
         .status = refusal.status,
         .count = count});
}

void RefusalAudit::note(const Refusal& refusal) {
  const std::scoped_lock lock(mutex_);
  flush_locked(false);
  const auto now = clock_.monotonic();
  const auto found = counted_.find({refusal.actor.id, refusal.source, refusal.status});
  if (found != counted_.end()) {
    ++found->second.more;
    return;
  }
  if (counted_.size() < kMostAMinute) {
    counted_.emplace(Key{refusal.actor.id, refusal.source, refusal.status},
                     Counted{refusal, 0, now});
    record(refusal, 1);
    return;
  }
  const Refusal of_many{
      .actor = {}, .source = "others", .action = "request", .status = refusal.status};
  ++others_.try_emplace(refusal.status, Counted{of_many, 0, now}).first->second.more;
}

void RefusalAudit::flush() {
  const std::scoped_lock lock(mutex_);
  flush_locked(false);
}

void RefusalAudit::flush_locked(bool all) {
  const auto now = clock_.monotonic();
  const auto end = [&](auto& counted_by) {
    for (auto each = counted_by.begin(); each != counted_by.end();) {
      Counted& counted = each->second;
      if (!all && now - counted.began < kPeriod) {
        ++each;
        continue;
      }
      // Of the first there is a record with its own request; these have none in common.
      counted.first.request_id.clear();
      if (counted.more > 0) record(counted.first, counted.more);
      each = counted_by.erase(each);
    }
  };
  end(counted_);
  end(others_);
}

}  // namespace malina::platform
