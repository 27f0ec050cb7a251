#include "format/metadata_builder.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "format/gguf.h"
#include "format/gguf_writer.h"

namespace malina::format {
namespace {

MetadataBuilder sample() {
  MetadataBuilder builder;
  builder.add_text("name", "a text too long to stand inside of a string object");
  builder.add_boolean("add", true);
  builder.add_integer("count", 7);
  builder.add_integer("large", std::uint64_t{1} << 40, StoredType::u64);
  builder.add_number("epsilon", 0.5);
  builder.add_texts("tokens",
                    {"a", "", "another text too long to stand inside of a string object"});
  builder.add_integers("types", {1, -3, 6});
  builder.add_integers("flags", {1, 0}, StoredType::boolean);
  builder.add_numbers("scores", {0.25F, -1});
  return builder;
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

TEST(MetadataBuilder, GivesWhatWasAdded) {
  Metadata metadata;
  {
    MetadataBuilder builder = sample();
    metadata = builder.build("directory");
    EXPECT_FALSE(builder.contains("name"));
    builder.add_text("name", "of another model, which overwrites nothing of the first one");
  }
  EXPECT_EQ(metadata.text("name"), "a text too long to stand inside of a string object");
  EXPECT_EQ(metadata.boolean("add"), true);
  EXPECT_EQ(metadata.integer("count"), 7U);
  EXPECT_EQ(metadata.integer("large"), std::uint64_t{1} << 40);
  EXPECT_EQ(metadata.number("epsilon"), 0.5);
  ASSERT_NE(metadata.array("tokens"), nullptr);
  EXPECT_EQ(metadata.array("tokens")->strings[2],
            "another text too long to stand inside of a string object");
  EXPECT_EQ(metadata.array("types")->integers, (std::vector<std::int64_t>{1, -3, 6}));
  EXPECT_EQ(metadata.array("scores")->numbers, (std::vector<float>{0.25F, -1}));
  EXPECT_EQ(metadata.entries().front().key, "name");
  EXPECT_EQ(error_of([&] { metadata.integer("name"); }),
            "corrupt_file: directory: metadata key 'name' is a text, not an integer");
}

TEST(MetadataBuilder, IsWrittenAndReadAsAFile) {
  const Metadata metadata = sample().build("directory");
  const auto header = gguf_header(metadata, {});
  const GgufFile file = parse_gguf(header, "copy.gguf", header.size());
  ASSERT_EQ(file.metadata.entries().size(), metadata.entries().size());
  EXPECT_EQ(gguf_header(file.metadata, {}), header);
  EXPECT_EQ(file.metadata.entries()[2].stored, StoredType::u32);
  EXPECT_EQ(file.metadata.array("types")->stored, StoredType::i32);
}

TEST(MetadataBuilder, TellsItsCallersDefects) {
  MetadataBuilder builder = sample();
  EXPECT_EQ(error_of([&] { builder.add_text("count", ""); }),
            "internal: metadata key 'count' is added twice");
  EXPECT_EQ(error_of([&] { builder.add_integer("x", std::uint64_t{1} << 32); }),
            "internal: metadata key 'x' has a value that its type does not hold");
  EXPECT_EQ(error_of([&] { builder.add_integers("x", {std::int64_t{1} << 31}); }),
            "internal: metadata key 'x' has a value that its type does not hold");
  EXPECT_EQ(error_of([&] { builder.add_number("x", 1, StoredType::u8); }),
            "internal: metadata key 'x' has a type that does not hold numbers");
  EXPECT_FALSE(builder.contains("x"));
}

}  // namespace
}  // namespace malina::format
