// What a pull will download, before it does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "platform/url.h"

namespace malina::platform {

struct PlannedFile {
  Url url;
  std::string local_name;  // in the download's folder; always made by this program
  std::optional<std::uint64_t> size_bytes;
  std::optional<base::Digest> digest;
  std::string magic;  // that it begins with; "" for anything
};

struct PullPlan {
  std::string key;    // what is pulled: the same again finds the part that is there
  std::string shown;  // the same for messages, without what may be secret
  std::string name;   // for the store; "" for what import finds
  std::vector<PlannedFile> files;
  bool is_directory = false;  // import gets the folder, otherwise the first file
};

}  // namespace malina::platform
