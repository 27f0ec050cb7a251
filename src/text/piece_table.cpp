#include "text/piece_table.h"

#include <algorithm>
#include <array>

namespace malina::text {

PieceTable::PieceTable(std::span<const std::string_view> pieces) {
  std::size_t bytes = 0;
  for (const auto piece : pieces) bytes += piece.size();
  arena_.reserve(bytes);
  ends_.reserve(pieces.size());
  seed_ = mix(reinterpret_cast<std::uintptr_t>(arena_.data()));
  slots_.resize(slots_for(pieces.size()));
  std::array<std::uint32_t, kAtOnce> hashes{};
  for (std::size_t first = 0; first < pieces.size(); first += kAtOnce) {
    const auto block = pieces.subspan(first, std::min(kAtOnce, pieces.size() - first));
    for (std::size_t i = 0; i < block.size(); ++i) {
      arena_ += block[i];
      ends_.push_back(static_cast<std::uint32_t>(arena_.size()));
      hashes[i] = hash_of(block[i]);
      __builtin_prefetch(&slots_[hashes[i] & (slots_.size() - 1)], 1);
    }
    for (std::size_t i = 0; i < block.size(); ++i)
      insert(static_cast<std::int32_t>(first + i), hashes[i]);
  }
}

void PieceTable::insert(std::int32_t token, std::uint32_t hash) {
  std::size_t i = hash & (slots_.size() - 1);
  while (slots_[i].token >= 0) {
    const auto other = static_cast<std::size_t>(slots_[i].token);
    if (slots_[i].hash == hash && (*this)[other] == (*this)[static_cast<std::size_t>(token)]) {
      ++duplicates_;
      return;
    }
    i = (i + 1) & (slots_.size() - 1);
  }
  slots_[i] = {hash, token};
}

void PieceTable::find(std::span<const std::string_view> pieces,
                      std::span<std::int32_t> tokens) const {
  if (slots_.empty()) {
    std::fill(tokens.begin(), tokens.end(), -1);
    return;
  }
  // Three loads that depend on one another lead to a piece: its slot, its place, its text. Each is
  // asked for in one round and used in the next.
  std::array<std::uint32_t, kAtOnce> hashes{};
  const auto guess = [&](std::size_t i) {  // the token of the first slot
    return static_cast<std::size_t>(std::max(0, slots_[hashes[i] & (slots_.size() - 1)].token));
  };
  for (std::size_t first = 0; first < pieces.size(); first += kAtOnce) {
    const auto block = pieces.subspan(first, std::min(kAtOnce, pieces.size() - first));
    for (std::size_t i = 0; i < block.size(); ++i) {
      hashes[i] = hash_of(block[i]);
      __builtin_prefetch(&slots_[hashes[i] & (slots_.size() - 1)]);
    }
    for (std::size_t i = 0; i < block.size(); ++i) __builtin_prefetch(&ends_[guess(i)]);
    for (std::size_t i = 0; i < block.size(); ++i) __builtin_prefetch((*this)[guess(i)].data());
    for (std::size_t i = 0; i < block.size(); ++i) tokens[first + i] = find(block[i], hashes[i]);
  }
}

}  // namespace malina::text
