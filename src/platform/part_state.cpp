#include "platform/part_state.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/atomic_file.h"
#include "base/file.h"
#include "platform/http_header.h"

namespace malina::platform {

PartState PartState::read(const std::filesystem::path& file) {
  constexpr std::uint64_t kMostBytes = 4096;
  std::error_code ignored;
  PartState state;
  if (!std::filesystem::exists(file, ignored)) return state;
  const base::File opened = base::File::open(file);
  std::vector<std::byte> bytes(std::min(opened.size(), kMostBytes));
  opened.read_at(0, bytes);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return state;
  if (const auto found = json.find("validator"); found != json.end() && found->is_string())
    state.validator = found->get<std::string>();
  if (const auto found = json.find("size"); found != json.end() && found->is_number_unsigned())
    state.size_bytes = found->get<std::uint64_t>();
  // It becomes a header: what someone else wrote into the file must not become two.
  if (!std::all_of(state.validator.begin(), state.validator.end(),
                   [](char c) { return c >= ' ' && c <= '~'; }))
    return {};
  return state;
}

void PartState::write(const std::filesystem::path& file) const {
  nlohmann::json json = {{"validator", validator}};
  if (size_bytes) json["size"] = *size_bytes;
  base::AtomicFile output(file);
  output.write(json.dump());
  output.commit();
}

// A date is a weaker proof than an ETag and better than none. Both go back to the server as they
// came, so they must be clean.
std::string validator_of(const HttpHead& head) {
  const std::string_view etag = head.header("etag");
  if (is_strong_etag(etag)) return std::string(etag);
  const std::string_view date = head.header("last-modified");
  const bool clean =
      date.size() < 64 &&
      std::all_of(date.begin(), date.end(), [](char c) { return c >= ' ' && c <= '~'; });
  return clean && etag.empty() ? std::string(date) : "";
}

}  // namespace malina::platform
