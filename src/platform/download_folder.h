// Where downloads grow: $MALINA_HOME/downloads/HEX, one folder for each thing that is pulled.
#pragma once

#include <filesystem>
#include <string_view>

#include "platform/descriptor.h"

namespace malina::platform {

// Holds the folder for one process at a time. When this is destroyed what was downloaded stays for
// the next try, and a folder without a byte goes; finish() deletes it with all that is in it.
class DownloadFolder {
 public:
  // `key` is what is pulled, and `shown` the same for messages; the folder is named by the key's
  // digest, so nothing from outside becomes a path. Creates what is missing, readable by this user
  // alone. Throws base::Error(io), also where another process pulls the same thing.
  DownloadFolder(const std::filesystem::path& home, std::string_view key, std::string_view shown);

  ~DownloadFolder();
  DownloadFolder(const DownloadFolder&) = delete;
  DownloadFolder& operator=(const DownloadFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void finish();  // never throws: what cannot be deleted stays

 private:
  std::filesystem::path path_;
  Descriptor lock_;
};

}  // namespace malina::platform
