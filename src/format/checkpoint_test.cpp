#include "format/checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "format/gguf_writer.h"

namespace malina::format {
namespace {

// A model with `tensors` matrices of [256, rows] floats, all bytes of matrix i being i.
std::filesystem::path write_model(const std::filesystem::path& path, std::size_t tensors,
                                  std::size_t rows, std::size_t tokens = 0) {
  const std::string token(100, 't');
  Metadata metadata;
  metadata.add("general.architecture", std::string_view("llama"));
  metadata.add("tokens", MetadataArray{.strings = std::vector<std::string_view>(tokens, token)});
  std::vector<TensorPlan> plan;
  for (std::size_t i = 0; i < tensors; ++i)
    plan.push_back({"t" + std::to_string(i), math::find_encoding("f32"), {256, rows}});
  GgufWriter writer(path, metadata, plan);
  for (std::size_t i = 0; i < tensors; ++i)
    writer.write(std::vector<std::byte>(1024 * rows, static_cast<std::byte>(i)));
  writer.commit();
  return path;
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

TEST(Checkpoint, ReadsAnyPieceOfATensor) {
  const base::TemporaryDirectory directory;
  const auto checkpoint = Checkpoint::open(write_model(directory.path() / "m.gguf", 3, 2));
  const TensorInfo* tensor = checkpoint->find("t2");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->bytes, 2048U);
  std::vector<std::byte> piece(48);
  checkpoint->read(*tensor, 2000, piece);
  EXPECT_EQ(piece, std::vector<std::byte>(48, std::byte{2}));
  checkpoint->read(*tensor, 2048, {});
  EXPECT_EQ(checkpoint->find("t3"), nullptr);
  EXPECT_EQ(checkpoint->find(""), nullptr);
  EXPECT_EQ(checkpoint->files().size(), 1U);
}

TEST(Checkpoint, NeverReadsPastATensor) {
  const base::TemporaryDirectory directory;
  const auto checkpoint = Checkpoint::open(write_model(directory.path() / "m.gguf", 2, 2));
  const TensorInfo& tensor = checkpoint->tensors()[0];
  std::vector<std::byte> piece(10);
  const std::uint64_t near_wrap = ~std::uint64_t{0} - 4;
  for (const std::uint64_t offset : {std::uint64_t{2039}, std::uint64_t{2049}, near_wrap})
    EXPECT_NE(error_of([&] { checkpoint->read(tensor, offset, piece); }), "") << offset;
}

TEST(Checkpoint, OfAFileCutShortSaysSoInsteadOfReading) {
  const base::TemporaryDirectory directory;
  const auto path = write_model(directory.path() / "m.gguf", 2, 64);
  const auto checkpoint = Checkpoint::open(path);
  EXPECT_EQ(error_of([&] { checkpoint->check(); }), "");
  ASSERT_EQ(::truncate(path.c_str(), 70'000), 0);
  std::vector<std::byte> data(checkpoint->tensors()[1].bytes);
  const std::string said = error_of([&] { checkpoint->read(checkpoint->tensors()[1], 0, data); });
  EXPECT_EQ(said.find("corrupt_file: " + path.string() + " was cut short while being read"), 0U);
  checkpoint->read(checkpoint->tensors()[0], 0, data);  // which is still there whole
  EXPECT_EQ(error_of([&] {
              checkpoint->check();
            }).find("corrupt_file: " + path.string() + " was cut short while being read"),
            0U);
}

TEST(Checkpoint, TextsOfAFileCutShortAreZerosAndNoCrash) {
  const base::TemporaryDirectory directory;
  const auto path = write_model(directory.path() / "m.gguf", 1, 1, 10'000);
  const auto checkpoint = Checkpoint::open(path);
  ASSERT_EQ(::truncate(path.c_str(), 0), 0);
  std::size_t zeros = 0;
  for (const std::string_view token : checkpoint->metadata().array("tokens")->strings)
    zeros += static_cast<std::size_t>(std::count(token.begin(), token.end(), '\0'));
  EXPECT_EQ(zeros, 1'000'000U);
  EXPECT_NE(error_of([&] { checkpoint->check(); }).find("was cut short"), std::string::npos);
}

// While one thread cuts and restores the file, another opens it over and over: each time it is
// opened whole or refused.
TEST(Checkpoint, IsWholeOrRefusedWhileTheFileShrinks) {
  const base::TemporaryDirectory directory;
  const auto path = write_model(directory.path() / "m.gguf", 20, 1, 20'000);
  const auto size = static_cast<off_t>(std::filesystem::file_size(path));
  std::vector<char> content(static_cast<std::size_t>(size));
  std::ifstream(path, std::ios::binary).read(content.data(), size);
  std::atomic<bool> stop = false;
  std::thread cutter([&] {
    for (off_t cut = 0; !stop; cut = (cut + 37'123) % size) {
      static_cast<void>(::truncate(path.c_str(), cut));
      std::fstream(path, std::ios::binary | std::ios::in | std::ios::out)
          .write(content.data(), size);
    }
  });
  int opened = 0;
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    try {
      const auto checkpoint = Checkpoint::open(path);
      EXPECT_EQ(checkpoint->tensors().size(), 20U);
      ++opened;
    } catch (const base::Error& error) {
      EXPECT_NE(error.fault(), base::Fault::internal) << error.what();
      ++refused;
    }
  }
  stop = true;
  cutter.join();
  EXPECT_EQ(opened + refused, 300);
}

TEST(Checkpoint, IsReadByManyThreads) {
  const base::TemporaryDirectory directory;
  const auto checkpoint = Checkpoint::open(write_model(directory.path() / "m.gguf", 8, 16));
  std::vector<std::thread> threads;
  for (int worker = 0; worker < 4; ++worker)
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < 8; ++i) {
        std::vector<std::byte> data(checkpoint->tensors()[i].bytes);
        checkpoint->read(checkpoint->tensors()[i], 0, data);
        EXPECT_EQ(data, std::vector<std::byte>(data.size(), static_cast<std::byte>(i)));
      }
    });
  for (std::thread& thread : threads) thread.join();
}

std::filesystem::path write_part(const std::filesystem::path& directory, std::uint64_t part) {
  Metadata metadata;
  if (part == 0) metadata.add("general.architecture", std::string_view("llama"));
  metadata.add("split.no", part, StoredType::u16);
  metadata.add("split.count", std::uint64_t{2}, StoredType::u16);
  metadata.add("split.tensors.count", std::int64_t{2});
  const auto path = directory / ("m-0000" + std::to_string(part + 1) + "-of-00002.gguf");
  const std::vector<TensorPlan> plan{{"t" + std::to_string(part), math::find_encoding("f32"), {3}}};
  GgufWriter writer(path, metadata, plan);
  writer.write(std::vector<std::byte>(12, static_cast<std::byte>(part + 1)));
  writer.commit();
  return path;
}

TEST(Checkpoint, JoinsThePartsFromAnyOfThem) {
  const base::TemporaryDirectory directory;
  const auto first = write_part(directory.path(), 0);
  const auto second = write_part(directory.path(), 1);
  for (const auto& given : {first, second}) {
    const auto checkpoint = Checkpoint::open(given);
    ASSERT_EQ(checkpoint->tensors().size(), 2U);
    ASSERT_EQ(checkpoint->files().size(), 2U);
    EXPECT_EQ(checkpoint->files()[0], first);
    EXPECT_EQ(checkpoint->files()[1], second);
    EXPECT_EQ(checkpoint->metadata().text("general.architecture"), "llama")
        << "the metadata is that of the first part";
    EXPECT_EQ(checkpoint->total_bytes(),
              std::filesystem::file_size(first) + std::filesystem::file_size(second));
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(checkpoint->tensors()[i].file, i);
      std::vector<std::byte> data(12);
      checkpoint->read(checkpoint->tensors()[i], 0, data);
      EXPECT_EQ(data, std::vector<std::byte>(12, static_cast<std::byte>(i + 1)));
    }
  }
}

TEST(Checkpoint, NamesThePartThatIsMissing) {
  const base::TemporaryDirectory directory;
  const auto first = write_part(directory.path(), 0);
  EXPECT_EQ(error_of([&] { Checkpoint::open(first); }),
            "not_found: " + (directory.path() / "m-00002-of-00002.gguf").string() +
                " is missing: it is part 2 of 2 of the model that " + first.string() +
                " belongs to");
}

TEST(Checkpoint, SaysHowMuchOfADownloadIsMissing) {
  const base::TemporaryDirectory directory;
  const auto path = write_model(directory.path() / "m.gguf", 2, 64);
  const auto size = std::filesystem::file_size(path);
  std::filesystem::resize_file(path, size - 70'000);
  EXPECT_EQ(error_of([&] { Checkpoint::open(path); }),
            "corrupt_file: " + path.string() + ": tensor 't0' (1 of 2) ends at byte " +
                std::to_string(size - 65'536) + ", after the end of the file at byte " +
                std::to_string(size - 70'000) +
                ": 70000 bytes of the file are missing, perhaps because a download was cut short");
}

}  // namespace
}  // namespace malina::format
