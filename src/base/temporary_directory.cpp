#include "base/temporary_directory.h"

#include <stdlib.h>

#include <string>
#include <system_error>

#include "base/error.h"

namespace malina::base {

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "malina-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw system_error("cannot create the directory " + name);
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace malina::base
