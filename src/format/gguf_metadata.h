// The metadata section of a GGUF file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "format/byte_cursor.h"
#include "format/checkpoint.h"

namespace malina::format {

// What may be allocated for one file. Widened integers and many tiny entries take several times
// their bytes in the file; a file made for that must not take the memory of the machine.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::uint64_t file_size);
  // Before allocating. Throws unsupported where the file asks for more than it may.
  void spend(const ByteCursor& cursor, std::uint64_t bytes);

 private:
  std::uint64_t left_;
};

// `count` keys and values from where the cursor stands. `source` and `owner`: see Metadata.
Metadata parse_metadata(ByteCursor& cursor, MemoryBudget& budget, std::uint64_t count,
                        const std::string& source, std::shared_ptr<const void> owner);

}  // namespace malina::format
