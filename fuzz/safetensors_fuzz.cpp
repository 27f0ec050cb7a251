// Any bytes as a safetensors file: refused with an error, or read into what the reader promises.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "format/safetensors.h"

namespace {

using namespace malina;

// A promise that does not hold is a finding, as a fault in memory is.
void promise(bool holds) {
  if (!holds) std::abort();
}

void check_tensors(std::span<const format::SafetensorsTensor> tensors, std::uint64_t size) {
  std::set<std::string_view> names;
  std::uint64_t end = tensors.empty() ? size : tensors.front().offset;
  for (const format::SafetensorsTensor& tensor : tensors) {
    promise(names.insert(tensor.name).second);
    promise(tensor.offset == end && tensor.bytes <= size - end);
    end += tensor.bytes;
    if (tensor.encoding == nullptr) continue;
    std::uint64_t values = 1;
    for (const std::uint64_t length : tensor.shape) values *= length;
    promise(tensor.encoding->row_bytes(values) == tensor.bytes);
  }
  promise(end == size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A copy of exactly this size, so that one byte too many is noticed.
  const std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(data),
                                     reinterpret_cast<const std::byte*>(data) + size);
  try {
    check_tensors(format::parse_safetensors(bytes, "input", size), size);
  } catch (const base::Error& error) {
    promise(error.fault() == base::Fault::corrupt_file ||
            error.fault() == base::Fault::unsupported);
    for (const char c : std::string_view(error.what())) promise(c >= 0x20 && c < 0x7f);
  }
  return 0;
}
