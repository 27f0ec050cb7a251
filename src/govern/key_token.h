// What the holder of a key keeps: ID.SECRET. The id says which key, the secret that it is its
// holder.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "govern/pepper.h"

namespace malina::govern {

inline constexpr std::string_view kKeyPrefix = "mk_";

std::string new_key_id();      // "mk_" and 16 letters of a-z, 2-7: 80 bits
std::string new_key_secret();  // 256 bits in URL-safe base64: 43 characters

struct KeyToken {
  std::string_view id, secret;
};
// Nullopt where `presented` cannot be a key; the parts borrow from it.
std::optional<KeyToken> parse_key_token(std::string_view presented);
// As long as any, and nobody's.
extern const KeyToken kNoToken;

using SecretHash = std::array<unsigned char, 32>;
// HMAC-SHA-256 of "ID.SECRET" under the pepper: a hash moved to another key's record opens nothing.
SecretHash hash_secret(const Pepper& pepper, std::string_view id, std::string_view secret);
bool same_hash(const SecretHash& a, const SecretHash& b);  // in constant time
std::string to_hex(const SecretHash& hash);
std::optional<SecretHash> parse_hash(std::string_view hex);

}  // namespace malina::govern
