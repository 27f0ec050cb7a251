#include "text/token_trie.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace malina::text {
namespace {

constexpr std::size_t kMostNodes = std::size_t{1} << 24;

// The order of entries by their bytes. Most are decided by the first eight, which are compared as
// one number: sorting is the larger part of what a trie costs.
std::vector<std::uint32_t> sorted(std::span<const TokenTrie::Entry> entries) {
  struct Key {
    std::uint64_t head;
    std::uint32_t index;
  };
  std::vector<Key> keys;
  keys.reserve(entries.size());
  for (const auto& entry : entries) {
    std::uint64_t head = 0;
    for (std::size_t i = 0; i < 8; ++i)
      head = head << 8 | (i < entry.bytes.size() ? static_cast<unsigned char>(entry.bytes[i]) : 0U);
    keys.push_back({head, static_cast<std::uint32_t>(keys.size())});
  }
  std::sort(keys.begin(), keys.end(), [&](const Key& a, const Key& b) {
    if (a.head != b.head) return a.head < b.head;
    const int order = entries[a.index].bytes.compare(entries[b.index].bytes);
    return order != 0 ? order < 0 : a.index < b.index;
  });
  std::vector<std::uint32_t> order;
  order.reserve(keys.size());
  for (const Key& key : keys) order.push_back(key.index);
  return order;
}

std::size_t common_bytes(std::string_view a, std::string_view b) {
  const std::size_t least = std::min(a.size(), b.size());
  std::size_t same = 0;
  while (same < least && a[same] == b[same]) ++same;
  return same;
}

}  // namespace

TokenTrie::TokenTrie(std::span<const Entry> entries) {
  tokens_.reserve(entries.size());
  std::vector<std::uint32_t> path;  // the nodes of the bytes before
  std::string_view previous;
  for (const std::uint32_t index : sorted(entries)) {
    add(previous, entries[index], path);
    previous = entries[index].bytes;
  }
  const auto end = static_cast<std::uint32_t>(nodes_.size());
  for (const std::uint32_t node : path) nodes_[node].behind = end;
  nodes_.push_back({end, static_cast<std::uint32_t>(tokens_.size()), 0, 0});
}

void TokenTrie::add(std::string_view previous, const Entry& entry,
                    std::vector<std::uint32_t>& path) {
  const std::size_t same = common_bytes(previous, entry.bytes);
  if (entry.bytes.size() > std::numeric_limits<std::uint16_t>::max() ||
      nodes_.size() + entry.bytes.size() - same > kMostNodes)
    throw base::Error(
        base::Fault::unsupported,
        fmt::format("the tokens have too many bytes to be held to a grammar: token {} "
                    "has {}, and {} are there already",
                    entry.token, entry.bytes.size(), nodes_.size()));
  for (; path.size() > same; path.pop_back())
    nodes_[path.back()].behind = static_cast<std::uint32_t>(nodes_.size());
  for (std::size_t i = same; i < entry.bytes.size(); ++i) {
    path.push_back(static_cast<std::uint32_t>(nodes_.size()));
    nodes_.push_back({0, static_cast<std::uint32_t>(tokens_.size()), static_cast<std::uint16_t>(i),
                      static_cast<std::uint8_t>(entry.bytes[i])});
  }
  tokens_.push_back(entry.token);
  levels_ = std::max(levels_, entry.bytes.size());
}

}  // namespace malina::text
