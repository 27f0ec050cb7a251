#include "base/digest.h"

#include <gtest/gtest.h>

#include <string>

#include "base/temporary_directory.h"

namespace malina::base {
namespace {

constexpr std::string_view kAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

// FIPS 180-2, appendix B.
TEST(Sha256, GivesThePublishedAnswers) {
  Sha256 hash;
  hash.update("abc");
  EXPECT_EQ(hash.finish().hex(), kAbc);
  EXPECT_EQ(hash.finish().hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  for (int i = 0; i < 1000; ++i) hash.update(std::string(1000, 'a'));
  EXPECT_EQ(hash.finish().hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnThePieces) {
  Sha256 hash;
  hash.update("a");
  hash.update("");
  hash.update("bc");
  EXPECT_EQ(hash.finish().hex(), kAbc);
}

TEST(Digest, ParsesItsOwnHexAndNothingElse) {
  const auto digest = Digest::parse(kAbc);
  ASSERT_TRUE(digest);
  EXPECT_EQ(digest->hex(), kAbc);
  EXPECT_EQ(digest->text(), "sha256:" + std::string(kAbc));
  EXPECT_EQ(Digest::parse(digest->text()), digest);
  EXPECT_FALSE(Digest::parse("sha256:"));
  EXPECT_FALSE(Digest::parse("sha256:sha256:" + std::string(kAbc)));
  EXPECT_FALSE(Digest::parse("sha512:" + std::string(kAbc)));
  std::string other(kAbc);
  other[5] = 'A';
  EXPECT_FALSE(Digest::parse(other)) << "upper case is a second spelling of the same name";
  EXPECT_FALSE(Digest::parse(""));
  EXPECT_FALSE(Digest::parse(kAbc.substr(1)));
  EXPECT_FALSE(Digest::parse(std::string(kAbc) + "0"));
  EXPECT_FALSE(Digest::parse("../" + std::string(kAbc.substr(3))));
}

TEST(Digest, OfAFileTellsItsProgress) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a";
  const std::string text(9'000'000, 'a');
  File::create(path).write_all(std::as_bytes(std::span(text)));
  Sha256 hash;
  hash.update(text);
  std::uint64_t last = 0;
  int calls = 0;
  const Digest digest = digest_file(File::open(path), [&](std::uint64_t done, std::uint64_t total) {
    EXPECT_GT(done, last);
    EXPECT_EQ(total, 9'000'000U);
    last = done;
    ++calls;
  });
  EXPECT_EQ(digest, hash.finish());
  EXPECT_EQ(last, 9'000'000U);
  EXPECT_GT(calls, 1);

  File::create(directory.path() / "empty");
  EXPECT_EQ(digest_file(File::open(directory.path() / "empty")).hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace malina::base
