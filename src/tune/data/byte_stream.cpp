#include "tune/data/byte_stream.h"

#include <algorithm>
#include <span>

namespace malina::tune {

namespace {
constexpr std::size_t kBufferBytes = std::size_t{1} << 17;
}

ByteStream::ByteStream(const base::File& file, Place start)
    : file_(file), size_(file.size()), start_(start.offset), line_(start.line) {}

bool ByteStream::fill() {
  start_ += used_;
  used_ = filled_ = 0;
  if (start_ >= size_) return false;
  buffer_.resize(kBufferBytes);
  filled_ = static_cast<std::size_t>(std::min<std::uint64_t>(kBufferBytes, size_ - start_));
  file_.read_at(start_, std::as_writable_bytes(std::span(buffer_.data(), filled_)));
  return true;
}

void ByteStream::seek(Place place) {
  line_ = place.line;
  if (place.offset >= start_ && place.offset <= start_ + filled_) {
    used_ = static_cast<std::size_t>(place.offset - start_);
    return;
  }
  start_ = place.offset;
  used_ = filled_ = 0;
}

void ByteStream::skip_line() {
  for (int byte = take(); byte != '\n' && byte != kEnd; byte = take()) {
  }
}

}  // namespace malina::tune
