// The JSON of constrained answers against a parser: whatever the automaton takes, in pieces or at
// once, can be closed within a few bytes, and what it calls complete is an object to the parser.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "finding.h"
#include "text/json_grammar.h"

namespace {

using namespace malina::text;
using malina::fuzz::require;

bool is_object(const std::string& text) {
  return nlohmann::json::parse(text, nullptr, false).is_object();
}

void close(JsonState state, std::string text) {
  for (int step = 0; !complete(state); ++step) {
    require(step < 200);
    bool taken = false;
    for (const std::string_view bytes : {kJsonClosingBytes, kJsonContinuationBytes})
      for (const char byte : bytes) {
        const auto next = taken ? std::nullopt : accepts(state, {&byte, 1});
        if (!next) continue;
        state = *next;
        text += byte;
        taken = true;
      }
    require(taken);
  }
  require(is_object(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  JsonState state;
  std::size_t taken = 0;
  while (taken < size) {
    JsonState next = state;
    if (!advance(next, data[taken])) break;
    state = next;
    ++taken;
  }
  require(accepts({}, text).has_value() == (taken == size));
  close(state, text.substr(0, taken));
  return 0;
}
