#include "platform/tuning_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "base/error.h"
#include "base/machine.h"
#include "platform/model_file.h"
#include "platform/model_memory.h"

namespace malina::platform {

namespace {

// For a byte of data: itself, and its part of tokens, targets and weights. For a row: what its
// texts and examples take beside that.
constexpr std::uint64_t kBytesOfByte = 4, kBytesOfRow = 400;

// What the rows of these files will take. One that cannot be read counts for nothing: reading it
// will say what is wrong.
std::uint64_t bytes_of(const std::vector<std::filesystem::path>& files) {
  std::uint64_t bytes = 0;
  std::vector<char> piece(1 << 20);
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    while (file) {
      file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      const auto end = piece.begin() + file.gcount();
      bytes += kBytesOfByte * static_cast<std::uint64_t>(file.gcount()) +
               kBytesOfRow * static_cast<std::uint64_t>(std::count(piece.begin(), end, '\n'));
    }
  }
  return bytes;
}

}  // namespace

void TuningMemory::take_inputs(const ModelFile* file, const tune::TuningRequest& data) {
  if (!grant_.take) return;
  const std::uint64_t weights = file != nullptr ? memory_need(*file, {}).weights : 0;
  const std::uint64_t texts =
      bytes_of(data.training) + bytes_of(data.validation) + bytes_of(data.test);
  if (weights + texts > grant_.most)
    throw base::Error(base::Fault::out_of_memory,
                      fmt::format("its weights and data alone take {} MiB, and all models and jobs "
                                  "together may take {} MiB",
                                  ((weights + texts) >> 20) + 1, grant_.most >> 20));
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
