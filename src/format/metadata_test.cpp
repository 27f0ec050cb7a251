#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>

#include "base/error.h"
#include "format/checkpoint.h"

namespace malina::format {
namespace {

Metadata sample() {
  Metadata metadata("model.gguf", nullptr);
  metadata.add("text", std::string_view("llama"));
  metadata.add("natural", std::uint64_t{7});
  metadata.add("integer", std::int64_t{8});
  metadata.add("negative", std::int64_t{-8});
  metadata.add("number", 0.5);
  metadata.add("boolean", true);
  metadata.add("array", MetadataArray{.integers = {1, 2, 3}});
  return metadata;
}

template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const base::Error& error) {
    return std::string(base::name(error.fault())) + ": " + error.what();
  }
  return "";
}

TEST(Metadata, GivesEachKindOfValue) {
  const Metadata metadata = sample();
  EXPECT_EQ(metadata.text("text"), "llama");
  EXPECT_EQ(metadata.integer("natural"), 7U);
  EXPECT_EQ(metadata.integer("integer"), 8U);
  EXPECT_EQ(metadata.number("number"), 0.5);
  EXPECT_EQ(metadata.number("natural"), 7.0);
  EXPECT_EQ(metadata.number("negative"), -8.0);
  EXPECT_EQ(metadata.boolean("boolean"), true);
  ASSERT_NE(metadata.array("array"), nullptr);
  EXPECT_EQ(metadata.array("array")->size(), 3U);
}

TEST(Metadata, WhatIsAbsentIsNoError) {
  const Metadata metadata = sample();
  EXPECT_FALSE(metadata.contains("none"));
  EXPECT_EQ(metadata.find("none"), nullptr);
  EXPECT_EQ(metadata.text("none"), std::nullopt);
  EXPECT_EQ(metadata.integer("none"), std::nullopt);
  EXPECT_EQ(metadata.number("none"), std::nullopt);
  EXPECT_EQ(metadata.boolean("none"), std::nullopt);
  EXPECT_EQ(metadata.array("none"), nullptr);
}

TEST(Metadata, WrongTypesNameFileAndKey) {
  const Metadata metadata = sample();
  EXPECT_EQ(error_of([&] { metadata.integer("text"); }),
            "corrupt_file: model.gguf: metadata key 'text' is a text, not an integer");
  EXPECT_EQ(error_of([&] { metadata.text("natural"); }),
            "corrupt_file: model.gguf: metadata key 'natural' is an integer, not a text");
  EXPECT_EQ(error_of([&] { metadata.integer("number"); }),
            "corrupt_file: model.gguf: metadata key 'number' is a number, not an integer");
  EXPECT_EQ(error_of([&] { metadata.number("boolean"); }),
            "corrupt_file: model.gguf: metadata key 'boolean' is a boolean, not a number");
  EXPECT_EQ(error_of([&] { metadata.boolean("array"); }),
            "corrupt_file: model.gguf: metadata key 'array' is an array, not a boolean");
  EXPECT_EQ(error_of([&] { metadata.array("text"); }),
            "corrupt_file: model.gguf: metadata key 'text' is a text, not an array");
  EXPECT_EQ(error_of([&] { metadata.integer("negative"); }),
            "corrupt_file: model.gguf: metadata key 'negative' is negative: -8");
}

TEST(Metadata, TakesTheSmallestUsualType) {
  Metadata metadata;
  metadata.add("a", std::uint64_t{std::numeric_limits<std::uint32_t>::max()});
  metadata.add("b", std::uint64_t{1} << 32);
  metadata.add("c", std::int64_t{-1});
  metadata.add("d", std::int64_t{-1} << 40);
  EXPECT_EQ(metadata.entries()[0].stored, StoredType::u32);
  EXPECT_EQ(metadata.entries()[1].stored, StoredType::u64);
  EXPECT_EQ(metadata.entries()[2].stored, StoredType::i32);
  EXPECT_EQ(metadata.entries()[3].stored, StoredType::i64);
}

TEST(Metadata, KeepsAliveWhatItsTextsPointInto) {
  auto owner = std::make_shared<const std::string>("a text that is too long to stand elsewhere");
  Metadata metadata("", owner);
  metadata.add("text", std::string_view(*owner));
  const Metadata copy = metadata;
  const std::weak_ptr<const std::string> watch = owner;
  owner.reset();
  metadata = Metadata();
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(copy.text("text"), "a text that is too long to stand elsewhere");
}

}  // namespace
}  // namespace malina::format
