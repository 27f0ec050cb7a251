#include "platform/resumable_file.h"

#include <fmt/format.h>
#include <sys/file.h>

#include <span>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json_text.h"
#include "base/text_file.h"

namespace malina::platform {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;

namespace {

constexpr auto kSyncEvery = std::chrono::seconds(10);
constexpr std::uint64_t kLargestDescription = 1 << 16;

}  // namespace

ResumableFile::ResumableFile(std::filesystem::path output, const Json& description,
                             const Options& options)
    : output_(std::move(output)) {
  if (std::filesystem::exists(output_) && !options.overwrite)
    throw Error(Fault::already_exists,
                fmt::format("{} exists already; --overwrite replaces it", output_.string()));
  file_ = base::File::append(part());
  if (::flock(file_->descriptor(), LOCK_EX | LOCK_NB) != 0)
    throw Error(Fault::already_exists,
                fmt::format("another process is writing {}", part().string()));
  if (options.start_again) std::filesystem::remove(description_file());
  if (std::filesystem::exists(description_file()) && options.may_continue) {
    check_same(description);
    continues_ = true;
    return;
  }
  keep(0);
  base::AtomicFile written(description_file());
  written.write(description.dump(2) + "\n");
  written.commit();
}

void ResumableFile::check_same(const Json& description) const {
  const std::string text =
      base::read_text(base::File::open(description_file()), kLargestDescription);
  const Json found = base::parse_json<Json>(text, description_file().string(), {});
  for (const auto& [key, value] : description.items())
    if (!found.is_object() || found.value(key, Json()) != value)
      throw Error(Fault::already_exists,
                  fmt::format("{} is of a run whose {} was another; --start-again throws it away",
                              part().string(), key));
}

void ResumableFile::keep(std::uint64_t bytes) { std::filesystem::resize_file(part(), bytes); }

void ResumableFile::write(std::string_view text) {
  file_->write_all(std::as_bytes(std::span(text)));
  const auto now = std::chrono::steady_clock::now();
  if (now - synced_ < kSyncEvery) return;
  file_->sync();
  synced_ = now;
}

void ResumableFile::complete() {
  file_->sync();
  std::filesystem::rename(part(), output_);
  std::filesystem::remove(description_file());
  base::sync_directory(std::filesystem::absolute(output_).parent_path());
}

}  // namespace malina::platform
