// Keys and values of sequences: pages of 32 positions with reference counts, shared by forks and
// copied when one of them writes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "math/device.h"
#include "math/ops/attention.h"
#include "model/model.h"

namespace malina::model {

class Adapter;

// All pages of one model, of one size, from one allocation that becomes resident as it is used.
// One thread.
class PagePool {
 public:
  // `positions`: how many positions all sequences together can hold, rounded up to pages.
  PagePool(math::Device& device, const Sizes& sizes, math::KvType type, std::size_t positions);

  using Page = std::uint32_t;
  Page take();  // throws base::Error(out_of_memory) when none is free
  void share(Page page) { ++references_[page]; }
  void release(Page page);
  bool shared(Page page) const { return references_[page] > 1; }
  void copy(Page from, Page to);  // the bytes

  std::size_t capacity() const { return references_.size(); }
  std::size_t free_pages() const { return free_.size(); }
  std::size_t page_bytes() const { return page_bytes_; }
  math::KvType type() const { return layout_.type; }
  math::KvPages layer(std::size_t index) const {
    return {buffer_.get(), page_bytes_, index * layout_.layer_bytes(), layout_};
  }
  static std::size_t bytes_per_position(const Sizes& sizes, math::KvType type);

 private:
  math::Device& device_;
  math::KvLayout layout_;
  std::size_t page_bytes_;
  std::unique_ptr<math::Buffer> buffer_;
  std::vector<std::uint32_t> references_;
  std::vector<Page> free_;
};

// One token sequence and where its keys and values are. Its owner moves it; `fork` shares all
// pages. The pool must outlive it. One thread.
class Sequence {
 public:
  explicit Sequence(PagePool& pool, std::uint32_t window = 0) : pool_(&pool), window_(window) {}
  ~Sequence() { clear(); }
  Sequence(Sequence&& other) noexcept;
  Sequence& operator=(Sequence&& other) noexcept;

  Sequence fork() const;
  std::uint32_t length() const { return length_; }
  // Forgets all positions from `length` on. Only positions that a window has not dropped can be
  // kept.
  void truncate(std::uint32_t length);
  void clear() { truncate(0); }

  // Makes room for one more position, in a page that nobody else holds, and returns the position.
  std::uint32_t extend();
  // How many pages `extend` would take for this many positions more.
  std::size_t pages_needed(std::size_t positions) const;
  // Gives back pages that no later position can see.
  void drop_outside_window();

  PagePool& pool() const { return *pool_; }
  math::KvRow row(std::uint32_t position) const { return {pages_.data(), first_page_, position}; }
  std::size_t page_count() const { return pages_.size(); }

  std::shared_ptr<const Adapter> adapter;  // applied to every row; null: the base model

 private:
  PagePool* pool_;
  std::uint32_t window_;
  std::vector<PagePool::Page> pages_;
  std::uint32_t first_page_ = 0;  // the page number of pages_[0]
  std::uint32_t length_ = 0;
};

}  // namespace malina::model
