// Tuned classifiers and taggers as callers of a server know them: by name, and by what their keys
// allow.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "platform/caller.h"
#include "platform/tuned_answers.h"

namespace malina::platform {

class Platform;

// What a caller asks for; nullopt where there is none that it may use. Throws not_found where its
// base is not in the store.
std::optional<TunedRecord> tuned_for(Platform& platform, const Caller& caller,
                                     std::string_view name);
// Whether the name that the caller may use is one of these, and no model's.
bool is_only_tuned(Platform& platform, const Caller& caller, std::string_view name);
// By name, without those that cannot be read.
std::vector<TunedRecord> list_tuned(Platform& platform);

}  // namespace malina::platform
