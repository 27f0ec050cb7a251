// Any bytes as a safetensors file: refused with an error, or read into what the reader promises.
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "finding.h"
#include "format/safetensors.h"

namespace {

using namespace malina;
using fuzz::require;
using fuzz::unless_file_refused;

void check_tensors(std::span<const format::SafetensorsTensor> tensors, std::uint64_t size) {
  std::set<std::string_view> names;
  std::uint64_t end = tensors.empty() ? size : tensors.front().offset;
  for (const format::SafetensorsTensor& tensor : tensors) {
    require(names.insert(tensor.name).second);
    require(tensor.offset == end && tensor.bytes <= size - end);
    end += tensor.bytes;
    if (tensor.encoding == nullptr) continue;
    std::uint64_t values = 1;
    for (const std::uint64_t length : tensor.shape) values *= length;
    require(tensor.encoding->row_bytes(values) == tensor.bytes);
  }
  require(end == size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A copy of exactly this size, so that one byte too many is noticed.
  const std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(data),
                                     reinterpret_cast<const std::byte*>(data) + size);
  unless_file_refused(
      [&] { check_tensors(format::parse_safetensors(bytes, "input", size), size); });
  return 0;
}
