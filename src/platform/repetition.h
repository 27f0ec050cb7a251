// Requests that create something and may be sent again, since their answer was lost on its way:
// the header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace malina::store {
class Database;
}

namespace malina::platform {

inline constexpr std::string_view kRepetitionReused = "idempotency_key_reused";
inline constexpr std::size_t kLongestRepetitionName = 255;

// What a request says of itself. Of each principal (an API key) a name stands for one thing.
struct Repetition {
  std::string name = {};    // the header; empty: the request is not to be repeated
  std::string digest = {};  // of all that decides what is created; any text
};

// Both within the transaction that creates. The id of what the name created within the last day;
// nullopt where it is new. Throws base::Error(invalid_argument) with the code kRepetitionReused
// where that was something else.
std::optional<std::string> created_before(store::Database& database, std::string_view principal,
                                          const Repetition& repetition, std::int64_t now);
void remember_created(store::Database& database, std::string_view principal,
                      const Repetition& repetition, std::string_view id, std::int64_t now);

}  // namespace malina::platform
