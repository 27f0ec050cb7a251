// What a key may look like, and the words for one that does not exist.
#pragma once

#include <chrono>
#include <string_view>

#include "base/error.h"
#include "govern/key_store.h"

namespace malina::govern {

// Throw base::Error(invalid_argument) that names the field and what is wrong.
void check_new_key(const NewKey& key);
void check_overlap(std::chrono::seconds overlap);

base::Error no_such_key(std::string_view id);

}  // namespace malina::govern
