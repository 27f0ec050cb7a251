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

// Sequences that have their first pages in common, and rows of any of them as one batch.
class Forks {
 public:
  struct Row {
    std::size_t sequence;
    std::uint32_t position;
  };

  // `first_page` pages were given back already, as where a window has passed them.
  Forks(KvType type, Isa isa, std::size_t shared_pages, std::size_t sequences,
        std::size_t own_pages, std::uint32_t first_page = 0)
      : pool_(2), device_(pool_, isa), layout_{type, 2, 16}, first_page_(first_page) {
    const std::size_t pages = shared_pages + sequences * own_pages;
    kv_ = device_.allocate(pages * layout_.layer_bytes());
    for (std::size_t sequence = 0; sequence < sequences; ++sequence) {
      auto& table = tables_.emplace_back();
      for (std::size_t i = first_page; i < shared_pages; ++i)
        table.push_back(static_cast<std::uint32_t>(i));
      for (std::size_t i = 0; i < own_pages; ++i)
        table.push_back(static_cast<std::uint32_t>(shared_pages + i * sequences + sequence));
    }
    std::vector<std::uint32_t> all(pages);
    std::iota(all.begin(), all.end(), 0U);
    std::vector<KvRow> rows;
    for (std::size_t i = 0; i < pages * kPagePositions; ++i)
      rows.push_back({all.data(), 0, static_cast<std::uint32_t>(i)});
    auto buffer = device_.allocate(rows.size() * 32 * sizeof(float));
    const Slice values = float_slice(*buffer, 0, rows.size(), 32);
    for (std::size_t i = 0; i < rows.size() * 32; ++i)
      host_floats(values)[i] = random_.uniform(-1, 1);
    device_.run(
        StoreKeysValues{values, values, rows, {kv_.get(), layout_.layer_bytes(), 0, layout_}});
  }

  // The same row has the same query in any batch.
  std::vector<float> attend(std::span<const Row> batch, std::uint32_t window) {
    auto buffer = device_.allocate(2 * batch.size() * kWidth * sizeof(float));
    const Slice query = float_slice(*buffer, 0, batch.size(), kWidth);
    const Slice output = float_slice(*buffer, query.bytes(), batch.size(), kWidth);
    std::vector<KvRow> rows;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      base::Random random(batch[i].sequence * 10'000 + batch[i].position);
      for (std::size_t d = 0; d < kWidth; ++d)
        host_floats(query)[i * kWidth + d] = random.uniform(-1, 1);
      rows.push_back({tables_[batch[i].sequence].data(), first_page_, batch[i].position});
    }
    const std::size_t floats = Attention::partial_floats(batch.size(), 4096, kHeads, 16);
    auto scratch = device_.allocate(floats * sizeof(float));
    const Attention operation{.query = query,
                              .output = output,
                              .rows = rows,
                              .pages = {kv_.get(), layout_.layer_bytes(), 0, layout_},
                              .heads = kHeads,
                              .scale = 0.3F,
                              .window = window,
                              .partials = float_slice(*scratch, 0, 1, floats)};
    device_.run(operation);
    read_bytes_ = operation.cost().read_bytes;
    return {host_floats(output), host_floats(output) + batch.size() * kWidth};
  }

  static constexpr std::size_t kHeads = 6, kWidth = kHeads * 16;
  std::size_t read_bytes() const { return read_bytes_; }  // of the last batch, as it says itself

 private:
  base::ThreadPool pool_;
  CpuDevice device_;
  KvLayout layout_;
  std::uint32_t first_page_;
  std::size_t read_bytes_ = 0;
  base::Random random_{7};
  std::unique_ptr<Buffer> kv_;
  std::vector<std::vector<std::uint32_t>> tables_;
};

void expect_rows_are_those_alone(Forks& forks, const std::vector<Forks::Row>& batch,
                                 std::uint32_t window, const std::string& what) {
  const auto together = forks.attend(batch, window);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto alone = forks.attend(std::span(batch).subspan(i, 1), window);
    ASSERT_EQ(std::memcmp(alone.data(), together.data() + i * Forks::kWidth, alone.size() * 4), 0)
        << what << ", row " << i << " of " << batch.size() << ", window " << window;
  }
}

// Rows of forks read together what they share; where that ends, and how far each is beyond it, is
// all one to a row's bits.
TEST(Attention, ForksThatReadTogetherGiveTheBitsOfEachAlone) {
  for (const Isa isa : available_isas())
    for (const KvType type : {KvType::f32, KvType::f16, KvType::q8_0})
      for (const std::size_t shared : {1, 5, 16, 19, 33}) {
        Forks forks(type, isa, shared, 7, 18);
        const auto begin = static_cast<std::uint32_t>(shared * kPagePositions);
        std::vector<Forks::Row> each, runs, uneven;
        for (std::size_t i = 0; i < 7; ++i) {
          each.push_back({i, begin + 3});
          for (std::uint32_t j = 0; j < 1 + i % 3; ++j) runs.push_back({i, begin + 10 + j});
          uneven.push_back({i, begin + static_cast<std::uint32_t>(i == 3 ? 575 : 40 * i)});
        }
        for (const std::uint32_t window : {0U, 1U, 70U, 600U}) {
          const std::string what =
              std::string(name(isa)) + " " + std::string(name(type)) + " " + std::to_string(shared);
          expect_rows_are_those_alone(forks, each, window, what + " each");
          expect_rows_are_those_alone(forks, {each.begin(), each.begin() + 3}, window,
                                      what + " few");
          expect_rows_are_those_alone(forks, runs, window, what + " runs");
          expect_rows_are_those_alone(forks, uneven, window, what + " uneven");
        }
      }
}

TEST(Attention, ForksWhoseFirstPagesAreGoneReadTogether) {
  Forks forks(KvType::f16, selected_isa(), 20, 5, 2, 9);
  std::vector<Forks::Row> rows;
  for (std::size_t i = 0; i < 5; ++i)
    rows.push_back({i, static_cast<std::uint32_t>(20 * kPagePositions + 7 * i)});
  expect_rows_are_those_alone(forks, rows, 350, "first pages gone");
}

// One that shares little, or nothing, or is still within the shared pages, stands between others.
TEST(Attention, ForksAndOthersInOneBatch) {
  Forks forks(KvType::f16, selected_isa(), 8, 6, 3);
  const std::vector<Forks::Row> rows{{0, 260}, {1, 100}, {1, 101}, {2, 290}, {3, 33},
                                     {4, 300}, {5, 256}, {0, 257}, {0, 258}};
  expect_rows_are_those_alone(forks, rows, 0, "mixed");
}

TEST(Attention, ForksReadWhatTheyShareOnce) {
  Forks forks(KvType::f16, selected_isa(), 16, 6, 1);
  std::vector<Forks::Row> rows;
  for (std::size_t i = 0; i < 6; ++i) rows.push_back({i, 520});
  (void)forks.attend(std::span(rows).first(1), 0);
  const std::size_t alone = forks.read_bytes();
  (void)forks.attend(rows, 0);
  EXPECT_LT(forks.read_bytes(), 2 * alone);
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
