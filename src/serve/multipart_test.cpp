#include "serve/multipart.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "serve/api_error.h"

namespace malina::serve {
namespace {

struct Part {
  PartHead head;
  std::string content;
  bool ended = false;
};

constexpr const char* kType = "multipart/form-data; boundary=b";

// The parts of a body that comes in pieces of so many bytes. Throws as the reader does.
std::vector<Part> parts_of(std::string_view body, std::size_t piece,
                           std::string_view type = kType) {
  std::vector<Part> parts;
  MultipartReader reader(
      type, {.begin = [&](const PartHead& head) { parts.push_back({head, "", false}); },
             .data =
                 [&](std::string_view data) {
                   EXPECT_FALSE(data.empty());
                   parts.back().content += data;
                 },
             .end = [&] { parts.back().ended = true; }});
  for (std::size_t at = 0; at < body.size(); at += piece) reader.feed(body.substr(at, piece));
  reader.finish();
  return parts;
}

std::string refusal(std::string_view body, std::size_t piece, std::string_view type = kType) {
  try {
    parts_of(body, piece, type);
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status, 400U);
    return error.message;
  }
  return "";
}

std::string body_of(std::string_view content) {
  return "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n--b\r\n"
         "Content-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\nContent-Type: "
         "text/csv\r\n\r\n" +
         std::string(content) + "\r\n--b--\r\n";
}

TEST(Multipart, PartsAreTheSameHoweverTheBodyIsCut) {
  for (const std::string content : {"text,label\r\na,b\r\n", "", "\r\n", "\r\n--", "\r\n--a",
                                    "\r\n-\r\n--\r\n--c", "--b", "\r--b\n--b", "a\r\n--B\r\n"}) {
    const std::string body = body_of(content);
    for (std::size_t piece = 1; piece <= body.size(); ++piece) {
      const auto parts = parts_of(body, piece);
      ASSERT_EQ(parts.size(), 2U);
      EXPECT_EQ(parts[0].head.name, "purpose");
      EXPECT_FALSE(parts[0].head.filename);
      EXPECT_EQ(parts[0].content, "fine-tune");
      EXPECT_EQ(parts[1].head.filename, "a.csv");
      EXPECT_EQ(parts[1].content, content) << "in pieces of " << piece;
      EXPECT_TRUE(parts[1].ended);
    }
  }
}

TEST(Multipart, ABoundaryMayStandInQuotesAndWithSpacesAfterIt) {
  const std::string body =
      "--a b\t \r\nContent-Disposition: form-data; name=x\r\n\r\ny\r\n--a b-- \r\n";
  EXPECT_NE(refusal(body, 3, "multipart/form-data; boundary=\"a b\""), "");  // after the end: none
  const std::string good = "--a b\t \r\nContent-Disposition: form-data; name=x\r\n\r\ny\r\n--a b--";
  EXPECT_EQ(parts_of(good, 3, "Multipart/Form-Data;charset=x; BOUNDARY=\"a b\"").at(0).content,
            "y");
}

TEST(Multipart, NamesOfFilesAreReadAsClientsWriteThem) {
  for (const auto& [written, name] : {std::pair<std::string, std::string>{R"("a.csv")", "a.csv"},
                                      {R"(a.csv)", "a.csv"},
                                      {R"("C:\data\a.csv")", R"(C:\data\a.csv)"},
                                      {R"("a\"b.csv")", "a\"b.csv"},
                                      {R"("../../etc/passwd")", "../../etc/passwd"},
                                      {"\"\xc5\xbe.csv\"", "\xc5\xbe.csv"},
                                      {R"("")", ""}})
    EXPECT_EQ(parse_part_head("Content-Disposition: form-data; name=\"file\"; filename=" + written)
                  .filename,
              name);
}

TEST(Multipart, TheTypeOfTheBodyIsChecked) {
  for (const char* type :
       {"", "application/json", "multipart/mixed; boundary=b", "multipart/form-data",
        "multipart/form-data; boundary=", "multipart/form-data; boundary=\"a",
        "multipart/form-data; boundary=\"a \"", "multipart/form-data; boundary=\"a\xc5\"",
        "multipart/form-data; boundary=b; boundary=c"})
    EXPECT_NE(refusal(body_of("x"), 100, type), "") << type;
  EXPECT_NE(refusal(body_of("x"), 100, "multipart/form-data; boundary=" + std::string(71, 'b')),
            "");
}

TEST(Multipart, BrokenBodiesAreRefusedHoweverTheyAreCut) {
  int seen = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(MALINA_SOURCE_DIR "/tests/broken_multipart")) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string body{std::istreambuf_iterator<char>(file), {}};
    for (const std::size_t piece : {1, 2, 3, 7, 64, 1 << 20})
      EXPECT_NE(refusal(body, piece), "") << entry.path().filename() << " in pieces of " << piece;
    ++seen;
  }
  EXPECT_GE(seen, 30);
}

TEST(Multipart, WhatTheSinkThrowsEndsIt) {
  MultipartReader reader(kType, {.begin = [](const PartHead&) {},
                                 .data = [](std::string_view) { throw std::string("full"); },
                                 .end = [] {}});
  EXPECT_THROW(reader.feed(body_of("x")), std::string);
}

}  // namespace
}  // namespace malina::serve
