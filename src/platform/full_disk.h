// Whether a failure is a full disk: then the same work may succeed later.
#pragma once

#include "base/error.h"

namespace malina::platform {

bool says_disk_full(const base::Error& error);

}  // namespace malina::platform
