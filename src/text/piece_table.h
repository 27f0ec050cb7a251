// Open-addressing hash tables of a vocabulary: piece to token, and pair of numbers to value.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace malina::text {

// A 64-bit finaliser (splitmix64's): every bit of the input reaches every bit of the result.
inline std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}

inline std::uint64_t load_bytes(const char* data, std::size_t count) {  // count <= 8
  std::uint64_t value = 0;
  std::memcpy(&value, data, count);
  return value;
}

inline std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed) {
  std::uint64_t hash = seed ^ (bytes.size() * 0x9E3779B97F4A7C15ULL);
  const char* data = bytes.data();
  std::size_t left = bytes.size();
  for (; left > 8; left -= 8, data += 8)
    hash = std::rotl((hash ^ load_bytes(data, 8)) * 0x9FB21C651E98DF25ULL, 29);
  return mix(hash ^ load_bytes(data, left));
}

// Slots for `count` entries: a power of two, at most half full.
inline std::size_t slots_for(std::size_t count) {
  return std::bit_ceil(count * 2 < 16 ? std::size_t{16} : count * 2);
}

// Strings in one block of memory, and the token of each by its text. Of equal strings the first is
// found. A seed that differs from table to table keeps a file from preparing collisions.
class PieceTable {
 public:
  static constexpr std::size_t kMaximumBytes = 0xFFFFFFFF;

  PieceTable() = default;
  // Copies the pieces, which are not more than kMaximumBytes together.
  explicit PieceTable(std::span<const std::string_view> pieces);

  std::size_t size() const { return ends_.size(); }
  std::size_t bytes() const { return arena_.size(); }  // of all pieces
  std::size_t duplicates() const { return duplicates_; }

  std::string_view operator[](std::size_t index) const {
    const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(arena_).substr(begin, ends_[index] - begin);
  }

  std::int32_t find(std::string_view piece) const {  // -1 where there is none
    return slots_.empty() ? -1 : find(piece, hash_of(piece));
  }
  // The same for many, which is faster than one by one: the loads from memory overlap.
  void find(std::span<const std::string_view> pieces, std::span<std::int32_t> tokens) const;

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::int32_t token = -1;
  };
  static constexpr std::size_t kAtOnce = 32;

  std::uint32_t hash_of(std::string_view piece) const {
    return static_cast<std::uint32_t>(hash_bytes(piece, seed_));
  }
  std::int32_t find(std::string_view piece, std::uint32_t hash) const {
    for (std::size_t i = hash & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[i];
      if (slot.token < 0) return -1;
      if (slot.hash == hash && (*this)[static_cast<std::size_t>(slot.token)] == piece)
        return slot.token;
    }
  }
  void insert(std::int32_t token, std::uint32_t hash);

  std::string arena_;
  std::vector<std::uint32_t> ends_;
  std::vector<Slot> slots_;
  std::uint64_t seed_ = 0;
  std::size_t duplicates_ = 0;
};

// Two numbers to a value. The first value given for a pair stays.
template <typename Value>
class PairTable {
 public:
  explicit PairTable(std::size_t count) : slots_(slots_for(count)) {
    seed_ = mix(reinterpret_cast<std::uintptr_t>(slots_.data()));
  }

  const Value* find(std::uint32_t left, std::uint32_t right) const {
    const std::uint64_t key = std::uint64_t{left} << 32 | right;
    for (std::size_t i = place(key);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].key == key) return &slots_[i].value;
      if (slots_[i].key == kEmpty) return nullptr;
    }
  }

  // Grows as needed; `left` and `right` are not both 0xFFFFFFFF.
  void insert(std::uint32_t left, std::uint32_t right, const Value& value) {
    if (count_ * 2 >= slots_.size()) grow();
    place_new(std::uint64_t{left} << 32 | right, value);
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = kEmpty;
    Value value{};
  };

  std::size_t place(std::uint64_t key) const {
    const std::uint64_t hash = (key ^ seed_) * 0x9FB21C651E98DF25ULL;
    return static_cast<std::size_t>((hash ^ (hash >> 32)) * 0x9E3779B97F4A7C15ULL >> 32) &
           (slots_.size() - 1);
  }

  void place_new(std::uint64_t key, const Value& value) {
    std::size_t i = place(key);
    while (slots_[i].key != kEmpty) {
      if (slots_[i].key == key) return;
      i = (i + 1) & (slots_.size() - 1);
    }
    slots_[i] = {key, value};
    ++count_;
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    count_ = 0;
    for (const Slot& slot : old)
      if (slot.key != kEmpty) place_new(slot.key, slot.value);
  }

  std::vector<Slot> slots_;
  std::uint64_t seed_ = 0;
  std::size_t count_ = 0;
};

}  // namespace malina::text
