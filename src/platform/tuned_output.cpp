#include "platform/tuned_output.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <ctime>

#include "base/atomic_folder.h"
#include "base/error.h"
#include "platform/model_file.h"
#include "platform/model_name.h"
#include "platform/processor.h"
#include "tune/classifier_manifest.h"
#include "tune/span_tagger.h"

namespace malina::platform {

using base::Error;
using base::Fault;
namespace fs = std::filesystem;

std::shared_ptr<const model::Model> load_for_tuning(const ModelFile& file, Processor& processor,
                                                    const ProgressSink& progress) {
  return load_for_tuning(file, processor.device, processor.pool, progress);
}

std::shared_ptr<const model::Model> load_for_tuning(const ModelFile& file, math::Device& device,
                                                    base::ThreadPool& loaders,
                                                    const ProgressSink& progress) {
  return load_for_tuning(file.checkpoint, device, loaders, progress);
}

std::shared_ptr<const model::Model> load_for_tuning(
    std::shared_ptr<const format::Checkpoint> checkpoint, math::Device& device,
    base::ThreadPool& loaders, const ProgressSink& progress) {
  const std::uint64_t total = checkpoint->total_bytes();
  return model::Model::load(
      std::move(checkpoint), device, loaders,
      {.window = {}, .progress = [&](double share) {
         if (progress)
           progress(
               {"loading", static_cast<std::uint64_t>(share * static_cast<double>(total)), total});
       }});
}

bool is_suffix(std::string_view text) {
  const auto is_letter = [](unsigned char letter) {
    return std::isalnum(letter) != 0 || letter == '-' || letter == '_' || letter == '.';
  };
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), is_letter) &&
         text.front() != '.' && text.front() != '-' && !text.ends_with(".snapshot");
}

void check_suffix(const std::string& suffix) {
  if (!is_suffix(suffix))
    throw Error(
        Fault::invalid_argument,
        fmt::format("the suffix '{}' is not 1 to 64 letters, digits, '-', '_' or '.', or it ends "
                    "in '.snapshot'",
                    suffix));
}

std::string time_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

std::string base_name(const ResolvedModel& base) {
  return base.record ? base.record->name : name_from_file(base.file);
}

std::string licence_of(const ModelFile& file) {
  return std::string(file.checkpoint->metadata().text("general.license").value_or(""));
}

fs::path place_of(const fs::path& directory) {
  const fs::path normal = fs::absolute(directory).lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

void check_free(const fs::path& directory, bool replace) {
  if (!fs::exists(directory)) return;
  if (!replace)
    throw Error(Fault::already_exists,
                fmt::format("{} is there already: --force replaces it", directory.string()));
  const bool ours = fs::is_directory(directory) &&
                    (fs::is_empty(directory) ||
                     std::ranges::any_of(std::array{tune::kManifestName, tune::kSpanManifestName,
                                                    kAdapterManifestName, kTunedModelName},
                                         [&](std::string_view name) {
                                           return fs::is_regular_file(directory / name);
                                         }));
  if (!ours)
    throw Error(Fault::invalid_argument,
                fmt::format("{} is nothing that was tuned: --force does not replace it",
                            directory.string()));
}

void place_directory(const fs::path& directory, const std::function<void(const fs::path&)>& write) {
  if (!fs::exists(directory)) {
    write(directory);
    return;
  }
  // No name that anything tuned can have. They change places in one step, where the file system
  // can do that.
  const fs::path next = directory.parent_path() / ("." + directory.filename().string() + ".next");
  fs::remove_all(next);
  write(next);
  if (renameat2(AT_FDCWD, next.c_str(), AT_FDCWD, directory.c_str(), RENAME_EXCHANGE) != 0) {
    const fs::path old = directory.parent_path() / ("." + directory.filename().string() + ".old");
    fs::remove_all(old);
    fs::rename(directory, old);
    fs::rename(next, directory);
    fs::remove_all(old);
  }
  base::sync_directory(directory.parent_path());
  fs::remove_all(next);
}

}  // namespace malina::platform
