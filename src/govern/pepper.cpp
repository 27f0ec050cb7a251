#include "govern/pepper.h"

#include <fmt/format.h>
#include <sodium.h>

#include <array>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "govern/private_file.h"
#include "govern/random_bytes.h"

namespace malina::govern {

namespace {

using base::Error;
using base::Fault;
using std::filesystem::path;

std::string_view without_line_end(std::string_view text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

Pepper parse(const path& file, const std::string& content) {
  const std::string_view bytes = without_line_end(content);
  if (bytes.size() < Pepper::kLeastBytes)
    throw Error(Fault::invalid_argument,
                fmt::format("{}: a pepper has {} bytes at least, and this one has {}",
                            file.string(), Pepper::kLeastBytes, bytes.size()));
  return Pepper(std::string(bytes));
}

// What the service's owner gave, and where; the home folder's own is the last resort.
std::optional<path> given_file() {
  if (const char* file = std::getenv("MALINA_PEPPER_FILE"); file != nullptr && *file != '\0')
    return path(file);
  if (const char* folder = std::getenv("CREDENTIALS_DIRECTORY"); folder != nullptr) {
    const path file = path(folder) / "malina.pepper";
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored)) return file;
  }
  return std::nullopt;
}

}  // namespace

Pepper::Pepper(std::string bytes) : bytes_(std::move(bytes)) {
  if (bytes_.size() < kLeastBytes)
    throw Error(Fault::invalid_argument,
                fmt::format("a pepper has {} bytes at least", kLeastBytes));
}

Pepper::~Pepper() { sodium_memzero(bytes_.data(), bytes_.size()); }

Pepper load_pepper(const path& home, MissingPepper missing) {
  if (const auto file = given_file()) {
    // systemd gives credentials to the service alone, whatever their mode says.
    if (const auto content = read_private_file(*file, true)) return parse(*file, *content);
    throw Error(Fault::not_found, fmt::format("the pepper {} does not exist", file->string()));
  }
  const path file = home / "pepper";
  if (const auto content = read_private_file(file)) return parse(file, *content);
  if (missing == MissingPepper::refuse)
    throw Error(Fault::not_found,
                fmt::format("{} is missing, and no key can be checked without it: put it back from "
                            "a backup",
                            file.string()));
  try {
    write_private_file(file, random_text(32) + "\n", base::AtomicFile::Existing::refuse);
  } catch (const Error& error) {
    if (error.fault() != Fault::already_exists) throw;  // another process was first: take its own
  }
  if (const auto content = read_private_file(file)) return parse(file, *content);
  throw Error(Fault::io, fmt::format("{} was written and is not there", file.string()));
}

}  // namespace malina::govern
