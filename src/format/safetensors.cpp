#include "format/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <tuple>

#include "base/error.h"
#include "format/checked.h"
#include "format/foreign_file.h"
#include "format/json_reader.h"
#include "format/quote.h"

namespace malina::format {

namespace {

using base::Error;
using base::Fault;
using nlohmann::json;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLongestHeader = 100'000'000;  // MAX_HEADER_SIZE of tensor.rs
constexpr std::size_t kMostDimensions = 8;
// Some 200,000 tensors: ten times what the largest models have.
constexpr JsonLimits kHeaderLimits{
    .bytes = kLongestHeader, .values = std::size_t{1} << 21, .depth = 3};

struct Type {
  std::string_view name;
  unsigned bits;
  std::string_view encoding;  // malina's name; "" where it computes with none such
};

constexpr std::array kTypes{
    Type{"F32", 32, "f32"},     Type{"F16", 16, "f16"}, Type{"BF16", 16, "bf16"},
    Type{"F64", 64, ""},        Type{"BOOL", 8, ""},    Type{"U8", 8, ""},
    Type{"I8", 8, ""},          Type{"U16", 16, ""},    Type{"I16", 16, ""},
    Type{"U32", 32, ""},        Type{"I32", 32, ""},    Type{"U64", 64, ""},
    Type{"I64", 64, ""},        Type{"C64", 64, ""},    Type{"F8_E4M3", 8, ""},
    Type{"F8_E5M2", 8, ""},     Type{"F8_E8M0", 8, ""}, Type{"F8_E4M3FNUZ", 8, ""},
    Type{"F8_E5M2FNUZ", 8, ""}, Type{"F6_E2M3", 6, ""}, Type{"F6_E3M2", 6, ""},
    Type{"F4", 4, ""},
};

Error corrupt(const std::string& file, std::string_view cause) {
  return Error(Fault::corrupt_file, fmt::format("{}: {}", file, cause));
}

// One entry of the header: everything it says, checked against itself.
class EntryReader {
 public:
  EntryReader(const std::string& file, const std::string& tensor, const json& entry)
      : file_(file), tensor_(tensor), entry_(entry) {}

  // Offsets count from the end of the header.
  SafetensorsTensor read() const {
    if (!entry_.is_object()) fail("is not an object");
    for (const auto& [key, unused] : entry_.items())
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        fail(fmt::format("has the key {}, which the format does not have", in_quotes(key)));
    const Type& type = read_type();
    SafetensorsTensor tensor{
        .name = tensor_, .type = type.name, .encoding = nullptr, .shape = numbers("shape")};
    if (!type.encoding.empty()) tensor.encoding = math::find_encoding(type.encoding);
    if (tensor.shape.size() > kMostDimensions)
      fail(fmt::format("has {} dimensions, more than {}", tensor.shape.size(), kMostDimensions));
    const auto offsets = numbers("data_offsets");
    if (offsets.size() != 2) fail(fmt::format("has {} data_offsets instead of 2", offsets.size()));
    if (offsets[1] < offsets[0])
      fail(fmt::format("ends at {}, before its begin at {}", offsets[1], offsets[0]));
    tensor.offset = offsets[0];
    tensor.bytes = offsets[1] - offsets[0];
    const std::uint64_t wanted = data_bytes(type, tensor.shape);
    if (tensor.bytes != wanted)
      fail(fmt::format("has {} bytes of data, but its shape and dtype need {}", tensor.bytes,
                       wanted));
    return tensor;
  }

 private:
  [[noreturn]] void fail(std::string_view cause) const {
    throw corrupt(file_, fmt::format("tensor {} {}", in_quotes(tensor_), cause));
  }

  const json& member(const char* key) const {
    const auto place = entry_.find(key);
    if (place == entry_.end()) fail(fmt::format("has no {}", key));
    return *place;
  }

  const Type& read_type() const {
    const json& value = member("dtype");
    if (!value.is_string()) fail("has a dtype that is not a text");
    const auto& name = value.get_ref<const std::string&>();
    const auto* type = std::find_if(kTypes.begin(), kTypes.end(),
                                    [&](const Type& known) { return known.name == name; });
    if (type == kTypes.end())
      fail(fmt::format("has the dtype {}, which the format does not have", in_quotes(name)));
    return *type;
  }

  std::vector<std::uint64_t> numbers(const char* key) const {
    const json& value = member(key);
    if (!value.is_array()) fail(fmt::format("has a {} that is not a list", key));
    std::vector<std::uint64_t> result;
    for (const json& number : value) {
      if (!number.is_number_unsigned())
        fail(fmt::format("has a {} that holds other than integers from 0", key));
      result.push_back(number.get<std::uint64_t>());
    }
    return result;
  }

  std::uint64_t data_bytes(const Type& type, const std::vector<std::uint64_t>& shape) const {
    // An empty dimension counts as 1 here, so that the product of the others is bounded as well.
    std::optional<std::uint64_t> bits = type.bits;
    bool empty = false;
    for (const std::uint64_t length : shape) {
      empty = empty || length == 0;
      if (bits) bits = multiply(*bits, std::max<std::uint64_t>(length, 1));
    }
    if (!bits) fail("has more bits of data than 64 bits can count");
    if (empty) return 0;
    if (*bits % 8 != 0) fail("does not fill whole bytes");
    return *bits / 8;
  }

