// Attention over paged keys and values, and the layout of a page.
#pragma once

#include <span>

#include "math/device.h"

namespace malina::math {

enum class KvType { f32, f16, q8_0 };
std::string_view name(KvType type);

inline constexpr std::size_t kPagePositions = 32;
// Partial results are taken over spans of this many positions, at fixed places whatever the batch,
// and merged in ascending order: long contexts run in parallel and give the same bits.
inline constexpr std::size_t kSpanPositions = 512;

// One layer's part of a page: for each key/value head its keys, then its values.
// Keys lie position-fastest ([head_width][kPagePositions]), so that a vector of 16 positions is
// contiguous; values lie as rows ([kPagePositions][head_width]). q8_0: 8-bit integers in the same
// order, then half-precision scales: keys [head_width / 32][kPagePositions], values
// [kPagePositions][head_width / 32]. A value beyond half precision is stored as +-65504.
struct KvLayout {
  KvType type = KvType::f16;
  std::size_t kv_heads = 0, head_width = 0;

  std::size_t head_bytes() const;  // keys (or values) of one head in one page
  std::size_t layer_bytes() const { return 2 * kv_heads * head_bytes(); }
};

// Where a row's sequence keeps its pages: page i of `pages` holds positions
// [(first_page + i) * kPagePositions, ...); a page is `pages[i] * page_bytes + layer_offset` bytes
// into the pool.
struct KvRow {
  const std::uint32_t* pages = nullptr;
  std::uint32_t first_page = 0;
  std::uint32_t position = 0;  // of this row's token
};

struct KvPages {
  const Buffer* pool = nullptr;
  std::size_t page_bytes = 0;
  std::size_t layer_offset = 0;
  KvLayout layout;
};

// One more place for a row's key and value: in another sequence, which has the same token there.
struct KvCopy {
  std::size_t row = 0;
  KvRow to;
};

// Writes each row's key and value at its position. keys, values: [tokens, kv_heads * head_width].
struct StoreKeysValues {
  static constexpr std::string_view kName = "store_keys_values";
  Slice keys, values;
  std::span<const KvRow> rows;
  KvPages pages;
  std::span<const KvCopy> copies = {};  // no place twice

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

// output = softmax(scale * q K^T) V for each query head, over the positions (position - window,
// position] of its own sequence (window 0: all). Keys and values are read as stored, also those of
// the same batch. Query head h uses key head h / (heads / kv_heads). The softmax is taken online
// over blocks of kPagePositions at absolute positions, ascending (Milakov and Gimelshein, 2018).
// query, output: [tokens, heads * head_width], different memory. Rows of one sequence that stand
// next to each other with consecutive positions share the work of reading, and so do rows of
// sequences that stand next to each other for the pages that they have in common.
struct Attention {
  static constexpr std::string_view kName = "attention";
  Slice query, output;
  std::span<const KvRow> rows;
  KvPages pages;
  std::size_t heads;
  float scale;
  std::uint32_t window = 0;
  Slice partials;  // scratch, float: at least partial_floats(...)

  // What `partials` must hold for any batch of up to `rows` rows at positions up to `context`.
  static std::size_t partial_floats(std::size_t rows, std::size_t context, std::size_t heads,
                                    std::size_t head_width);

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
