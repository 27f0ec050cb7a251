// The one algorithm behind both kinds of byte-pair encoding: merge the adjacent pair that comes
// first in the vocabulary's order, the leftmost of equals, until no pair can be merged.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace malina::text {

constexpr std::uint32_t kNoSymbol = 0xFFFFFFFF;
constexpr std::uint32_t kNoMerge = 0xFFFFFFFF;

// What merging two neighbours would give: lower orders go first.
struct Merge {
  std::uint32_t order = kNoMerge;
  Token token = -1;
};

struct Symbol {
  Token token;             // -1: no token has this text
  std::uint32_t begin;     // in the text; the end is the beginning of the next symbol
  std::uint32_t previous;  // kNoSymbol at the ends
  std::uint32_t next;
  Merge merge = {};  // with the next symbol
};

// Buffers that are worth keeping from one piece to the next. One owner, one thread.
struct MergeBuffers {
  std::vector<Symbol> symbols;
  std::vector<std::uint64_t> first_entries, heap;

  void add(Token token, std::size_t begin) {
    const auto index = static_cast<std::uint32_t>(symbols.size());
    if (index > 0) symbols.back().next = index;
    symbols.push_back({token, static_cast<std::uint32_t>(begin), index - 1, kNoSymbol});
  }
};

namespace merging {

// Joins symbol `left` with the one behind it. `lookup(left, right)` gives the Merge of two symbols
// by index; returns through `changed` which symbols have a new merge to offer.
template <typename Lookup, typename Changed>
void apply(std::vector<Symbol>& symbols, std::uint32_t left, const Lookup& lookup,
           const Changed& changed) {
  Symbol& symbol = symbols[left];
  const std::uint32_t gone = symbol.next;
  symbol.token = symbol.merge.token;
  symbol.next = symbols[gone].next;
  symbols[gone].merge = {};
  symbol.merge = {};
  if (symbol.next != kNoSymbol) {
    symbols[symbol.next].previous = left;
    symbol.merge = lookup(left, symbol.next);
    changed(left);
  }
  if (symbol.previous != kNoSymbol) {
    symbols[symbol.previous].merge = lookup(symbol.previous, left);
    changed(symbol.previous);
  }
}

// Quadratic, and fastest, for the few symbols of a word.
template <typename Lookup>
void few(std::vector<Symbol>& symbols, const Lookup& lookup) {
  for (;;) {
    std::uint32_t best = 0;
    for (std::uint32_t i = 0; i != kNoSymbol; i = symbols[i].next)
      if (symbols[i].merge.order < symbols[best].merge.order) best = i;
    if (symbols[best].merge.order == kNoMerge) return;
    apply(symbols, best, lookup, [](std::uint32_t) {});
  }
}

// Sorts entries, which ascend by index, by their order: linear, where a heap would be n log n.
inline void sort_entries(std::vector<std::uint64_t>& entries, std::vector<std::uint64_t>& other) {
  constexpr unsigned kBits = 11;
  std::uint64_t used = 0;
  for (const std::uint64_t entry : entries) used |= entry;
  other.resize(entries.size());
  for (unsigned shift = 32; shift < 64 && (used >> shift) != 0; shift += kBits) {
    std::array<std::size_t, 1 << kBits> places{};
    const auto digit = [&](std::uint64_t entry) { return entry >> shift & (places.size() - 1); };
    for (const std::uint64_t entry : entries) ++places[digit(entry)];
    std::size_t sum = 0;
    for (std::size_t& place : places) place = std::exchange(sum, sum + place);
    for (const std::uint64_t entry : entries) other[places[digit(entry)]++] = entry;
    entries.swap(other);
  }
}

// n log n. An entry is {order, index}; one whose symbol offers another order by now is stale and
// passed over. The entries of the beginning are sorted once; only those of merges go to a heap.
template <typename Lookup>
void many(MergeBuffers& buffers, const Lookup& lookup) {
  std::vector<Symbol>& symbols = buffers.symbols;
  std::vector<std::uint64_t>& first = buffers.first_entries;
  std::vector<std::uint64_t>& heap = buffers.heap;
  const auto entry = [&](std::uint32_t i) {
    return std::uint64_t{symbols[i].merge.order} << 32 | i;
  };
  first.clear();
  for (std::uint32_t i = 0; i < symbols.size(); ++i)
    if (symbols[i].merge.order != kNoMerge) first.push_back(entry(i));
  sort_entries(first, heap);
  heap.clear();
  for (std::size_t read = 0; read < first.size() || !heap.empty();) {
    std::uint64_t top = 0;
    if (heap.empty() || (read < first.size() && first[read] < heap.front())) {
      top = first[read++];
    } else {
      top = heap.front();
      std::pop_heap(heap.begin(), heap.end(), std::greater<>());
      heap.pop_back();
    }
    const auto index = static_cast<std::uint32_t>(top);
    if (entry(index) != top) continue;
    apply(symbols, index, lookup, [&](std::uint32_t i) {
      if (symbols[i].merge.order == kNoMerge) return;
      heap.push_back(entry(i));
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    });
  }
}

}  // namespace merging

// Merges buffers.symbols in place; what is left is the chain from symbol 0 along `next`.
template <typename Lookup>
void merge_all(MergeBuffers& buffers, const Lookup& lookup) {
  constexpr std::size_t kFew = 40;
  std::vector<Symbol>& symbols = buffers.symbols;
  for (std::uint32_t i = 0; i + 1 < symbols.size(); ++i) symbols[i].merge = lookup(i, i + 1);
  if (symbols.size() <= kFew)
    merging::few(symbols, lookup);
  else
    merging::many(buffers, lookup);
}

}  // namespace malina::text
