#include "govern/private_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text_file.h"

namespace malina::govern {

using base::Error;
using base::Fault;

void write_private_file(const std::filesystem::path& file, std::string_view content,
                        base::AtomicFile::Existing existing) {
  base::AtomicFile written(file, existing);
  // Before there is anything in it.
  if (::fchmod(written.file().descriptor(), S_IRUSR | S_IWUSR) != 0)
    throw base::system_error("cannot make " + file.string() + " private");
  written.write(content);
  written.commit();
}

std::optional<std::string> read_private_file(const std::filesystem::path& file,
                                             bool others_may_read) {
  constexpr std::uint64_t kMostBytes = 4096;
  std::optional<base::File> opened;
  try {
    opened = base::File::open(file);
  } catch (const Error& error) {
    if (error.fault() == Fault::not_found) return std::nullopt;
    throw;
  }
  struct stat status{};
  if (::fstat(opened->descriptor(), &status) != 0)
    throw base::system_error("cannot read " + file.string());
  if (!others_may_read && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    throw Error(Fault::invalid_argument,
                fmt::format("{0} holds a secret and other users may read it: run 'chmod 600 {0}'",
                            file.string()));
  const std::uint64_t size = opened->size();
  if (size > kMostBytes)
    throw Error(
        Fault::invalid_argument,
        fmt::format("{} has {} bytes, which is too much for a secret", file.string(), size));
  return base::read_text(*opened, size);
}

}  // namespace malina::govern
