// The values of a tensor from one encoding into another, streamed in pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "base/thread_pool.h"
#include "format/checkpoint.h"

namespace malina::model {

// How far the new values are from the old ones.
struct ConversionError {
  double squared_error = 0;   // sum over all values of (new - old)^2
  double squared_values = 0;  // sum over all values of old^2

  ConversionError& operator+=(const ConversionError& other);
  double relative() const;  // sqrt of their quotient; 0 where all values are 0
};

struct TensorConversion {
  const format::Checkpoint& checkpoint;
  const format::TensorInfo& tensor;
  const math::Encoding& encoding;  // has a writer; the tensor's rows are whole blocks of it
  // Empty, or how much errors of a column count (math/encoding.h): [columns], or [slices, columns]
  // where the tensor's rows are as many slices (experts) of equal height.
  std::span<const float> importance = {};

  // Whether importance has a say in the bytes.
  bool by_importance() const;

  // Passes the new bytes to `write` in order, from this thread, in pieces; after each of them calls
  // `progress` (may be empty) with how many bytes of the tensor were read since the last call. What
  // they throw ends the conversion. The bytes are the same for any number of threads, and those of
  // the tensor itself where it has the encoding already. Memory: a few MiB a thread, or a few rows.
  //
  // Throws base::Error: corrupt_file where a value is no number or infinite, unsupported where one
  // is beyond what the encoding can hold; both name the tensor, the value and its index.
  ConversionError run(base::ThreadPool& pool,
                      const std::function<void(std::span<const std::byte>)>& write,
                      const std::function<void(std::uint64_t)>& progress) const;
};

}  // namespace malina::model
