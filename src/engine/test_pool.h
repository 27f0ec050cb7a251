// For tests: pages of keys and values without a model.
#pragma once

#include <vector>

#include "model/kv_cache.h"

namespace malina::engine {

// Of a model with two layers of each of these windows.
inline model::Sizes sizes_of(const std::vector<std::uint32_t>& windows) {
  model::Sizes sizes;
  sizes.heads = 2;
  sizes.kv_heads = 1;
  sizes.head_width = 32;
  for (const std::uint32_t window : windows) {
    model::LayerKind& kind = sizes.kinds.emplace_back();
    kind.layers = 2;
    kind.window = window;
    for (std::size_t i = 0; i < 2; ++i) sizes.places.push_back({sizes.kinds.size() - 1, i});
  }
  sizes.layers = sizes.places.size();
  return sizes;
}

}  // namespace malina::engine
