// SHA-256, and its result as a type: a digest from outside is parsed once, and whatever names a
// file by its digest takes this type, so that no text from outside becomes part of a path.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/file.h"

namespace malina::base {

class Digest {
 public:
  static constexpr std::size_t kBytes = 32;

  Digest() = default;  // all zero
  explicit Digest(const std::array<std::uint8_t, kBytes>& bytes) : bytes_(bytes) {}
  // 64 lower-case hexadecimal digits, alone or after "sha256:"; nullopt for everything else.
  static std::optional<Digest> parse(std::string_view hex);

  std::string hex() const;
  std::string text() const { return "sha256:" + hex(); }
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

// Of the whole file as it stands. `progress` (may be empty) is called with the bytes hashed so far
// and the size of the file, every few MB; an Error that it throws ends the hashing. Throws io, and
// corrupt_file for a file that is cut short meanwhile.
Digest digest_file(
    const File& file,
    const std::function<void(std::uint64_t done, std::uint64_t total)>& progress = {});

}  // namespace malina::base
