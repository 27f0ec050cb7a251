#include "format/safetensors_writer.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace malina::format {

namespace {

using base::Error;
using base::Fault;

constexpr std::size_t kHeaderAlignment = 8;

std::string_view type_of(const SafetensorsPlan& tensor) {
  constexpr std::array kTypes{std::pair{"f32", "F32"}, std::pair{"f16", "F16"},
                              std::pair{"bf16", "BF16"}};
  for (const auto& [encoding, type] : kTypes)
    if (tensor.encoding->name == encoding) return type;
  throw Error(Fault::internal, fmt::format("tensor {} is to be written to safetensors as {}",
                                           tensor.name, tensor.encoding->name));
}

}  // namespace

std::uint64_t SafetensorsPlan::bytes() const {
  std::uint64_t count = encoding->block_bytes;
  for (const std::uint64_t dimension : shape)
    if (__builtin_mul_overflow(count, dimension, &count))
      throw Error(Fault::unsupported, fmt::format("tensor {} is too large", name));
  return count;
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& target,
                                     std::span<const SafetensorsPlan> tensors)
    : file_(target) {
  nlohmann::ordered_json header{{"__metadata__", {{"format", "pt"}}}};
  for (const SafetensorsPlan& tensor : tensors) {
    const std::uint64_t begin = missing_;
    missing_ += tensor.bytes();
    header[tensor.name] = {
        {"dtype", type_of(tensor)}, {"shape", tensor.shape}, {"data_offsets", {begin, missing_}}};
  }
  std::string text = header.dump();
  text.append((kHeaderAlignment - text.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
  std::array<std::byte, sizeof(std::uint64_t)> length{};
  for (std::size_t i = 0; i < length.size(); ++i)
    length[i] = static_cast<std::byte>(text.size() >> (8 * i) & 0xFF);
  file_.write(length);
  file_.write(text);
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  if (bytes.size() > missing_)
    throw Error(Fault::internal, "more was written to a safetensors file than it has room for");
  file_.write(bytes);
  missing_ -= bytes.size();
}

void SafetensorsWriter::commit() {
  if (missing_ != 0)
    throw Error(Fault::internal,
                fmt::format("{} bytes of a safetensors file were not written", missing_));
  file_.commit();
}

}  // namespace malina::format
