// Keys and values of sequences: pages of 32 positions with reference counts, shared by forks and
// copied when one of them writes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "math/device.h"
#include "math/ops/attention.h"
#include "model/model.h"

namespace malina::model {

class Adapter;

// Numbers of pages, by kind of layer: layers with a window keep fewer positions than those without.
struct PageCounts {
  std::array<std::size_t, kMostLayerKinds> kinds{};

  PageCounts& operator+=(const PageCounts& other);
  PageCounts& operator-=(const PageCounts& other);
  bool fits_in(const PageCounts& room) const;  // in each kind
  std::size_t total() const;
};

// All pages of one model, of one size a kind, from one allocation a kind that becomes resident as
// it is used. One thread.
class PagePool {
 public:
  // `positions`: how many positions all sequences together can hold, rounded up to pages.
  PagePool(math::Device& device, const Sizes& sizes, math::KvType type, std::size_t positions);

  using Page = std::uint32_t;
  std::size_t kinds() const { return kinds_.size(); }
  std::uint32_t window(std::size_t kind) const { return kinds_[kind].window; }
  Page take(std::size_t kind);  // throws base::Error(out_of_memory) when none is free
  void share(std::size_t kind, Page page);
  void release(std::size_t kind, Page page);
  bool shared(std::size_t kind, Page page) const { return kinds_[kind].references[page] > 1; }
  void copy(std::size_t kind, Page from, Page to);  // the bytes

  // One holder may keep pages for later: its reference counts like any other, and what nobody else
  // holds any more is idle. A page is kept once at most.
  void keep(std::size_t kind, Page page);
  void forget(std::size_t kind, Page page);
  bool idle(std::size_t kind, Page page) const {
    return kinds_[kind].kept[page] != 0 && kinds_[kind].references[page] == 1;
  }
  PageCounts idle_pages() const;

  PageCounts capacity() const;
  PageCounts free_pages() const;
  std::size_t positions() const { return kinds_[0].references.size() * math::kPagePositions; }
  math::KvType type() const { return layout_.type; }
  math::KvPages layer(std::size_t index) const;

  // What one sequence of so many positions takes at most, fed in batches of up to `batch` rows.
  static PageCounts pages_for(const Sizes& sizes, std::size_t positions, std::size_t batch);
  static std::uint64_t bytes_for(const Sizes& sizes, math::KvType type, std::size_t positions,
                                 std::size_t batch);

 private:
  struct Kind {
    std::uint32_t window;
    std::size_t page_bytes;
    std::unique_ptr<math::Buffer> buffer;
    std::vector<std::uint32_t> references;
    std::vector<Page> free;
    std::vector<std::uint8_t> kept;
    std::size_t idle = 0;
  };

  math::Device& device_;
  math::KvLayout layout_;
  std::vector<Kind> kinds_;
  std::vector<Sizes::Place> places_;
};

// The pages of one page number, by kind; absent where a window has dropped it.
using PageSet = std::array<std::optional<PagePool::Page>, kMostLayerKinds>;

// The first page that a sequence of `length` positions still needs: what its next position sees, in
// layers with this window.
std::uint32_t first_page_seen(std::uint32_t window, std::uint32_t length);

// One token sequence and where its keys and values are. Its owner moves it; `fork` shares all
// pages. The pool must outlive it. One thread.
class Sequence {
 public:
  explicit Sequence(PagePool& pool) : pool_(&pool), tables_(pool.kinds()) {}
  ~Sequence() { clear(); }
  Sequence(Sequence&& other) noexcept;
  Sequence& operator=(Sequence&& other) noexcept;

  Sequence fork() const;
  // Begins with the positions of these full pages, which it shares: page i of `pages` holds
  // [32 i, 32 i + 32). They must have been computed from the tokens that this sequence has there,
  // with its adapter and its long_context. It must be empty. Throws base::Error(internal) where a
  // page is absent that the next position sees.
  void start_from(std::span<const PageSet> pages);
  // The pages of one page number, as far as they are here.
  PageSet pages_at(std::uint32_t number) const;
  std::uint32_t length() const { return length_; }
  // Forgets all positions from `length` on. Throws base::Error(internal) where a window has dropped
  // what the position `length` sees.
  void truncate(std::uint32_t length);
  void clear() { truncate(0); }

  // Makes room for one more position, in pages that nobody else holds, and returns the position.
  std::uint32_t extend();
  // How many pages `extend` would take for this many positions more.
  PageCounts pages_needed(std::size_t positions) const;
  // Gives back pages that no later position can see, `revocable` positions truncated or not.
  void drop_outside_window();

  PagePool& pool() const { return *pool_; }
  math::KvRow row(std::uint32_t position, std::size_t kind = 0) const {
    return {tables_[kind].pages.data(), tables_[kind].first_page, position};
  }
  std::size_t page_count(std::size_t kind = 0) const { return tables_[kind].pages.size(); }
  std::size_t total_pages() const;  // of all kinds

  std::shared_ptr<const Adapter> adapter;  // applied to every row; null: the base model
  // Longer than Sizes::short_context in the end: decides the rotary frequencies of models that have
  // two sets. To be set before the first position, and kept.
  bool long_context = false;
  // So many of the last positions may yet be truncated: no window drops what a position sees that
  // takes the place of the first of them.
  std::uint32_t revocable = 0;

 private:
  struct Table {
    std::vector<PagePool::Page> pages;
    std::uint32_t first_page = 0;  // the page number of pages[0]
  };

  PagePool* pool_;
  std::vector<Table> tables_;  // by kind
  std::uint32_t length_ = 0;
};

}  // namespace malina::model
