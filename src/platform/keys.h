// Keys as commands and endpoints see them; the rules are in govern/key_store.h.
#pragma once

#include "govern/key_store.h"
#include "platform/caller.h"

namespace malina::platform {

using govern::IssuedKey;
using govern::KeyRecord;
using govern::KeyState;
using govern::NewKey;

using govern::kKeyLifetime;
using govern::kRotationOverlap;

}  // namespace malina::platform
