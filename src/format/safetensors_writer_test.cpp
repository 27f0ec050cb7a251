#include "format/safetensors_writer.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "format/safetensors.h"

namespace malina::format {
namespace {

TEST(SafetensorsWriter, WhatItWritesIsRead) {
  const base::TemporaryDirectory folder;
  const auto path = folder.path() / "model.safetensors";
  const std::vector<SafetensorsPlan> plan{{"b", math::find_encoding("bf16"), {2, 3}},
                                          {"a \"quoted\" é", math::find_encoding("f32"), {5}},
                                          {"empty", math::find_encoding("f16"), {0, 4}}};
  std::vector<std::byte> data(12 + 20);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i);
  SafetensorsWriter writer(path, plan);
  writer.write(std::span(data).first(7));
  EXPECT_THROW(writer.commit(), base::Error) << "data is missing";
  writer.write(std::span(data).subspan(7));
  EXPECT_THROW(writer.write(std::span(data).first(1)), base::Error)
      << "more than there is room for";
  EXPECT_FALSE(std::filesystem::exists(path));
  writer.commit();

  const auto model = SafetensorsModel::open(folder.path());
  ASSERT_EQ(model.tensors().size(), plan.size());
  std::size_t first = 0;
  for (const SafetensorsPlan& planned : plan) {
    const SafetensorsTensor* tensor = model.find(planned.name);
    ASSERT_NE(tensor, nullptr) << planned.name;
    EXPECT_EQ(tensor->encoding, planned.encoding);
    EXPECT_EQ(tensor->shape, planned.shape);
    ASSERT_EQ(tensor->bytes, planned.bytes());
    std::vector<std::byte> read(tensor->bytes);
    model.read(*tensor, 0, read);
    EXPECT_TRUE(std::equal(read.begin(), read.end(), data.begin() + static_cast<long>(first)));
    first += read.size();
  }
}

TEST(SafetensorsWriter, TakesNoBlockEncoding) {
  const base::TemporaryDirectory folder;
  const std::vector<SafetensorsPlan> plan{{"a", math::find_encoding("q8_0"), {1, 32}}};
  EXPECT_THROW(SafetensorsWriter(folder.path() / "x", plan), base::Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace malina::format
