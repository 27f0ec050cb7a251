#include "govern/key_token.h"

#include <sodium.h>

#include "base/digest.h"
#include "govern/random_bytes.h"

namespace malina::govern {

namespace {

constexpr std::size_t kIdLetters = 16;
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kSecretLength = 43;  // of the base64 of that

bool is_letter_of_id(char c) { return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7'); }

}  // namespace

const KeyToken kNoToken{"mk_0000000000000000", "0000000000000000000000000000000000000000000"};

std::string new_key_id() { return std::string(kKeyPrefix) + random_letters(kIdLetters); }
std::string new_key_secret() { return random_text(kSecretBytes); }

std::optional<KeyToken> parse_key_token(std::string_view presented) {
  const std::size_t dot = presented.find('.');
  if (dot != kKeyPrefix.size() + kIdLetters || presented.size() != dot + 1 + kSecretLength ||
      !presented.starts_with(kKeyPrefix))
    return std::nullopt;
  for (const char c : presented.substr(kKeyPrefix.size(), kIdLetters))
    if (!is_letter_of_id(c)) return std::nullopt;
  return KeyToken{presented.substr(0, dot), presented.substr(dot + 1)};
}

SecretHash hash_secret(const Pepper& pepper, std::string_view id, std::string_view secret) {
  start_sodium();
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  };
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, bytes(pepper.bytes()), pepper.bytes().size());
  crypto_auth_hmacsha256_update(&state, bytes(id), id.size());
  crypto_auth_hmacsha256_update(&state, bytes("."), 1);
  crypto_auth_hmacsha256_update(&state, bytes(secret), secret.size());
  SecretHash hash;
  crypto_auth_hmacsha256_final(&state, hash.data());
  sodium_memzero(&state, sizeof state);
  return hash;
}

bool same_hash(const SecretHash& a, const SecretHash& b) {
  return sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string to_hex(const SecretHash& hash) { return base::Digest(hash).hex(); }

std::optional<SecretHash> parse_hash(std::string_view hex) {
  const auto digest = base::Digest::parse(hex);
  if (!digest) return std::nullopt;
  return digest->bytes();
}

}  // namespace malina::govern
