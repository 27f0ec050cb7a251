#include "text/tokenizer.h"
#include "text/unicode.h"

namespace malina::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Whether more bytes may still make `text`, which is not yet a character, into one.
bool may_become_character(std::string_view text) {
  // The highest continuation bytes and the lowest ones decide about every second byte that is
  // restricted (after E0, ED, F0, F4).
  for (const char fill : {'\x80', '\xBF'}) {
    std::string attempt(text);
    while (attempt.size() < 4) {
      attempt += fill;
      if (valid_character(attempt) > text.size()) return true;
    }
  }
  return false;
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  held_ += bytes;
  std::string output;
  std::size_t position = 0;
  const std::string_view held = held_;
  while (position < held.size()) {
    const std::string_view rest = held.substr(position);
    const std::size_t length = valid_character(rest);
    if (length > 0) {
      output += rest.substr(0, length);
      position += length;
    } else if (rest.size() < 4 && may_become_character(rest)) {
      break;
    } else {
      output += kReplacement;
      ++position;
    }
  }
  held_.erase(0, position);
  return output;
}

std::string Utf8Stream::finish() {
  std::string output;
  for (std::size_t i = 0; i < held_.size(); ++i) output += kReplacement;
  held_.clear();
  return output;
}

}  // namespace malina::text
