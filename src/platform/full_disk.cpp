#include "platform/full_disk.h"

#include <cerrno>
#include <cstring>
#include <string_view>

#include "store/database.h"

namespace malina::platform {

bool says_disk_full(const base::Error& error) {
  if (const auto* storage = dynamic_cast<const store::StorageError*>(&error))
    return storage->kind() == store::StorageError::Kind::disk_full;
  // Of a file the system's own words are all that is left of its error number.
  const std::string_view what = error.what();
  return error.fault() == base::Fault::io && (what.find(std::strerror(ENOSPC)) != what.npos ||
                                              what.find(std::strerror(EDQUOT)) != what.npos);
}

}  // namespace malina::platform
