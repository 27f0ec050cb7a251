#include "format/foreign_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/ascii.h"

namespace malina::format {

namespace {

struct Signature {
  std::string_view begin;
  std::string_view description;
};

using namespace std::string_view_literals;

constexpr Signature kSignatures[] = {
    {"version https://git-lfs"sv,
     "is a Git LFS pointer, not the model itself: fetch the real file with `git lfs pull`"sv},
    {"FUGG"sv, "is a big-endian GGUF file, which malina does not read"sv},
    {"lmgg"sv, "is a GGML file from before GGUF: convert the model again"sv},
    {"fmgg"sv, "is a GGML (ggmf) file from before GGUF: convert the model again"sv},
    {"tjgg"sv, "is a GGML (ggjt) file from before GGUF: convert the model again"sv},
    {"algg"sv, "is a GGML adapter (ggla) from before GGUF, not a model"sv},
    {"PK\x03\x04"sv, "is a zip archive (perhaps a PyTorch checkpoint), not a {} file"sv},
    {"\x80\x02"sv, "is a Python pickle (perhaps a PyTorch checkpoint), not a {} file"sv},
    {"\x80\x03"sv, "is a Python pickle (perhaps a PyTorch checkpoint), not a {} file"sv},
    {"\x80\x04"sv, "is a Python pickle (perhaps a PyTorch checkpoint), not a {} file"sv},
    {"\x80\x05"sv, "is a Python pickle (perhaps a PyTorch checkpoint), not a {} file"sv},
    {"\x1f\x8b"sv, "is compressed with gzip: unpack it first"sv},
    {"\x28\xb5\x2f\xfd"sv, "is compressed with zstd: unpack it first"sv},
    {"\xfd"
     "7zXZ"sv,
     "is compressed with xz: unpack it first"sv},
    {"7z\xbc\xaf"sv, "is a 7-Zip archive: unpack it first"sv},
    {"\x89HDF"sv, "is an HDF5 file (perhaps a Keras model), not a {} file"sv},
    {"\x93NUMPY"sv, "is a NumPy array, not a {} file"sv},
    {"\x7f"
     "ELF"sv,
     "is a program, not a {} file"sv},
    {"{"sv, "is a JSON text, not a {} file"sv},
    {"\0\0\0\0\0\0\0\0"sv, "begins with zeros: perhaps a download that never finished"sv},
};

constexpr std::string_view kGguf = "GGUF";

bool is_safetensors(std::string_view text) {
  if (text.size() < 9 || text[8] != '{') return false;
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, text.data(), sizeof header_bytes);
  return header_bytes >= 2 && header_bytes <= 100'000'000;  // the format's own limit
}

bool is_web_page(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  if (begin == std::string_view::npos) return false;
  const std::string word = base::ascii_lower(text.substr(begin, 9));
  return word == "<!doctype" || word.starts_with("<html") || word.starts_with("<?xml");
}

}  // namespace

std::string describe_foreign_file(std::span<const std::byte> bytes, std::string_view expected) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min<std::size_t>(bytes.size(), 64));
  if (text.empty()) return "is empty";
  if (expected == "GGUF") {
    if (kGguf.starts_with(text)) return "ends inside its first word, 'GGUF'";
    if (is_safetensors(text))
      return "is a safetensors file, not a GGUF file: give the directory it is in";
  } else if (text.starts_with(kGguf)) {
    return fmt::format("is a GGUF file, not a {} file", expected);
  }
  if (is_web_page(text))
    return "is a web page, not a model: the download gave a page (perhaps a login or an error)";
  for (const Signature& signature : kSignatures)
    if (text.starts_with(signature.begin))
      return fmt::format(fmt::runtime(signature.description), expected);
  if (expected == "GGUF") return "is not a GGUF file: it does not begin with 'GGUF'";
  return fmt::format("is not a {} file", expected);
}

}  // namespace malina::format
