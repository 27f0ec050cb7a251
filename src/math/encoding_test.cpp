// Every encoding, on every instruction set: the packed products against plain loops over the rows
// as they stand in a file, bit for bit.
#include "math/encoding.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/float16.h"
#include "math/encodings/reference.h"

namespace malina::math {
namespace {

// Memory that starts on a cache line, as kernels may expect.
template <class T>
class AlignedVector {
 public:
  explicit AlignedVector(std::size_t size) : storage_(size + 64 / sizeof(T)), size_(size) {
    void* start = storage_.data();
    std::size_t space = storage_.size() * sizeof(T);
    data_ = static_cast<T*>(std::align(64, size * sizeof(T), start, space));
  }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  std::size_t size() const { return size_; }

 private:
  std::vector<T> storage_;
  std::size_t size_;
  T* data_;
};

// Where a block holds numbers in half precision: random bits there could be infinite.
const std::map<std::string_view, std::vector<std::size_t>>& half_offsets() {
  static const std::map<std::string_view, std::vector<std::size_t>> offsets{
      {"q4_0", {0}},      {"q4_1", {0, 2}}, {"q5_0", {0}},    {"q5_1", {0, 2}}, {"q8_0", {0}},
      {"q2_k", {80, 82}}, {"q3_k", {108}},  {"q4_k", {0, 2}}, {"q5_k", {0, 2}}, {"q6_k", {208}},
      {"iq4_nl", {0}},    {"iq4_xs", {0}},  {"mxfp4", {}},    {"f16", {0}},
  };
  return offsets;
}

std::vector<std::byte> random_rows(const Encoding& encoding, std::size_t rows, std::size_t columns,
                                   std::mt19937& random) {
  std::vector<std::byte> file(rows * encoding.row_bytes(columns));
  std::normal_distribution<float> normal(0.0F, 0.02F);
  if (encoding.name == "f32") {
    for (std::size_t i = 0; i < rows * columns; ++i) {
      const float value = normal(random);
      std::memcpy(file.data() + 4 * i, &value, 4);
    }
    return file;
  }
  if (encoding.name == "bf16") {
    for (std::size_t i = 0; i < rows * columns; ++i) {
      const std::uint16_t value = base::float_to_bfloat16(normal(random));
      std::memcpy(file.data() + 2 * i, &value, 2);
    }
    return file;
  }
  for (std::byte& byte : file) byte = static_cast<std::byte>(random());
  // A few blocks of extreme codes.
  for (std::size_t i = 0; i + encoding.block_bytes <= file.size(); i += 7 * encoding.block_bytes) {
    const int extreme = (i / encoding.block_bytes) % 2 == 0 ? 0x80 : 0xFF;
    std::memset(file.data() + i, extreme, encoding.block_bytes);
  }
  for (std::size_t i = 0; i < file.size(); i += encoding.block_bytes) {
    if (encoding.name == "mxfp4") file[i] = static_cast<std::byte>(110 + random() % 20);
    for (const std::size_t offset : half_offsets().at(encoding.name)) {
      const std::uint16_t half = base::float_to_float16(normal(random));
      std::memcpy(file.data() + i + offset, &half, 2);
    }
  }
  return file;
}

struct Matrix {
  Matrix(const Encoding& encoding, std::size_t row_count, std::size_t column_count, unsigned seed)
      : rows(row_count),
        columns(column_count),
        row_bytes(encoding.row_bytes(columns)),
        packed_bytes((rows + kGroupRows - 1) / kGroupRows * encoding.group_bytes(columns)),
        packed(packed_bytes),
        decoded(rows * columns) {
    std::mt19937 random(seed);
    file = random_rows(encoding, rows, columns, random);
    for (std::size_t group = 0; group * kGroupRows < rows; ++group) {
      std::array<const std::byte*, kGroupRows> group_rows{};
      for (std::size_t r = 0; r < kGroupRows && group * kGroupRows + r < rows; ++r) {
        group_rows[r] = row(group * kGroupRows + r);
      }
      encoding.pack(group_rows, columns, packed.data() + group * encoding.group_bytes(columns));
    }
    for (std::size_t n = 0; n < rows; ++n) {
      encoding.decode(row(n), columns, decoded.data() + n * columns);
    }
  }
  const std::byte* row(std::size_t n) const { return file.data() + n * row_bytes; }
  PackedMatrix view() const { return {packed.data(), rows, columns}; }
  std::size_t groups() const { return (rows + kGroupRows - 1) / kGroupRows; }