  const std::string& file_;
  const std::string& tensor_;
  const json& entry_;
};

void check_remarks(const json& remarks, const std::string& name) {
  if (!remarks.is_object()) throw corrupt(name, "__metadata__ is not an object");
  for (const auto& [key, value] : remarks.items())
    if (!value.is_string())
      throw corrupt(name, fmt::format("key {} of __metadata__ is not a text", in_quotes(key)));
}

// By offset, without gap or overlap from 0 to `data_bytes`; then offsets become those of the file.
void place_tensors(std::vector<SafetensorsTensor>& tensors, std::uint64_t data_offset,
                   std::uint64_t data_bytes, const std::string& name) {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
  });
  std::uint64_t end = 0;
  for (SafetensorsTensor& tensor : tensors) {
    if (tensor.offset != end)
      throw corrupt(name, fmt::format("tensor {} begins at byte {} of the data, but the data "
                                      "before it ends at {}",
                                      in_quotes(tensor.name), tensor.offset, end));
    end = tensor.offset + tensor.bytes;  // the offsets' own end: it cannot wrap
    if (end > data_bytes)
      throw corrupt(name, fmt::format("tensor {} ends at byte {} of the data, after the end of the "
                                      "file at {}: perhaps a download was cut short",
                                      in_quotes(tensor.name), end, data_bytes));
    tensor.offset += data_offset;
  }
  if (end != data_bytes)
    throw corrupt(name,
                  fmt::format("the file has {} bytes after its last tensor", data_bytes - end));
}

// The length of the header, which lies within the file.
std::uint64_t header_bytes(std::span<const std::byte> bytes, const std::string& name,
                           std::uint64_t file_size) {
  const auto foreign = [&](std::string_view cause) {
    const std::string known = describe_foreign_file(bytes, "safetensors");
    return known.starts_with("is not a") ? corrupt(name, cause)
                                         : Error(Fault::corrupt_file, name + " " + known);
  };
  if (file_size < kLengthBytes || bytes.size() < kLengthBytes)
    throw foreign(fmt::format("it has {} bytes, too few for a safetensors file", file_size));
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > kLongestHeader)
    throw foreign(
        fmt::format("its header is said to have {} bytes, more than the {} that the "
                    "format allows",
                    length, kLongestHeader));
  if (length < 2)
    throw foreign(fmt::format("its header is said to have {} bytes, too few for any", length));
  if (length > file_size - kLengthBytes)
    throw foreign(
        fmt::format("its header is said to have {} bytes, and the file has {} after the "
                    "header's length",
                    length, file_size - kLengthBytes));
  return length;
}

bool is_plain_name(std::string_view name) {
  constexpr std::string_view kEnd = ".safetensors";
  constexpr std::size_t kLongest = 255;
  return name.size() > kEnd.size() && name.size() <= kLongest && name.ends_with(kEnd) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return c > ' ' && c != '/' && c != '\\' && static_cast<unsigned char>(c) < 0x7f;
         });
}

}  // namespace

std::vector<SafetensorsTensor> parse_safetensors(std::span<const std::byte> bytes,
                                                 const std::string& name, std::uint64_t file_size) {
  const std::uint64_t length = header_bytes(bytes, name, file_size);
  if (length > bytes.size() - kLengthBytes)
    throw Error(Fault::internal, name + ": its header was not read whole");
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length);
  if (!text.starts_with('{')) throw corrupt(name, "its header does not begin with '{'");
  const json header = parse_json(text, name, kHeaderLimits);
  std::vector<SafetensorsTensor> tensors;
  for (const auto& [key, entry] : header.items()) {
    if (key == "__metadata__")
      check_remarks(entry, name);
    else
      tensors.push_back(EntryReader(name, key, entry).read());
  }
  place_tensors(tensors, kLengthBytes + length, file_size - kLengthBytes - length, name);
  return tensors;
}

std::map<std::string, std::string> parse_shard_index(std::string_view text,
                                                     const std::string& name) {
  constexpr JsonLimits kLimits{
      .bytes = std::size_t{64} << 20, .values = std::size_t{1} << 19, .depth = 16};
  const json index = parse_json(text, name, kLimits);
  if (!index.is_object()) throw corrupt(name, "it is not a JSON object");
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object()) throw corrupt(name, "it has no weight_map");
  if (map->empty()) throw corrupt(name, "its weight_map is empty");
  std::map<std::string, std::string> result;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string())
      throw corrupt(name, fmt::format("weight_map gives tensor {} a file that is not a text",
                                      in_quotes(tensor)));
    const auto& plain = file.get_ref<const std::string&>();
    if (!is_plain_name(plain))
      throw corrupt(name, fmt::format("weight_map puts tensor {} into {}, which is not the plain "
                                      "name of a .safetensors file",
                                      in_quotes(tensor), in_quotes(plain)));
    result.emplace(tensor, plain);
  }
  return result;
}

}  // namespace malina::format
