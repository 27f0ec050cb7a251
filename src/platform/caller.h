// Who asks: the holder of a key, or on this machine itself its user.
#pragma once

#include <string>

#include "govern/principal.h"

namespace malina::platform {

using govern::Limits;
using govern::Permission;
using govern::PermissionSet;
using govern::WallSeconds;

// What authenticate() gives: key_id, secret_generation, tenant, permissions, models, limits.
using Caller = govern::Principal;

// For records of what a command did: "local:" and the name of the user who runs it.
using govern::Actor;
Actor local_actor();
inline Actor actor(const Caller& caller) { return {caller.key_id, caller.tenant}; }

}  // namespace malina::platform
