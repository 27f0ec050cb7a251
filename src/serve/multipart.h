// multipart/form-data (RFC 7578, RFC 2046), read as it comes: a part's content is never in memory
// as a whole.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace malina::serve {

struct PartHead {
  std::string name;
  std::optional<std::string> filename;  // of a file
};

// May throw, which ends the reading.
struct PartSink {
  std::function<void(const PartHead&)> begin;
  std::function<void(std::string_view)> data;  // in any number of pieces, none of them empty
  std::function<void()> end;
};

struct MultipartLimits {
  std::size_t parts = 32;
  std::size_t header_bytes = 8 * 1024;  // of one part
};

// One owner, one thread at a time. Everything that RFC 2046 leaves open is closed here: the body
// begins with the boundary and ends with it, so that no two readers see different parts.
class MultipartReader {
 public:
  // `content_type`: the request's header. Throws ApiError 400 where it is none of
  // multipart/form-data with a boundary.
  MultipartReader(std::string_view content_type, PartSink sink, MultipartLimits limits = {});

  // The next bytes of the body, however they are cut. Throws ApiError 400 for what is malformed or
  // beyond the limits, and what the sink throws; then it is of no further use.
  void feed(std::string_view bytes);
  // There are no more. Throws ApiError 400 where the closing boundary is missing.
  void finish() const;

 private:
  enum class State { opening, after_boundary, header, content, closed };

  bool step();  // false: more bytes are needed
  bool open();
  bool after_boundary();
  bool read_header();
  bool read_content();

  const PartSink sink_;
  const MultipartLimits limits_;
  std::string delimiter_;  // "\r\n--" and the boundary
  State state_ = State::opening;
  std::string buffer_;    // what is not understood yet
  std::size_t used_ = 0;  // of it
  std::size_t parts_ = 0;
};

// The head of a part, its lines without the empty one at the end. Throws ApiError 400.
PartHead parse_part_head(std::string_view lines);

}  // namespace malina::serve