  std::size_t rows, columns, row_bytes, packed_bytes;
  std::vector<std::byte> file;
  AlignedVector<std::byte> packed;
  std::vector<float> decoded;
};

struct Activations {
  Activations(std::size_t row_count, std::size_t column_count, unsigned seed)
      : rows(row_count),
        columns(column_count),
        values(rows * columns),
        scales(rows * columns / kBlock + 1),
        sums(rows * columns / 16 + 1),
        floats(rows * columns) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0F, 1.0F);
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
      // Whole blocks of the largest numbers: the sums that narrow integers would not hold.
      if (i / kBlock % 5 == 1) values[i] = 127;
      if (i / kBlock % 5 == 3) values[i] = -127;
      floats[i] = normal(random);
    }
    for (std::size_t i = 0; i < values.size() / 16; ++i) {
      sums[i] = 0;
      for (std::size_t j = 0; j < 16; ++j) sums[i] += values[16 * i + j];
      scales[i / 2] = std::fabs(normal(random)) / 127.0F;
    }
  }
  QuantizedRows quantized() const {
    return {values.data(), scales.data(), sums.data(), rows, columns};
  }
  FloatRows exact() const { return {floats.data(), rows, columns}; }

  std::size_t rows, columns;
  AlignedVector<std::int8_t> values;
  AlignedVector<float> scales;
  AlignedVector<std::int32_t> sums;
  AlignedVector<float> floats;
};

void expect_same_bits(const std::vector<float>& actual, const std::vector<float>& expected,
                      std::size_t stride, const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(actual[i]), std::bit_cast<std::uint32_t>(expected[i]))
        << what << " at row " << i / stride << ", column " << i % stride << ": " << actual[i]
        << " instead of " << expected[i];
  }
}

struct Shape {
  std::size_t rows, columns, tokens;
};

std::vector<Shape> shapes(const Encoding& encoding) {
  const std::size_t unit = encoding.block_values == 1 ? kBlock : encoding.block_values;
  std::vector<Shape> list;
  for (std::size_t tokens = 1; tokens <= 17; ++tokens) list.push_back({18, unit, tokens});
  list.push_back({1, unit * 3, 3});
  list.push_back({16, unit, 66});
  list.push_back({37, unit == 256 ? 1024U : 800U, 13});
  list.push_back({5, unit == 256 ? 1024U : 800U, 1});
  list.push_back({33, 512 / unit * unit, 2});
  return list;
}

std::string describe(const Encoding& encoding, Isa isa, const Shape& shape) {
  return std::string(encoding.name) + " on " + std::string(name(isa)) + ", " +
         std::to_string(shape.rows) + " x " + std::to_string(shape.columns) + ", " +
         std::to_string(shape.tokens) + " tokens";
}

class EveryEncoding : public testing::TestWithParam<const Encoding*> {};

TEST_P(EveryEncoding, QuantizedProductHasTheBitsOfTheReferenceOnEveryInstructionSet) {
  const Encoding& encoding = *GetParam();
  for (const Shape& shape : shapes(encoding)) {
    const Matrix matrix(encoding, shape.rows, shape.columns, 1);
    const Activations x(shape.tokens, shape.columns, 2);
    std::vector<float> expected(shape.tokens * shape.rows);
    if (encoding.read_block != nullptr) {
      for (std::size_t m = 0; m < shape.tokens; ++m) {
        for (std::size_t n = 0; n < shape.rows; ++n) {
          expected[m * shape.rows + n] =
              reference::quantized(encoding, matrix.row(n), x.quantized(), m);
        }
      }
    }
    for (const Isa isa : available_isas()) {
      const Products* products = encoding.products[static_cast<std::size_t>(isa)];
      if (products == nullptr) continue;
      ASSERT_EQ(products->quantized == nullptr, encoding.read_block == nullptr);
      if (products->quantized == nullptr) continue;
      std::vector<float> actual(expected.size(), -1.0F);
      products->quantized(matrix.view(), x.quantized(), 0, matrix.groups(),
                          {actual.data(), shape.rows, false});
      expect_same_bits(actual, expected, shape.rows, describe(encoding, isa, shape));
    }
  }
}

TEST_P(EveryEncoding, ExactProductHasTheBitsOfTheReferenceOnEveryInstructionSet) {
  const Encoding& encoding = *GetParam();
  for (const Shape& shape : shapes(encoding)) {
    const Matrix matrix(encoding, shape.rows, shape.columns, 3);
    const Activations x(shape.tokens, shape.columns, 4);
    std::vector<float> expected(shape.tokens * shape.rows);
    for (std::size_t m = 0; m < shape.tokens; ++m) {
      for (std::size_t n = 0; n < shape.rows; ++n) {
        expected[m * shape.rows + n] = reference::exact(
            &matrix.decoded[n * shape.columns], &x.floats[m * shape.columns], shape.columns);
      }
    }
    for (const Isa isa : available_isas()) {
      const Products* products = encoding.products[static_cast<std::size_t>(isa)];
      if (products == nullptr) continue;
      std::vector<float> actual(expected.size(), -1.0F);
      products->exact(matrix.view(), x.exact(), 0, matrix.groups(),
                      {actual.data(), shape.rows, false});
      expect_same_bits(actual, expected, shape.rows, describe(encoding, isa, shape));
    }
  }
}

