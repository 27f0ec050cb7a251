#include "format/gguf_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::format {
namespace {

using base::Error;
using base::Fault;

const math::Encoding* encoding(std::string_view name) { return math::find_encoding(name); }

std::vector<std::byte> pattern(std::size_t bytes, int seed) {
  std::vector<std::byte> data(bytes);
  for (std::size_t i = 0; i < bytes; ++i)
    data[i] = static_cast<std::byte>((i * 31 + static_cast<std::size_t>(seed)) & 255U);
  return data;
}

std::vector<std::byte> read_whole(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  std::vector<std::byte> data(tensor.bytes);
  checkpoint.read(tensor, 0, data);
  return data;
}

Metadata metadata_of_every_type() {
  Metadata metadata;
  metadata.add("general.architecture", std::string_view("llama"));
  metadata.add("u8", std::uint64_t{255}, StoredType::u8);
  metadata.add("i8", std::int64_t{-128}, StoredType::i8);
  metadata.add("u16", std::uint64_t{65535}, StoredType::u16);
  metadata.add("i16", std::int64_t{-32768}, StoredType::i16);
  metadata.add("u32", std::uint64_t{4294967295});
  metadata.add("i32", std::int64_t{-2147483648});
  metadata.add("u64", std::uint64_t{18446744073709551615U});
  metadata.add("i64", std::int64_t{-4294967296});
  metadata.add("f32", 0.25);
  metadata.add("f64", 0.1, StoredType::f64);
  metadata.add("yes", true);
  metadata.add("no", false);
  metadata.add("texts", MetadataArray{.strings = {"", "a", "\xff\x00z"}});
  metadata.add("numbers", MetadataArray{.numbers = {1.5F, -2.0F}});
  metadata.add("bytes", MetadataArray{.integers = {0, 255}, .stored = StoredType::u8});
  metadata.add("flags", MetadataArray{.integers = {0, 1}, .stored = StoredType::boolean});
  metadata.add("wide", MetadataArray{.integers = {-5'000'000'000}});
  metadata.add("nothing", MetadataArray{.stored = StoredType::text});
  return metadata;
}

TEST(GgufWriter, WritesWhatTheReaderReads) {
  const base::TemporaryDirectory directory;
  const auto path = directory.path() / "model.gguf";
  const Metadata metadata = metadata_of_every_type();
  const std::vector<TensorPlan> plan{{"scalar", encoding("f32"), {}},
                                     {"matrix", encoding("q4_1"), {64, 3}},
                                     {"none", encoding("f32"), {0, 5}},
                                     {"cube", encoding("f32"), {3, 5, 7}}};
  {
    GgufWriter writer(path, metadata, plan);
    writer.write(pattern(4, 1));
    const auto matrix = pattern(120, 2);
    for (std::size_t i = 0; i < matrix.size(); i += 7)
      writer.write(std::span(matrix).subspan(i, std::min<std::size_t>(7, matrix.size() - i)));
    writer.write(pattern(420, 3));
    EXPECT_FALSE(std::filesystem::exists(path));
    writer.commit();
  }
  const auto checkpoint = Checkpoint::open(path);
  EXPECT_EQ(checkpoint->format_name(), "GGUF v3");
  EXPECT_EQ(checkpoint->total_bytes(), std::filesystem::file_size(path));
  EXPECT_EQ(checkpoint->total_bytes() % 32, 0U);
  ASSERT_EQ(checkpoint->tensors().size(), plan.size());
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const TensorInfo& tensor = checkpoint->tensors()[i];
    EXPECT_EQ(tensor.name, plan[i].name);
    EXPECT_EQ(tensor.encoding, plan[i].encoding);
    EXPECT_EQ(tensor.shape, plan[i].shape);
    EXPECT_EQ(tensor.offset % 32, 0U);
    EXPECT_EQ(checkpoint->find(plan[i].name), &tensor);
  }
  EXPECT_EQ(read_whole(*checkpoint, checkpoint->tensors()[0]), pattern(4, 1));
  EXPECT_EQ(read_whole(*checkpoint, checkpoint->tensors()[1]), pattern(120, 2));
  EXPECT_EQ(read_whole(*checkpoint, checkpoint->tensors()[3]), pattern(420, 3));
  EXPECT_EQ(checkpoint->tensors()[3].rows(), 35U);

  const auto entries = checkpoint->metadata().entries();
  ASSERT_EQ(entries.size(), metadata.entries().size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    EXPECT_EQ(entries[i].key, metadata.entries()[i].key);
    EXPECT_EQ(entries[i].stored, metadata.entries()[i].stored) << entries[i].key;
  }
  EXPECT_EQ(gguf_header(checkpoint->metadata(), plan), gguf_header(metadata, plan))
      << "a copy of the metadata is the same bytes";
}

TEST(GgufWriter, FollowsTheAlignmentOfTheMetadata) {
  const base::TemporaryDirectory directory;
  const auto path = directory.path() / "model.gguf";
  Metadata metadata;
  metadata.add("general.alignment", std::uint64_t{4096});
  const std::vector<TensorPlan> plan{{"a", encoding("f32"), {1}}, {"b", encoding("f32"), {1}}};
  GgufWriter writer(path, metadata, plan);
  writer.write(pattern(4, 1));
  writer.write(pattern(4, 2));
  writer.commit();
  const auto checkpoint = Checkpoint::open(path);
  EXPECT_EQ(checkpoint->tensors()[0].offset, 4096U);
  EXPECT_EQ(checkpoint->tensors()[1].offset, 8192U);
  EXPECT_EQ(checkpoint->total_bytes(), 12288U);
  EXPECT_EQ(read_whole(*checkpoint, checkpoint->tensors()[1]), pattern(4, 2));
}

TEST(GgufWriter, WritesAVocabularyWithoutTensors) {
  const base::TemporaryDirectory directory;
  const auto path = directory.path() / "vocabulary.gguf";
  GgufWriter(path, metadata_of_every_type(), {}).commit();
  EXPECT_TRUE(Checkpoint::open(path)->tensors().empty());
}

Fault fault_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.fault();
  }
  return Fault::cancelled;  // which nothing here throws
}

TEST(GgufWriter, RefusesWhatItCouldNotReadBack) {
  const base::TemporaryDirectory directory;
  const auto path = directory.path() / "model.gguf";
  const auto write = [&](std::uint64_t alignment, const std::vector<TensorPlan>& plan) {
    return fault_of([&] {
      Metadata metadata;
      metadata.add("general.alignment", alignment);
      GgufWriter(path, metadata, plan).commit();
    });
  };
  const TensorPlan small{"a", encoding("f32"), {0}};
  EXPECT_EQ(write(32, {small}), Fault::cancelled);
  EXPECT_EQ(write(33, {small}), Fault::corrupt_file);
  EXPECT_EQ(write(0, {small}), Fault::corrupt_file);
  EXPECT_EQ(write(32, {small, small}), Fault::corrupt_file);
  EXPECT_EQ(write(32, {{"rows of 33", encoding("q8_0"), {33}}}), Fault::corrupt_file);
  EXPECT_EQ(write(32, {{std::string(64, 'n'), encoding("f32"), {0}}}), Fault::corrupt_file);
  EXPECT_EQ(write(32, {{"5", encoding("f32"), {0, 1, 1, 1, 1}}}), Fault::corrupt_file);
  EXPECT_EQ(write(32, {{"huge", encoding("f32"), {1U << 31U, 1U << 31U, 1U << 31U}}}),
            Fault::invalid_argument);
}

TEST(GgufWriter, RefusesValuesThatDoNotFitTheirType) {
  const auto header = [](MetadataValue value, StoredType stored) {
    return fault_of([&] {
      Metadata metadata;
      metadata.add("key", std::move(value), stored);
      gguf_header(metadata, {});
    });
  };
  EXPECT_EQ(header(std::uint64_t{256}, StoredType::u8), Fault::invalid_argument);
  EXPECT_EQ(header(std::int64_t{-1}, StoredType::u64), Fault::invalid_argument);
  EXPECT_EQ(header(std::string_view("x"), StoredType::u32), Fault::invalid_argument);
  EXPECT_EQ(header(1.0, StoredType::u32), Fault::invalid_argument);
  EXPECT_EQ(
      header(MetadataArray{.integers = {2}, .stored = StoredType::boolean}, StoredType::array),
      Fault::invalid_argument);
  EXPECT_EQ(header(MetadataArray{.strings = {"x"}, .numbers = {1.0F}}, StoredType::array),
            Fault::invalid_argument);
}

TEST(GgufWriter, LeavesNothingWhenDataIsMissingOrTooMuch) {
  const base::TemporaryDirectory directory;
  const auto path = directory.path() / "model.gguf";
  const std::vector<TensorPlan> plan{{"a", encoding("f32"), {2}}};
  EXPECT_EQ(fault_of([&] {
              GgufWriter writer(path, {}, plan);
              writer.write(pattern(4, 1));
              writer.commit();
            }),
            Fault::internal);
  EXPECT_EQ(fault_of([&] { GgufWriter(path, {}, plan).write(pattern(9, 1)); }), Fault::internal);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

}  // namespace
}  // namespace malina::format
