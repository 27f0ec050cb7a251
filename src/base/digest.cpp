#include "base/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace malina::base {

namespace {

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

}  // namespace

std::optional<Digest> Digest::parse(std::string_view hex) {
  constexpr std::string_view kPrefix = "sha256:";
  if (hex.starts_with(kPrefix)) hex.remove_prefix(kPrefix.size());
  if (hex.size() != 2 * kBytes) return std::nullopt;
  std::array<std::uint8_t, kBytes> bytes{};
  for (std::size_t i = 0; i < kBytes; ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return Digest(bytes);
}

std::string Digest::hex() const {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * kBytes);
  for (const std::uint8_t byte : bytes_) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15U];
  }
  return text;
}

struct Sha256::Context {
  EVP_MD_CTX* handle = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(handle); }

  void start() {
    if (handle == nullptr || EVP_DigestInit_ex(handle, EVP_sha256(), nullptr) != 1)
      throw Error(Fault::internal, "the cryptography library has no SHA-256");
  }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) { context_->start(); }
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(context_->handle, bytes.data(), bytes.size()) != 1)
    throw Error(Fault::internal, "the cryptography library refused to hash");
}

void Sha256::update(std::string_view text) { update(std::as_bytes(std::span(text))); }

Digest Sha256::finish() {
  std::array<std::uint8_t, Digest::kBytes> bytes{};
  if (EVP_DigestFinal_ex(context_->handle, bytes.data(), nullptr) != 1)
    throw Error(Fault::internal, "the cryptography library refused to hash");
  context_->start();
  return Digest(bytes);
}

Digest digest_file(const File& file,
                   const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  constexpr std::uint64_t kPiece = std::uint64_t{4} << 20;
  const std::uint64_t total = file.size();
  std::vector<std::byte> piece(std::min(total, kPiece));
  Sha256 hash;
  for (std::uint64_t done = 0; done < total;) {
    const auto bytes = std::span(piece).first(std::min(total - done, kPiece));
    file.read_at(done, bytes);
    hash.update(bytes);
    done += bytes.size();
    if (progress) progress(done, total);
  }
  return hash.finish();
}

}  // namespace malina::base
