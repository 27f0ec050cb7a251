#include "base/digest.h"

#include <gtest/gtest.h>

#include <string>

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
  std::string other(kAbc);
  other[5] = 'A';
  EXPECT_FALSE(Digest::parse(other)) << "upper case is a second spelling of the same name";
  EXPECT_FALSE(Digest::parse(""));
  EXPECT_FALSE(Digest::parse(kAbc.substr(1)));
  EXPECT_FALSE(Digest::parse(std::string(kAbc) + "0"));
  EXPECT_FALSE(Digest::parse("../" + std::string(kAbc.substr(3))));
}

}  // namespace
}  // namespace malina::base
