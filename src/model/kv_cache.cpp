#include "model/kv_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "math/ops/copy_bytes.h"

namespace malina::model {

using math::kPagePositions;

namespace {

std::size_t pages_of(std::size_t positions) {
  return (positions + kPagePositions - 1) / kPagePositions;
}

}  // namespace

PageCounts& PageCounts::operator+=(const PageCounts& other) {
  for (std::size_t kind = 0; kind < kinds.size(); ++kind) kinds[kind] += other.kinds[kind];
  return *this;
}

PageCounts& PageCounts::operator-=(const PageCounts& other) {
  for (std::size_t kind = 0; kind < kinds.size(); ++kind) kinds[kind] -= other.kinds[kind];
  return *this;
}

bool PageCounts::fits_in(const PageCounts& room) const {
  for (std::size_t kind = 0; kind < kinds.size(); ++kind)
    if (kinds[kind] > room.kinds[kind]) return false;
  return true;
}

std::size_t PageCounts::total() const {
  std::size_t sum = 0;
  for (const std::size_t count : kinds) sum += count;
  return sum;
}

PagePool::PagePool(math::Device& device, const Sizes& sizes, math::KvType type,
                   std::size_t positions)
    : device_(device), layout_{type, sizes.kv_heads, sizes.head_width}, places_(sizes.places) {
  if (type == math::KvType::q8_0 && sizes.head_width % math::kBlock != 0)
    throw base::Error(base::Fault::unsupported,
                      fmt::format("keys and values in q8_0 need heads of a multiple of 32 values; "
                                  "this model's have {}",
                                  sizes.head_width));
  const std::size_t pages = pages_of(positions);
  for (const LayerKind& layers : sizes.kinds) {
    Kind& kind = kinds_.emplace_back();
    kind.window = layers.window;
    kind.page_bytes = layers.layers * layout_.layer_bytes();
    kind.buffer = device.allocate(pages * kind.page_bytes);
    kind.references.assign(pages, 0);
    kind.kept.assign(pages, 0);
    kind.free.resize(pages);
    // The last of the list is taken first: pages are used from the front, so few become resident.
    for (std::size_t i = 0; i < pages; ++i) kind.free[i] = static_cast<Page>(pages - 1 - i);
  }
}

PagePool::Page PagePool::take(std::size_t kind) {
  auto& free = kinds_[kind].free;
  if (free.empty())
    throw base::Error(
        base::Fault::out_of_memory,
        fmt::format("all {} positions of the key-value cache are in use", positions()));
  const Page page = free.back();
  free.pop_back();
  kinds_[kind].references[page] = 1;
  return page;
}

void PagePool::share(std::size_t kind, Page page) {
  Kind& pages = kinds_[kind];
  if (idle(kind, page)) --pages.idle;
  ++pages.references[page];
}

void PagePool::release(std::size_t kind, Page page) {
  Kind& pages = kinds_[kind];
  if (--pages.references[page] == 0) pages.free.push_back(page);
  if (idle(kind, page)) ++pages.idle;
}

void PagePool::keep(std::size_t kind, Page page) {
  math::require(kinds_[kind].kept[page] == 0, "keep", "the page is kept already");
  share(kind, page);
  kinds_[kind].kept[page] = 1;
}

void PagePool::forget(std::size_t kind, Page page) {
  math::require(kinds_[kind].kept[page] != 0, "forget", "the page is not kept");
  if (idle(kind, page)) --kinds_[kind].idle;
  kinds_[kind].kept[page] = 0;
  release(kind, page);
}

void PagePool::copy(std::size_t kind, Page from, Page to) {
  const Kind& pages = kinds_[kind];
  device_.run(math::CopyBytes{.buffer = pages.buffer.get(),
                              .from = from * pages.page_bytes,
                              .to = to * pages.page_bytes,
                              .bytes = pages.page_bytes});
}

PageCounts PagePool::capacity() const {
  PageCounts counts;
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind)
    counts.kinds[kind] = kinds_[kind].references.size();
  return counts;
}

PageCounts PagePool::free_pages() const {
  PageCounts counts;
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind)
    counts.kinds[kind] = kinds_[kind].free.size();
  return counts;
}

PageCounts PagePool::idle_pages() const {
  PageCounts counts;
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) counts.kinds[kind] = kinds_[kind].idle;
  return counts;
}

math::KvPages PagePool::layer(std::size_t index) const {
  const Kind& kind = kinds_[places_[index].kind];
  return {kind.buffer.get(), kind.page_bytes, places_[index].index * layout_.layer_bytes(),
          layout_};
}

PageCounts PagePool::pages_for(const Sizes& sizes, std::size_t positions, std::size_t batch) {
  PageCounts counts;
  for (std::size_t kind = 0; kind < sizes.kinds.size(); ++kind) {
    const std::size_t window = sizes.kinds[kind].window;
    const std::size_t kept =
        window == 0 ? positions : std::min(positions, window + batch + kPagePositions);
    counts.kinds[kind] = pages_of(kept);
  }
  return counts;
}

std::uint64_t PagePool::bytes_for(const Sizes& sizes, math::KvType type, std::size_t positions,
                                  std::size_t batch) {
  const math::KvLayout layout{type, sizes.kv_heads, sizes.head_width};
  const PageCounts counts = pages_for(sizes, positions, batch);
  std::uint64_t bytes = 0;
  for (std::size_t kind = 0; kind < sizes.kinds.size(); ++kind)
    bytes += std::uint64_t{counts.kinds[kind]} * sizes.kinds[kind].layers * layout.layer_bytes();
  return bytes;
}

