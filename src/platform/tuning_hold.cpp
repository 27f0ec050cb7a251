#include "platform/tuning_hold.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "tune/trial.h"

namespace malina::platform {

using base::Error;
using base::Fault;
namespace fs = std::filesystem;

namespace {

HeldFile hold(const fs::path& path, const std::string& name) {
  fs::create_directories(path.parent_path());
  if (auto file = HeldFile::hold(path)) return *std::move(file);
  throw Error(Fault::already_exists,
              fmt::format("{} is being tuned{}: wait until that has ended, or choose another name",
                          name, HeldFile::holder(path)));
}

// Where that cannot be, what is written there says so itself, or two at once are not kept apart.
std::optional<HeldFile> hold_if_possible(const fs::path& path, const std::string& name) {
  try {
    return hold(path, name);
  } catch (const Error& error) {
    if (error.fault() == Fault::already_exists) throw;
  } catch (const fs::filesystem_error&) {
  }
  return std::nullopt;
}

fs::path beside(const fs::path& output) {
  return output.parent_path() / ("." + output.filename().string() + ".hold");
}

}  // namespace

std::vector<fs::path> left_of_tuning(const fs::path& home, const std::string& name) {
  const fs::path folder = home / "tuned";
  std::vector<fs::path> left;
  const auto add = [&](const fs::path& path) {
    std::error_code none;
    if (fs::exists(path, none)) left.push_back(path);
  };
  for (const std::string& made : {"." + name + ".gguf", "." + name + ".adapter"})
    add(folder / made);
  for (const std::string& begun : {"." + name + ".gguf", "." + name + ".adapter", name}) {
    const fs::path snapshot = folder / (begun + ".snapshot");
    add(snapshot);
    // Of the adapter that writes labels, of a second training, and of trials.
    for (const char* end : {".labels", ".all-rows"}) add(snapshot.string() + end);
    for (const fs::path& trial : tune::trial_files(snapshot)) left.push_back(trial);
  }
  return left;
}

TuningHold::TuningHold(const fs::path& home, std::string name)
    : home_(home), name_(std::move(name)), file_(hold(home / "tuned" / ".holds" / name_, name_)) {
  continues_ = file_->was_there() && !left_of_tuning(home_, name_).empty();
}

TuningHold::TuningHold(const fs::path& output)
    : name_(output.string()), file_(hold_if_possible(beside(output), name_)), leaves_(false) {}

TuningHold::~TuningHold() {
  if (file_ && (!leaves_ || left_of_tuning(home_, name_).empty())) file_->remove();
}

}  // namespace malina::platform
