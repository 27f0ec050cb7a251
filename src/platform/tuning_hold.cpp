#include "platform/tuning_hold.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace malina::platform {

namespace fs = std::filesystem;

namespace {

fs::path file_of(const fs::path& home, const std::string& name) {
  return home / "tuned" / ".holds" / name;
}

HeldFile hold(const fs::path& path, const std::string& name) {
  fs::create_directories(path.parent_path());
  if (auto file = HeldFile::hold(path)) return *std::move(file);
  throw base::Error(
      base::Fault::already_exists,
      fmt::format("{} is being tuned{}: wait until that has ended, or choose another name", name,
                  HeldFile::holder(path)));
}

}  // namespace

std::vector<fs::path> left_of_tuning(const fs::path& home, const std::string& name) {
  std::vector<std::string> left{"." + name + ".gguf", "." + name + ".gguf.snapshot",
                                "." + name + ".adapter", "." + name + ".adapter.snapshot"};
  // Of the adapter that writes labels, and of a second training, as well.
  for (const char* end : {".snapshot", ".snapshot.labels", ".snapshot.all-rows"})
    left.push_back(name + end);
  std::vector<fs::path> paths;
  for (const std::string& each : left) paths.push_back(home / "tuned" / each);
  return paths;
}

TuningHold::TuningHold(const fs::path& home, std::string name)
    : home_(home), name_(std::move(name)), file_(hold(file_of(home_, name_), name_)) {}

TuningHold::TuningHold(const fs::path& output)
    : name_(output.string()), file_(hold(output.string() + ".hold", name_)) {}

TuningHold::~TuningHold() {
  if (home_.empty() || !unfinished(home_, name_)) file_.remove();
}

bool TuningHold::unfinished(const fs::path& home, const std::string& name) {
  std::error_code none;
  const auto is_there = [&](const fs::path& path) { return fs::exists(path, none); };
  return is_there(file_of(home, name)) && std::ranges::any_of(left_of_tuning(home, name), is_there);
}

}  // namespace malina::platform
