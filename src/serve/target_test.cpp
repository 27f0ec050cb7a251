#include "serve/target.h"

#include <gtest/gtest.h>

#include "serve/api_error.h"

namespace malina::serve {
namespace {

TEST(Target, OriginFormIsAPathAndAQuery) {
  for (const auto& [text, path] : {std::pair{"/", "/"},
                                   {"/v1/models?a=b", "/v1/models"},
                                   {"//evil.example/health", "//evil.example/health"},
                                   {"/a?b://c", "/a"},
                                   {"*", "*"},
                                   {"localhost:80", "localhost:80"}}) {
    const Target target = parse_target(text);
    EXPECT_EQ(target.path, path);
    EXPECT_FALSE(target.absolute) << text;
  }
}

TEST(Target, AbsoluteFormHasItsOwnHost) {
  for (const auto& [text, authority, path] :
       {std::tuple{"http://localhost:8080/health", "localhost:8080", "/health"},
        {"HTTP://a/b?c", "a", "/b"},
        {"https://[::1]:80", "[::1]:80", "/"},
        {"http://a?b", "a", "/"}}) {
    const Target target = parse_target(text);
    EXPECT_TRUE(target.absolute);
    EXPECT_EQ(target.authority, authority);
    EXPECT_EQ(target.path, path);
  }
  EXPECT_TRUE(parse_target("https://a/").https);
  EXPECT_FALSE(parse_target("http://a/").https);
}

TEST(Target, WhatNamesNoHostIsRefused) {
  for (const char* text : {"ftp://a/", "http:///a", "http://", "http://:80/", "http://user@a/",
                           "http://localhost@evil.example/"})
    EXPECT_THROW(parse_target(text), ApiError) << text;
}

}  // namespace
}  // namespace malina::serve
