// Decoding and encoding against gguf-py, bit for bit (tests/golden/encodings_golden.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "math/encoding.h"

namespace malina::math {
namespace {

std::vector<std::byte> read_golden(const std::string& name) {
  const std::string path = std::string(MALINA_SOURCE_DIR) + "/tests/golden/encodings/" + name;
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_FALSE(text.empty()) << path;
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

class GoldenEncoding : public testing::TestWithParam<const Encoding*> {};

TEST_P(GoldenEncoding, DecodesToTheBitsOfGgufPy) {
  const Encoding& encoding = *GetParam();
  const std::vector<std::byte> golden = read_golden(std::string(encoding.name) + ".decode");
  const std::size_t block_bytes = encoding.block_bytes + encoding.block_values * sizeof(float);
  ASSERT_EQ(golden.size() % block_bytes, 0U);
  const std::size_t blocks = golden.size() / block_bytes;
  ASSERT_GE(blocks, 3U);
  const std::size_t columns = blocks * encoding.block_values;
  std::vector<float> actual(columns), expected(columns);
  encoding.decode(golden.data(), columns, actual.data());
  std::memcpy(expected.data(), golden.data() + encoding.row_bytes(columns), columns * 4);
  for (std::size_t i = 0; i < columns; ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(actual[i]), std::bit_cast<std::uint32_t>(expected[i]))
        << "value " << i << ": " << actual[i] << " instead of " << expected[i];
  }
}

TEST_P(GoldenEncoding, EncodesToTheBytesOfGgufPy) {
  const Encoding& encoding = *GetParam();
  // Of the others gguf-py has no writer: math/block_search_test.cpp.
  constexpr std::string_view kOfGgufPy[] = {"f32", "f16", "bf16", "q4_0", "q4_1", "q8_0"};
  if (std::ranges::find(kOfGgufPy, encoding.name) == std::end(kOfGgufPy)) return;
  const std::vector<std::byte> golden = read_golden(std::string(encoding.name) + ".encode");
  constexpr std::size_t kColumns = 256;
  std::vector<float> values(kColumns);
  ASSERT_EQ(golden.size(), kColumns * sizeof(float) + encoding.row_bytes(kColumns));
  std::memcpy(values.data(), golden.data(), kColumns * sizeof(float));
  std::vector<std::byte> actual(encoding.row_bytes(kColumns));
  encoding.encode(values.data(), kColumns, nullptr, actual.data());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i], golden[kColumns * sizeof(float) + i]) << "byte " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(, GoldenEncoding,
                         testing::ValuesIn(encodings().begin(), encodings().end()),
                         [](const auto& parameter) { return std::string(parameter.param->name); });

TEST(Encoding, ThirteenFormatsHaveWriters) {
  std::size_t writers = 0;
  for (const Encoding* encoding : encodings()) writers += encoding->encode != nullptr ? 1 : 0;
  EXPECT_EQ(writers, 13U);
}

}  // namespace
}  // namespace malina::math
