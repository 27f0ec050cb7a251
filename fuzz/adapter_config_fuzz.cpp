// Any text as adapter_config.json ('c' and the text), or as a regular expression in it (any other
// first byte): refused with an error, or read into what the reader promises.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json_text.h"
#include "base/regular_expression.h"
#include "finding.h"
#include "model/peft_config.h"

namespace {

using namespace malina;
using fuzz::require;

constexpr std::string_view kModule = "model.layers.11.self_attn.q_proj";

void read_config(const std::string& text) {
  const model::PeftConfig config(
      base::parse_json<nlohmann::ordered_json>(text, "adapter_config.json", {.members = 8192}),
      "adapter_config.json");
  static_cast<void>(config.targets(kModule));
  require(config.rank(kModule) >= 1 && config.rank(kModule) <= 1 << 16);
  require(std::isfinite(config.alpha(kModule)));
}

void read_expression(const std::string& text) {
  const base::RegularExpression expression(text);
  const bool matches = expression.matches(kModule);
  require(matches == expression.matches(kModule));
  // What it matches, it matches as a group, repeated or with an alternative.
  require(base::RegularExpression("(?:" + text + ")|x").matches(kModule) == matches);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] == 'c')
      read_config(text);
    else
      read_expression(text);
  } catch (const base::Error& error) {
    require(error.fault() == base::Fault::corrupt_file ||
            error.fault() == base::Fault::unsupported ||
            (data[0] != 'c' && error.fault() == base::Fault::invalid_argument));
    for (const char c : std::string_view(error.what())) require(c >= 0x20 && c < 0x7f);
  }
  return 0;
}
