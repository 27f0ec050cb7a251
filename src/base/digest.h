// SHA-256, and its result as a type: a digest from outside is parsed once, and whatever names a
// file by its digest takes this type, so that no text from outside becomes part of a path.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace malina::base {

class Digest {
 public:
  static constexpr std::size_t kBytes = 32;

  Digest() = default;  // all zero
  explicit Digest(const std::array<std::uint8_t, kBytes>& bytes) : bytes_(bytes) {}
  // 64 lower-case hexadecimal digits and nothing else; otherwise nullopt.
  static std::optional<Digest> parse(std::string_view hex);

  std::string hex() const;
  const std::array<std::uint8_t, kBytes>& bytes() const { return bytes_; }
  auto operator<=>(const Digest&) const = default;

 private:
  std::array<std::uint8_t, kBytes> bytes_{};
};

// Feed it in any number of pieces, then finish once. One owner, one thread.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  Digest finish();  // leaves it as newly made

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace malina::base
