#include "math/ops/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "math/ops/reference.h"

namespace malina::math {
namespace {

struct Shape {
  std::size_t heads, kv_heads, head_width;
};

// One sequence of random queries, keys and values, in pages that do not lie in order.
class Fixture {
 public:
  Fixture(Shape shape, KvType type, std::size_t positions, Isa isa, unsigned threads = 1)
      : shape_(shape),
        pool_(threads),
        device_(pool_, isa),
        layout_{type, shape.kv_heads, shape.head_width},
        positions_(positions) {
    const std::size_t pages = (positions + kPagePositions - 1) / kPagePositions;
    page_bytes_ = layout_.layer_bytes();
    kv_ = device_.allocate(pages * page_bytes_);
    for (std::size_t i = 0; i < pages; ++i)
      table_.push_back(static_cast<std::uint32_t>((i * 7 + 3) % pages));
    if (std::gcd(pages, std::size_t{7}) != 1) std::iota(table_.begin(), table_.end(), 0U);
    base::Random random(42);
    query_width_ = shape.heads * shape.head_width;
    key_width_ = shape.kv_heads * shape.head_width;
    for (auto* values : {&queries_, &keys_, &values_}) {
      values->resize(positions * (values == &queries_ ? query_width_ : key_width_));
      for (float& value : *values) value = random.uniform(-1, 1);
    }
  }

  // Stores and attends [first, first + count) as one batch.
  std::vector<float> run(std::size_t first, std::size_t count, std::uint32_t window) {
    auto buffer = device_.allocate(count * (2 * query_width_ + 2 * key_width_) * sizeof(float));
    const Slice query = float_slice(*buffer, 0, count, query_width_);
    const Slice output = float_slice(*buffer, query.bytes(), count, query_width_);
    const Slice key = float_slice(*buffer, 2 * query.bytes(), count, key_width_);
    const Slice value = float_slice(*buffer, 2 * query.bytes() + key.bytes(), count, key_width_);
    const auto fill = [&](const Slice& slice, const std::vector<float>& from) {
      std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(first * slice.columns),
                  count * slice.columns, host_floats(slice));
    };
    fill(query, queries_);
    fill(key, keys_);
    fill(value, values_);
    std::vector<KvRow> rows;
    for (std::size_t i = 0; i < count; ++i)
      rows.push_back({table_.data(), 0, static_cast<std::uint32_t>(first + i)});
    const KvPages pages{kv_.get(), page_bytes_, 0, layout_};
    const std::size_t floats =
        Attention::partial_floats(count, positions_, shape_.heads, shape_.head_width);
    auto scratch = device_.allocate(floats * sizeof(float));
    device_.run(StoreKeysValues{key, value, rows, pages});
    device_.run(Attention{.query = query,
                          .output = output,
                          .rows = rows,
                          .pages = pages,
                          .heads = shape_.heads,
                          .scale = 0.3F,
                          .window = window,
                          .partials = float_slice(*scratch, 0, 1, floats)});
    return {host_floats(output), host_floats(output) + count * query_width_};
  }

  std::vector<double> expected(std::size_t position, std::size_t head, std::uint32_t window) const {
    const std::size_t kv_head = head / (shape_.heads / shape_.kv_heads);
    std::vector<std::vector<float>> keys;
    std::vector<std::vector<float>> values;
    for (std::size_t i = window != 0 && position + 1 > window ? position + 1 - window : 0;
         i <= position; ++i) {
      const auto at = static_cast<std::ptrdiff_t>(i * key_width_ + kv_head * shape_.head_width);
      const auto end = at + static_cast<std::ptrdiff_t>(shape_.head_width);
      keys.emplace_back(keys_.begin() + at, keys_.begin() + end);
      values.emplace_back(values_.begin() + at, values_.begin() + end);
    }
    return reference::attention<double>(
        std::span(queries_).subspan(position * query_width_ + head * shape_.head_width,
                                    shape_.head_width),
        keys, values, 0.3F);
  }

  double largest_error(const std::vector<float>& output, std::size_t first,
                       std::uint32_t window) const {
    double largest = 0;
    for (std::size_t i = 0; i < output.size() / query_width_; ++i)
      for (std::size_t head = 0; head < shape_.heads; ++head) {
        const auto wanted = expected(first + i, head, window);
        for (std::size_t d = 0; d < wanted.size(); ++d)
          largest = std::max(
              largest,
              std::abs(output[i * query_width_ + head * shape_.head_width + d] - wanted[d]));
      }
    return largest;
  }

