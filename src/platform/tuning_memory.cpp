#include "platform/tuning_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/machine.h"
#include "platform/model_file.h"
#include "platform/model_memory.h"

namespace malina::platform {

namespace {

// Of labelled texts: themselves, their tokens and targets, and what a row takes beside them.
constexpr std::uint64_t kDataShare = 6;

std::uint64_t bytes_of(const std::vector<std::filesystem::path>& files) {
  std::uint64_t bytes = 0;
  for (const auto& path : files) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    if (!error) bytes += size;  // reading will say what is wrong
  }
  return bytes;
}

}  // namespace

void TuningMemory::take_inputs(const ModelFile* file, const tune::TuningRequest& data) {
  if (!grant_.take) return;
  const std::uint64_t weights = file != nullptr ? memory_need(*file, {}).weights : 0;
  const std::uint64_t texts =
      kDataShare * (bytes_of(data.training) + bytes_of(data.validation) + bytes_of(data.test));
  if (weights + texts > grant_.most)
    throw base::Error(base::Fault::out_of_memory,
                      fmt::format("its weights and data alone take {} MiB, and all models and jobs "
                                  "together may take {} MiB",
                                  (weights + texts) >> 20, grant_.most >> 20));
  take(weights + texts);
}

std::uint64_t TuningMemory::left() const {
  if (!grant_.take) return base::read_machine().usable_bytes();
  return grant_.most - std::min(grant_.most, taken_);
}

void TuningMemory::take(std::uint64_t bytes) {
  if (!grant_.take) return;
  grant_.take(bytes);
  taken_ += bytes;
}

}  // namespace malina::platform
