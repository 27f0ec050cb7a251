#include "tune/snapshot.h"

#include <fmt/format.h>

#include <cstring>

#include "base/atomic_file.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"

namespace malina::tune {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::string_view kMagic = "malina snapshot 1\n";
constexpr std::size_t kMostHeader = std::size_t{64} << 20;

[[noreturn]] void corrupt(const std::filesystem::path& path, std::string_view what) {
  throw Error(Fault::corrupt_file, fmt::format("{}: {}", path.string(), what),
              {.code = "invalid_snapshot"});
}

// Reads a file from its start to its end, and what it read so far as a digest.
class Reader {
 public:
  explicit Reader(const base::File& file) : file_(file), size_(file.size()) {}

  void read(std::span<std::byte> output) {
    if (output.size() > size_ - offset_) corrupt(file_.path(), "it is cut short");
    file_.read_at(offset_, output);
    offset_ += output.size();
    digest_.update(output);
  }
  std::uint64_t left() const { return size_ - offset_; }
  base::Digest digest() { return digest_.finish(); }

 private:
  const base::File& file_;
  std::uint64_t size_, offset_ = 0;
  base::Sha256 digest_;
};

Json read_header(Reader& reader, const std::filesystem::path& path) {
  std::string magic(kMagic.size(), '\0');
  std::uint64_t size = 0;
  if (reader.left() < magic.size() + sizeof(size)) corrupt(path, "it is cut short");
  reader.read(std::as_writable_bytes(std::span(magic)));
  if (magic != kMagic) corrupt(path, "it is no snapshot");
  reader.read(std::as_writable_bytes(std::span(&size, 1)));
  if (size > kMostHeader || size > reader.left()) corrupt(path, "its header is too long");
  std::string text(size, '\0');
  reader.read(std::as_writable_bytes(std::span(text)));
  Json header = Json::parse(text, nullptr, false);
  if (!header.is_object() || !header.contains("arrays") || !header["arrays"].is_array() ||
      !header.contains("state"))
    corrupt(path, "its header cannot be read");
  return header;
}

}  // namespace

void write_snapshot(const std::filesystem::path& path, const Json& state,
                    std::span<const std::span<const float>> arrays) {
  Json header{{"state", state}, {"arrays", Json::array()}};
  for (const auto& array : arrays) header["arrays"].push_back(array.size());
  const std::string text = header.dump();
  const std::uint64_t size = text.size();
  base::AtomicFile file(path);
  base::Sha256 digest;
  const auto write = [&](std::span<const std::byte> bytes) {
    digest.update(bytes);
    file.write(bytes);
  };
  write(std::as_bytes(std::span(kMagic)));
  write(std::as_bytes(std::span(&size, 1)));
  write(std::as_bytes(std::span(text)));
  for (const auto& array : arrays) write(std::as_bytes(array));
  file.write(digest.finish().hex());
  file.commit();
}

std::optional<Snapshot> read_snapshot(const std::filesystem::path& path,
                                      std::span<const std::span<float>> into) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const base::File file = base::File::open(path);
  Reader reader(file);
  const Json header = read_header(reader, path);
  Snapshot snapshot{.state = header["state"], .arrays = {}};
  for (const Json& size : header["arrays"]) {
    if (!size.is_number_unsigned() || size.get<std::uint64_t>() > reader.left() / sizeof(float))
      corrupt(path, "it is cut short");
    const std::size_t index = snapshot.arrays.size(), count = size.get<std::uint64_t>();
    const bool placed = index < into.size() && into[index].size() == count;
    if (index < into.size() && !placed && count == 0) corrupt(path, "an array is missing");
    snapshot.arrays.emplace_back(placed ? 0 : count);
    reader.read(std::as_writable_bytes(placed ? into[index] : std::span(snapshot.arrays.back())));
  }
  const std::string digest = reader.digest().hex();
  std::string stored(digest.size(), '\0');
  if (reader.left() != stored.size()) corrupt(path, "it does not end with its digest");
  reader.read(std::as_writable_bytes(std::span(stored)));
  if (stored != digest) corrupt(path, "its digest is not that of what it holds");
  return snapshot;
}

}  // namespace malina::tune