 private:
  Shape shape_;
  base::ThreadPool pool_;
  CpuDevice device_;
  KvLayout layout_;
  std::size_t positions_, page_bytes_ = 0, query_width_ = 0, key_width_ = 0;
  std::unique_ptr<Buffer> kv_;
  std::vector<std::uint32_t> table_;
  std::vector<float> queries_, keys_, values_;
};

TEST(Attention, IsTheReference) {
  for (const Isa isa : available_isas())
    for (const Shape shape :
         {Shape{3, 1, 64}, Shape{4, 4, 16}, Shape{8, 2, 32}, Shape{2, 1, 8}, Shape{14, 2, 80}})
      for (const std::uint32_t window : {0U, 1U, 8U, 40U, 600U}) {
        Fixture fixture(shape, KvType::f32, 100, isa);
        EXPECT_LT(fixture.largest_error(fixture.run(0, 100, window), 0, window), 2e-6)
            << name(isa) << " " << shape.heads << " heads, window " << window;
      }
}

TEST(Attention, ReadsHalfPrecisionAndEightBitsAsStored) {
  for (const Isa isa : available_isas()) {
    Fixture halves({3, 1, 64}, KvType::f16, 70, isa);
    EXPECT_LT(halves.largest_error(halves.run(0, 70, 0), 0, 0), 1e-3);
    Fixture eighths({3, 1, 64}, KvType::q8_0, 70, isa);
    const double error = eighths.largest_error(eighths.run(0, 70, 0), 0, 0);
    EXPECT_LT(error, 1e-2);
    EXPECT_GT(error, 1e-6);  // it is not stored otherwise by mistake
  }
}

TEST(Attention, LongContextsAreMergedFromSpans) {
  Fixture fixture({3, 1, 16}, KvType::f32, 2000, selected_isa());
  const auto output = fixture.run(0, 2000, 0);
  EXPECT_LT(fixture.largest_error({output.end() - 48 * 5, output.end()}, 1995, 0), 2e-6);
}

// One row at a time (spans on different threads) and all rows at once are different code.
TEST(Attention, BatchesAndThreadsGiveTheSameBits) {
  for (const Isa isa : available_isas())
    for (const KvType type : {KvType::f32, KvType::f16, KvType::q8_0})
      for (const std::uint32_t window : {0U, 100U, 700U}) {
        const Shape shape{6, 2, 32};
        Fixture whole(shape, type, 1300, isa, 2);
        const auto expected = whole.run(0, 1300, window);
        Fixture pieces(shape, type, 1300, isa, 3);
        std::size_t first = 0;
        for (const std::size_t count : {1, 2, 3, 4, 5, 30, 500, 3, 700, 1, 1, 1, 49}) {
          const auto part = pieces.run(first, count, window);
          ASSERT_EQ(std::memcmp(part.data(), expected.data() + first * 192, part.size() * 4), 0)
              << name(isa) << " " << name(type) << " at " << first << " by " << count;
          first += count;
        }
        EXPECT_EQ(first, 1300u);
      }
}

TEST(Attention, HugeValuesDoNotSpoilOthers) {
  base::ThreadPool pool(1);
  CpuDevice device(pool);
  const KvLayout layout{KvType::f16, 1, 16};
  auto kv = device.allocate(layout.layer_bytes());
  auto buffer = device.allocate(4 * 16 * sizeof(float) + 4096);
  const Slice key = float_slice(*buffer, 0, 2, 16);
  std::fill_n(host_floats(key), 32, 1e30F);  // beyond half precision
  const std::vector<std::uint32_t> table{0};
  const std::vector<KvRow> rows{{table.data(), 0, 0}, {table.data(), 0, 1}};
  device.run(StoreKeysValues{key, key, rows, {kv.get(), layout.layer_bytes(), 0, layout}});
  const auto* values = reinterpret_cast<const std::uint16_t*>(kv->host());
  EXPECT_EQ(values[0], 0x7BFF);  // the greatest half, not infinity
}

}  // namespace
}  // namespace malina::math
