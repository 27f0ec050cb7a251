#include "platform/caller.h"

#include <pwd.h>
#include <unistd.h>

namespace malina::platform {

Actor local_actor() {
  const passwd* const user = getpwuid(getuid());
  return {"local:" + (user != nullptr ? std::string(user->pw_name) : std::to_string(getuid())), ""};
}

}  // namespace malina::platform
