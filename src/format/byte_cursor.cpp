#include "format/byte_cursor.h"

#include <fmt/format.h>

#include <bit>

#include "format/quote.h"

namespace malina::format {

static_assert(std::endian::native == std::endian::little);

base::Error ByteCursor::error(base::Fault fault, std::string_view cause) const {
  std::string where(field_.kind);
  if (!field_.name.empty()) where += " " + in_quotes(field_.name);
  if (field_.place != 0) where += fmt::format(" ({} of {})", field_.place, field_.count);
  return base::Error(fault, fmt::format("{}: {}, at byte {}: {}", file_, where, position_, cause));
}

void ByteCursor::fail_short(std::uint64_t wanted) const {
  fail(fmt::format("the file ends inside it ({} bytes are wanted, {} are left)", wanted,
                   remaining()));
}

void ByteCursor::fail_text(std::uint64_t length) const {
  fail(fmt::format("a text of {} bytes is longer than the format allows", length));
}

}  // namespace malina::format
