// The bytes of a file in order, with the line they stand on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/file.h"

namespace malina::tune {

// One owner, one thread. Borrows the file. Reading throws what File::read_at throws.
class ByteStream {
 public:
  static constexpr int kEnd = -1;

  struct Place {
    std::uint64_t offset = 0, line = 1;
  };

  ByteStream(const base::File& file, Place start);

  int peek() { return used_ < filled_ || fill() ? buffer_[used_] : kEnd; }
  int take() {
    const int byte = peek();
    if (byte == kEnd) return kEnd;
    ++used_;
    if (byte == '\n') ++line_;
    return byte;
  }
  Place place() const { return {start_ + used_, line_}; }
  void seek(Place place);
  // To the byte after the next '\n', or to the end.
  void skip_line();

 private:
  bool fill();

  const base::File& file_;
  std::uint64_t size_;   // when the stream began: what is appended later is not read
  std::uint64_t start_;  // of the buffer in the file
  std::uint64_t line_;
  std::size_t used_ = 0, filled_ = 0;
  std::vector<unsigned char> buffer_;
};

}  // namespace malina::tune
