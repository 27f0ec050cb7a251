#include "platform/pool_entry.h"

#include <fmt/format.h>

#include "base/error.h"

namespace malina::platform {

std::string_view name(ModelState state) {
  switch (state) {
    case ModelState::loading:
      return "loading";
    case ModelState::ready:
      return "ready";
    case ModelState::draining:
      return "draining";
    case ModelState::gone:
      return "gone";
  }
  return "gone";
}

void PoolEntry::move_to(ModelState next) {
  const bool allowed = (state == ModelState::loading && next != ModelState::draining) ||
                       (state == ModelState::ready && next != ModelState::loading) ||
                       (state == ModelState::draining && next == ModelState::gone);
  if (!allowed)
    throw base::Error(base::Fault::internal,
                      fmt::format("a model cannot go from {} to {}", name(state), name(next)));
  state = next;
}

}  // namespace malina::platform
