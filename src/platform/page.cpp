#include "platform/page.h"

#include <fmt/format.h>

#include "govern/audit_chain.h"

namespace malina::platform {

base::Error wrong_after(std::string_view after, std::string_view what) {
  return base::Error(base::Fault::invalid_argument,
                     fmt::format("'after' must be the id of {}; there is no '{}'", what,
                                 after.substr(0, govern::AuditEntry::kLongestText)),
                     {.code = "invalid_value", .parameter = "after"});
}

}  // namespace malina::platform
