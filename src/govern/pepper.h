// The secret under which keys are hashed. It lives outside of the database, so that a copy of the
// database alone lets nobody test guesses or make keys.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace malina::govern {

// Movable; its bytes are wiped when it goes.
class Pepper {
 public:
  static constexpr std::size_t kLeastBytes = 32;

  // Any `bytes`, kLeastBytes or more; throws base::Error(invalid_argument).
  explicit Pepper(std::string bytes);
  ~Pepper();
  Pepper(Pepper&&) noexcept = default;
  Pepper& operator=(Pepper&&) noexcept = default;
  std::string_view bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

enum class MissingPepper { create, refuse };

// From the file that $MALINA_PEPPER_FILE names, or the systemd credential "malina.pepper", or
// `home`/pepper, which is created where there is none (and `missing` says so). Safe with other
// processes that do the same. Throws base::Error: not_found, invalid_argument, io.
Pepper load_pepper(const std::filesystem::path& home, MissingPepper missing);

}  // namespace malina::govern
