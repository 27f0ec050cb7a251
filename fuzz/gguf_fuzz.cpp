// Any bytes as a GGUF file: refused with an error, or read into what the reader promises.
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "finding.h"
#include "format/gguf.h"
#include "format/gguf_writer.h"

namespace {

using namespace malina;
using fuzz::require;
using fuzz::unless_file_refused;

void check_tensors(const format::GgufFile& file, std::uint64_t size) {
  std::set<std::string_view> names;
  std::uint64_t end = file.data_offset;
  for (const format::TensorInfo& tensor : file.tensors) {
    require(names.insert(tensor.name).second);
    require(tensor.encoding != nullptr);
    require(tensor.offset >= end && tensor.offset <= size && tensor.bytes <= size - tensor.offset);
    require(tensor.encoding->row_bytes(tensor.columns()) * tensor.rows() == tensor.bytes);
    end = tensor.offset + tensor.bytes;
  }
}

// Touches every byte of every text, so that one outside the file is found.
std::size_t touch(const format::Metadata& metadata) {
  std::size_t sum = 0;
  for (const auto& entry : metadata.entries()) {
    require(metadata.find(entry.key) == &entry.value);
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
  require(copy.tensors.size() == file.tensors.size());
  require(copy.metadata.entries().size() == file.metadata.entries().size());
  require(format::gguf_header(copy.metadata, plan) == header);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A copy of exactly this size, so that one byte too many is noticed.
  const std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(data),
                                     reinterpret_cast<const std::byte*>(data) + size);
  unless_file_refused([&] {
    const format::GgufFile file = format::parse_gguf(bytes, "input.gguf", bytes.size());
    check_tensors(file, bytes.size());
    static_cast<void>(touch(file.metadata));
    check_copy(file);
  });
  return 0;
}
