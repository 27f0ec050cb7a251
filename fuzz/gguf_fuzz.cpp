// Any bytes as a GGUF file: refused with an error, or read into what the reader promises.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "format/gguf.h"
#include "format/gguf_writer.h"

namespace {

using namespace malina;

// A promise that does not hold is a finding, as a fault in memory is.
void promise(bool holds) {
  if (!holds) std::abort();
}

void check_tensors(const format::GgufFile& file, std::uint64_t size) {
  std::set<std::string_view> names;
  std::uint64_t end = file.data_offset;
  for (const format::TensorInfo& tensor : file.tensors) {
    promise(names.insert(tensor.name).second);
    promise(tensor.encoding != nullptr);
    promise(tensor.offset >= end && tensor.offset <= size && tensor.bytes <= size - tensor.offset);
    promise(tensor.encoding->row_bytes(tensor.columns()) * tensor.rows() == tensor.bytes);
    end = tensor.offset + tensor.bytes;
  }
}

// Touches every byte of every text, so that one outside the file is found.
std::size_t touch(const format::Metadata& metadata) {
  std::size_t sum = 0;
  for (const auto& entry : metadata.entries()) {
    promise(metadata.find(entry.key) == &entry.value);
    if (const auto* text = std::get_if<std::string_view>(&entry.value))
      for (const char c : *text) sum += static_cast<unsigned char>(c);
    if (const auto* array = std::get_if<format::MetadataArray>(&entry.value))
      for (const std::string_view text : array->strings)
        for (const char c : text) sum += static_cast<unsigned char>(c);
  }
  return sum;
}

// What was read is written as a header that reads the same.
void check_copy(const format::GgufFile& file) {
  std::vector<format::TensorPlan> plan;
  for (const format::TensorInfo& tensor : file.tensors)
    plan.push_back({tensor.name, tensor.encoding, tensor.shape});
  const auto header = format::gguf_header(file.metadata, plan);
  const auto copy = format::parse_gguf(header, "copy", std::uint64_t{1} << 62);
  promise(copy.tensors.size() == file.tensors.size());
  promise(copy.metadata.entries().size() == file.metadata.entries().size());
  promise(format::gguf_header(copy.metadata, plan) == header);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A copy of exactly this size, so that one byte too many is noticed.
  const std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(data),
                                     reinterpret_cast<const std::byte*>(data) + size);
  try {
    const format::GgufFile file = format::parse_gguf(bytes, "input.gguf", bytes.size());
    check_tensors(file, bytes.size());
    static_cast<void>(touch(file.metadata));
    check_copy(file);
  } catch (const base::Error& error) {
    promise(error.fault() == base::Fault::corrupt_file ||
            error.fault() == base::Fault::unsupported);
    for (const char c : std::string_view(error.what())) promise(c >= 0x20 && c < 0x7f);
  }
  return 0;
}
