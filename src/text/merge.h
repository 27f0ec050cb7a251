// The one algorithm behind both kinds of byte-pair encoding: merge the adjacent pair that comes
// first in the vocabulary's order, the leftmost of equals, until no pair can be merged.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
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
  std::vector<std::uint64_t> queue;

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

// n log n. An entry of the queue is {order, index}; one whose symbol offers another order by now is
// stale and passed over.
template <typename Lookup>
void many(MergeBuffers& buffers, const Lookup& lookup) {
  std::vector<Symbol>& symbols = buffers.symbols;
  std::vector<std::uint64_t>& queue = buffers.queue;
  queue.clear();
  const auto entry = [&](std::uint32_t i) {
    return std::uint64_t{symbols[i].merge.order} << 32 | i;
  };
  for (std::uint32_t i = 0; i < symbols.size(); ++i)
    if (symbols[i].merge.order != kNoMerge) queue.push_back(entry(i));
  std::make_heap(queue.begin(), queue.end(), std::greater<>());
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), std::greater<>());
    const std::uint64_t top = queue.back();
    queue.pop_back();
    const auto index = static_cast<std::uint32_t>(top);
    if (entry(index) != top) continue;
    apply(symbols, index, lookup, [&](std::uint32_t i) {
      if (symbols[i].merge.order == kNoMerge) return;
      queue.push_back(entry(i));
      std::push_heap(queue.begin(), queue.end(), std::greater<>());
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
