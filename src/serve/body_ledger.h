// The memory that clients can make the server take: what connections hold of what was sent to them,
// and of answers that are still to be taken.
#pragma once

#include <cstdint>

namespace malina::serve {

// On the server's thread only.
class BodyLedger {
 public:
  explicit BodyLedger(std::uint64_t capacity) : capacity_(capacity) {}
  std::uint64_t used() const { return used_; }

  // What one connection or request holds of it; given back when this goes. The ledger outlives it.
  class Share {
   public:
    explicit Share(BodyLedger& ledger) : ledger_(ledger) {}
    ~Share() { set(0); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    // Holds so many bytes instead of what it held. False, with nothing changed, where the others
    // leave less; less than before is always given.
    bool set(std::uint64_t bytes) {
      const std::uint64_t others = ledger_.used_ - bytes_;
      if (bytes > bytes_ && (others > ledger_.capacity_ || bytes > ledger_.capacity_ - others))
        return false;
      ledger_.used_ = others + bytes;
      bytes_ = bytes;
      return true;
    }
    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t most() const { return ledger_.capacity_; }  // where there are no others

   private:
    BodyLedger& ledger_;
    std::uint64_t bytes_ = 0;
  };

 private:
  const std::uint64_t capacity_;
  std::uint64_t used_ = 0;
};

}  // namespace malina::serve
