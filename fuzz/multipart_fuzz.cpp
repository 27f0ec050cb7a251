// Bodies of uploads: the first line is the Content-Type header, the rest the body. However it is
// cut, the parts are the same, or it is refused.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "finding.h"
#include "serve/api_error.h"
#include "serve/multipart.h"

namespace {

using namespace malina::serve;
using malina::fuzz::require;

// All parts as one text; nothing where it is refused.
std::optional<std::string> read(std::string_view type, std::string_view body, std::size_t piece) {
  std::string all;
  try {
    MultipartReader reader(type, {.begin =
                                      [&](const PartHead& head) {
                                        all += "[" + head.name + "|" + head.filename.value_or("-") +
                                               "|";
                                      },
                                  .data = [&](std::string_view data) { all += data; },
                                  .end = [&] { all += "]"; }});
    for (std::size_t at = 0; at < body.size(); at += piece) reader.feed(body.substr(at, piece));
    reader.finish();
  } catch (const ApiError& error) {
    require(error.status == 400);
    return std::nullopt;
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 1 << 16) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = input.find('\n');
  const std::string_view type = input.substr(0, line);
  const std::string_view body = line == input.npos ? std::string_view() : input.substr(line + 1);
  const auto whole = read(type, body, size + 1);
  for (const std::size_t piece : {1, 3, 17}) require(read(type, body, piece) == whole);
  return 0;
}