TEST_P(EveryEncoding, TransposedProductHasTheBitsOfTheReferenceOnEveryInstructionSet) {
  const Encoding& encoding = *GetParam();
  for (const Shape& shape : shapes(encoding)) {
    const Matrix matrix(encoding, shape.rows, shape.columns, 5);
    const Activations dy(shape.tokens, shape.rows, 6);
    std::vector<float> expected(shape.tokens * shape.columns);
    for (std::size_t m = 0; m < shape.tokens; ++m) {
      for (std::size_t k = 0; k < shape.columns; ++k) {
        // The second half of the columns is added to what stands there.
        const float sum = reference::transposed(&matrix.decoded[k], shape.columns,
                                                &dy.floats[m * shape.rows], shape.rows);
        expected[m * shape.columns + k] = k < shape.columns / 64 * 32 ? sum : 0.5F + sum;
      }
    }
    for (const Isa isa : available_isas()) {
      const Products* products = encoding.products[static_cast<std::size_t>(isa)];
      if (products == nullptr) continue;
      const std::size_t middle = shape.columns / 64 * 32;
      std::vector<float> actual(expected.size(), 0.5F);
      const FloatRows rows{dy.floats.data(), shape.tokens, shape.rows};
      products->transposed(matrix.view(), rows, 0, middle, {actual.data(), shape.columns, false});
      products->transposed(matrix.view(), rows, middle, shape.columns,
                           {actual.data(), shape.columns, true});
      expect_same_bits(actual, expected, shape.columns, describe(encoding, isa, shape));
    }
  }
}

TEST_P(EveryEncoding, PackedRowsDecodeToTheRowsOfTheFile) {
  const Encoding& encoding = *GetParam();
  for (const Shape& shape : shapes(encoding)) {
    const Matrix matrix(encoding, shape.rows, shape.columns, 7);
    for (const Isa isa : available_isas()) {
      const Products* products = encoding.products[static_cast<std::size_t>(isa)];
      if (products == nullptr) continue;
      std::vector<float> actual(shape.rows * shape.columns);
      for (std::size_t n = 0; n < shape.rows; ++n) {
        products->decode_row(matrix.view(), n, &actual[n * shape.columns]);
      }
      expect_same_bits(actual, matrix.decoded, shape.columns, describe(encoding, isa, shape));
    }
  }
}

TEST_P(EveryEncoding, AGroupRangeIsComputedAloneAndAdds) {
  const Encoding& encoding = *GetParam();
  const std::size_t columns = 1024, rows = 60, tokens = 5;
  const Matrix matrix(encoding, rows, columns, 8);
  const Activations x(tokens, columns, 9);
  for (const Isa isa : available_isas()) {
    const Products* products = encoding.products[static_cast<std::size_t>(isa)];
    if (products == nullptr) continue;
    std::vector<float> whole(tokens * rows), added(tokens * (rows + 3), 2.0F);
    products->exact(matrix.view(), x.exact(), 0, 4, {whole.data(), rows, false});
    products->exact(matrix.view(), x.exact(), 1, 4, {added.data(), rows + 3, true});
    for (std::size_t m = 0; m < tokens; ++m) {
      for (std::size_t n = 0; n < rows + 3; ++n) {
        const bool written = n >= kGroupRows && n < rows;
        EXPECT_EQ(added[m * (rows + 3) + n], written ? 2.0F + whole[m * rows + n] : 2.0F);
      }
    }
    if (products->quantized == nullptr) continue;
    std::fill(added.begin(), added.end(), 2.0F);
    products->quantized(matrix.view(), x.quantized(), 0, 4, {whole.data(), rows, false});
    products->quantized(matrix.view(), x.quantized(), 1, 4, {added.data(), rows + 3, true});
    for (std::size_t m = 0; m < tokens; ++m) {
      for (std::size_t n = 0; n < rows + 3; ++n) {
        const bool written = n >= kGroupRows && n < rows;
        EXPECT_EQ(added[m * (rows + 3) + n], written ? 2.0F + whole[m * rows + n] : 2.0F);
      }
    }
  }
}

TEST_P(EveryEncoding, IsFoundByNameAndNumber) {
  EXPECT_EQ(find_encoding(GetParam()->name), GetParam());
  EXPECT_EQ(find_encoding(GetParam()->gguf_type), GetParam());
}

INSTANTIATE_TEST_SUITE_P(, EveryEncoding, testing::ValuesIn(encodings().begin(), encodings().end()),
                         [](const auto& parameter) { return std::string(parameter.param->name); });

TEST(Encoding, UnknownNamesAndNumbersGiveNothing) {
  EXPECT_EQ(find_encoding("q4_7"), nullptr);
  EXPECT_EQ(find_encoding(std::uint32_t{4}), nullptr);
}

}  // namespace
}  // namespace malina::math
