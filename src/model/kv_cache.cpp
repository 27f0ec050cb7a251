#include "model/kv_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "math/ops/copy_bytes.h"

namespace malina::model {

using math::kPagePositions;

PagePool::PagePool(math::Device& device, const Sizes& sizes, math::KvType type,
                   std::size_t positions)
    : device_(device), layout_{type, sizes.kv_heads, sizes.head_width} {
  if (type == math::KvType::q8_0 && sizes.head_width % math::kBlock != 0)
    throw base::Error(base::Fault::unsupported,
                      fmt::format("keys and values in q8_0 need heads of a multiple of 32 values; "
                                  "this model's have {}",
                                  sizes.head_width));
  page_bytes_ = sizes.layers * layout_.layer_bytes();
  const std::size_t pages = (positions + kPagePositions - 1) / kPagePositions;
  buffer_ = device.allocate(pages * page_bytes_);
  references_.assign(pages, 0);
  free_.resize(pages);
  // The last of the list is taken first: pages are used from the front, so few become resident.
  for (std::size_t i = 0; i < pages; ++i) free_[i] = static_cast<Page>(pages - 1 - i);
}

PagePool::Page PagePool::take() {
  if (free_.empty())
    throw base::Error(base::Fault::out_of_memory,
                      fmt::format("all {} positions of the key-value cache are in use",
                                  references_.size() * kPagePositions));
  const Page page = free_.back();
  free_.pop_back();
  references_[page] = 1;
  return page;
}

void PagePool::release(Page page) {
  if (--references_[page] == 0) free_.push_back(page);
}

void PagePool::copy(Page from, Page to) {
  device_.run(math::CopyBytes{.buffer = buffer_.get(),
                              .from = from * page_bytes_,
                              .to = to * page_bytes_,
                              .bytes = page_bytes_});
}

std::size_t PagePool::bytes_per_position(const Sizes& sizes, math::KvType type) {
  const math::KvLayout layout{type, sizes.kv_heads, sizes.head_width};
  return sizes.layers * layout.layer_bytes() / kPagePositions;
}

Sequence::Sequence(Sequence&& other) noexcept
    : adapter(std::move(other.adapter)),
      pool_(other.pool_),
      window_(other.window_),
      pages_(std::exchange(other.pages_, {})),
      first_page_(std::exchange(other.first_page_, 0)),
      length_(std::exchange(other.length_, 0)) {}

Sequence& Sequence::operator=(Sequence&& other) noexcept {
  if (this == &other) return *this;
  clear();
  adapter = std::move(other.adapter);
  pool_ = other.pool_;
  window_ = other.window_;
  pages_ = std::exchange(other.pages_, {});
  first_page_ = std::exchange(other.first_page_, 0);
  length_ = std::exchange(other.length_, 0);
  return *this;
}

Sequence Sequence::fork() const {
  Sequence copy(*pool_, window_);
  copy.adapter = adapter;
  copy.pages_ = pages_;
  copy.first_page_ = first_page_;
  copy.length_ = length_;
  for (const auto page : pages_) pool_->share(page);
  return copy;
}

void Sequence::truncate(std::uint32_t length) {
  if (length >= length_) return;
  const std::size_t keep = (length + kPagePositions - 1) / kPagePositions;
  if (length > 0 && length <= first_page_ * kPagePositions)
    throw base::Error(base::Fault::internal, "a sequence cannot go back behind its window");
  while (!pages_.empty() && first_page_ + pages_.size() > keep) {
    pool_->release(pages_.back());
    pages_.pop_back();
  }
  length_ = length;
  if (pages_.empty()) first_page_ = 0;
}

std::size_t Sequence::pages_needed(std::size_t positions) const {
  if (positions == 0) return 0;
  const std::size_t room = (first_page_ + pages_.size()) * kPagePositions - length_;
  const bool copies = room > 0 && !pages_.empty() && pool_->shared(pages_.back());
  const std::size_t beyond = positions > room ? positions - room : 0;
  return (beyond + kPagePositions - 1) / kPagePositions + (copies ? 1 : 0);
}

std::uint32_t Sequence::extend() {
  const std::size_t index = length_ / kPagePositions - first_page_;
  if (index == pages_.size()) {
    pages_.push_back(pool_->take());
  } else if (pool_->shared(pages_[index])) {
    const auto own = pool_->take();
    pool_->copy(pages_[index], own);
    pool_->release(pages_[index]);
    pages_[index] = own;
  }
  return length_++;
}

void Sequence::drop_outside_window() {
  if (window_ == 0 || length_ <= window_) return;
  // The next position is length_; it sees keys from length_ - window_ + 1 on.
  const std::uint32_t first = (length_ - window_ + 1) / kPagePositions;
  const std::size_t count =
      std::min<std::size_t>(first - std::min(first, first_page_), pages_.size());
  for (std::size_t i = 0; i < count; ++i) pool_->release(pages_[i]);
  pages_.erase(pages_.begin(), pages_.begin() + static_cast<std::ptrdiff_t>(count));
  first_page_ += static_cast<std::uint32_t>(count);
}

}  // namespace malina::model
