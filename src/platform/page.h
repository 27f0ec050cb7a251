// A list that is read a part at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "store/database.h"

namespace malina::platform {

// A part of a list, from one end.
struct PageRequest {
  std::string after = {};  // the id of the last one that is known; "": from the beginning
  std::size_t limit = 20;
  bool ascending = false;  // by when they came
};

template <class Item>
struct Page {
  std::vector<Item> items;
  bool has_more = false;
};

// Of rows that were asked for with one more than `limit`, which tells whether there are more.
template <class Item>
Page<Item> page_of(std::span<const store::Row> rows, std::size_t limit,
                   Item (*item_of)(const store::Row&)) {
  Page<Item> page;
  page.has_more = rows.size() > limit;
  for (const store::Row& row : rows.first(std::min(rows.size(), limit)))
    page.items.push_back(item_of(row));
  return page;
}

// PageRequest::after names nothing that is in the list. `what`: "a file".
base::Error wrong_after(std::string_view after, std::string_view what);

}  // namespace malina::platform