Sequence::Sequence(Sequence&& other) noexcept
    : adapter(std::move(other.adapter)),
      long_context(other.long_context),
      revocable(other.revocable),
      pool_(other.pool_),
      tables_(std::exchange(other.tables_, std::vector<Table>(other.tables_.size()))),
      length_(std::exchange(other.length_, 0)) {}

Sequence& Sequence::operator=(Sequence&& other) noexcept {
  if (this == &other) return *this;
  clear();
  adapter = std::move(other.adapter);
  long_context = other.long_context;
  revocable = other.revocable;
  pool_ = other.pool_;
  tables_ = std::exchange(other.tables_, std::vector<Table>(other.tables_.size()));
  length_ = std::exchange(other.length_, 0);
  return *this;
}

Sequence Sequence::fork() const {
  Sequence copy(*pool_);
  copy.adapter = adapter;
  copy.long_context = long_context;
  copy.revocable = revocable;
  copy.tables_ = tables_;
  copy.length_ = length_;
  for (std::size_t kind = 0; kind < tables_.size(); ++kind)
    for (const auto page : tables_[kind].pages) pool_->share(kind, page);
  return copy;
}

std::uint32_t first_page_seen(std::uint32_t window, std::uint32_t length) {
  // The next position is `length`; it sees keys from length - window + 1 on.
  return window == 0 || length <= window
             ? 0
             : (length - window + 1) / static_cast<std::uint32_t>(kPagePositions);
}

void Sequence::start_from(std::span<const PageSet> pages) {
  math::require(length_ == 0, "start_from", "the sequence is not empty");
  const auto length = static_cast<std::uint32_t>(pages.size() * kPagePositions);
  for (std::size_t kind = 0; kind < tables_.size(); ++kind)
    for (std::size_t i = first_page_seen(pool_->window(kind), length); i < pages.size(); ++i)
      math::require(pages[i][kind].has_value(), "start_from", "a page is absent");
  for (std::size_t kind = 0; kind < tables_.size(); ++kind) {
    Table& table = tables_[kind];
    table.first_page = first_page_seen(pool_->window(kind), length);
    for (std::size_t i = table.first_page; i < pages.size(); ++i) {
      pool_->share(kind, *pages[i][kind]);
      table.pages.push_back(*pages[i][kind]);
    }
  }
  length_ = length;
}

PageSet Sequence::pages_at(std::uint32_t number) const {
  PageSet set;
  for (std::size_t kind = 0; kind < tables_.size(); ++kind) {
    const Table& table = tables_[kind];
    if (number >= table.first_page && number - table.first_page < table.pages.size())
      set[kind] = table.pages[number - table.first_page];
  }
  return set;
}

std::size_t Sequence::total_pages() const {
  std::size_t total = 0;
  for (const Table& table : tables_) total += table.pages.size();
  return total;
}

void Sequence::truncate(std::uint32_t length) {
  if (length >= length_) return;
  const std::size_t keep = pages_of(length);
  for (std::size_t kind = 0; kind < tables_.size() && length > 0; ++kind)
    if (first_page_seen(pool_->window(kind), length) < tables_[kind].first_page)
      throw base::Error(base::Fault::internal, "a sequence cannot go back behind its window");
  for (std::size_t kind = 0; kind < tables_.size(); ++kind) {
    Table& table = tables_[kind];
    while (!table.pages.empty() && table.first_page + table.pages.size() > keep) {
      pool_->release(kind, table.pages.back());
      table.pages.pop_back();
    }
    if (length == 0) table.first_page = 0;
  }
  length_ = length;
}

PageCounts Sequence::pages_needed(std::size_t positions) const {
  PageCounts counts;
  if (positions == 0) return counts;
  for (std::size_t kind = 0; kind < tables_.size(); ++kind) {
    const Table& table = tables_[kind];
    const std::size_t room = (table.first_page + table.pages.size()) * kPagePositions - length_;
    const bool copies = room > 0 && !table.pages.empty() && pool_->shared(kind, table.pages.back());
    counts.kinds[kind] = pages_of(positions > room ? positions - room : 0) + (copies ? 1 : 0);
  }
  return counts;
}

std::uint32_t Sequence::extend() {
  for (std::size_t kind = 0; kind < tables_.size(); ++kind) {
    Table& table = tables_[kind];
    const std::size_t index = length_ / kPagePositions - table.first_page;
    if (index == table.pages.size()) {
      table.pages.push_back(pool_->take(kind));
    } else if (pool_->shared(kind, table.pages[index])) {
      const auto own = pool_->take(kind);
      pool_->copy(kind, table.pages[index], own);
      pool_->release(kind, table.pages[index]);
      table.pages[index] = own;
    }
  }
  return length_++;
}

void Sequence::drop_outside_window() {
  const std::uint32_t length = length_ - std::min(length_, revocable);
  for (std::size_t kind = 0; kind < tables_.size(); ++kind) {
    const std::uint32_t first = first_page_seen(pool_->window(kind), length);
    Table& table = tables_[kind];
    const std::size_t count =
        std::min<std::size_t>(first - std::min(first, table.first_page), table.pages.size());
    for (std::size_t i = 0; i < count; ++i) pool_->release(kind, table.pages[i]);
    table.pages.erase(table.pages.begin(),
                      table.pages.begin() + static_cast<std::ptrdiff_t>(count));
    table.first_page += static_cast<std::uint32_t>(count);
  }
}

}  // namespace malina::model
