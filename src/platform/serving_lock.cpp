#include "platform/serving_lock.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "base/error.h"

namespace malina::platform {

namespace {

// " (process 123)", or nothing where its holder has not written it yet.
std::string holder(const Descriptor& file) {
  std::array<char, 24> text{};
  const auto length = ::pread(file.number(), text.data(), text.size(), 0);
  std::string digits(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  digits.resize(std::min(digits.size(), digits.find_first_not_of("0123456789")));
  return digits.empty() ? "" : fmt::format(" (process {})", digits);
}

}  // namespace

ServingLock::ServingLock(const std::filesystem::path& home) {
  const std::filesystem::path name = home / "serve.lock";
  file_ = Descriptor::open(name, O_RDWR | O_CREAT, 0600);
  while (::flock(file_.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) throw base::system_error("cannot lock " + name.string());
    throw base::Error(base::Fault::already_exists,
                      fmt::format("another server{} serves the models of {}: stop it, or give this "
                                  "one a home folder of its own (MALINA_HOME)",
                                  holder(file_), home.string()));
  }
  // For whoever is refused; a full disk is no reason not to serve.
  const std::string text = fmt::format("{}\n", ::getpid());
  if (::ftruncate(file_.number(), 0) == 0) [[maybe_unused]]
    const auto written = ::pwrite(file_.number(), text.data(), text.size(), 0);
}

}  // namespace malina::platform
