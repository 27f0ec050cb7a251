#include "govern/random_bytes.h"

#include <sodium.h>

#include <vector>

#include "base/error.h"

namespace malina::govern {

void start_sodium() {
  static const int started = sodium_init();
  if (started < 0)
    throw base::Error(base::Fault::internal, "the cryptography library cannot be started");
}

std::string random_text(std::size_t bytes) {
  start_sodium();
  std::vector<unsigned char> secret(bytes);
  randombytes_buf(secret.data(), secret.size());
  constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  std::string text(sodium_base64_encoded_len(secret.size(), kVariant), '\0');
  sodium_bin2base64(text.data(), text.size(), secret.data(), secret.size(), kVariant);
  text.pop_back();  // the zero that ends a C string
  sodium_memzero(secret.data(), secret.size());
  return text;
}

std::string random_letters(std::size_t letters) {
  start_sodium();
  static constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz234567";
  std::string text(letters, '\0');
  for (char& letter : text) letter = kLetters[randombytes_uniform(32)];
  return text;
}

}  // namespace malina::govern
