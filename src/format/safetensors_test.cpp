#include "format/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <string>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "format/json_reader.h"

namespace malina::format {
namespace {

std::string file_of(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + data;
}

void write(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

constexpr const char* kHeader = R"({"y":{"dtype":"I64","shape":[1],"data_offsets":[6,14]},)"
                                R"("x":{"dtype":"BF16","shape":[3,1],"data_offsets":[0,6]}})";

TEST(Safetensors, TensorsStandInTheOrderOfTheirData) {
  const std::string file = file_of(kHeader, "0123456789abcd");
  const auto tensors = parse_safetensors(std::as_bytes(std::span(file)), "m", file.size());
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "x");
  EXPECT_EQ(tensors[0].type, "BF16");
  EXPECT_EQ(tensors[0].encoding->name, "bf16");
  EXPECT_EQ(tensors[0].shape, (std::vector<std::uint64_t>{3, 1}));
  EXPECT_EQ(tensors[0].offset, file.size() - 14);
  EXPECT_EQ(tensors[1].encoding, nullptr);
  EXPECT_EQ(tensors[1].bytes, 8u);
}

TEST(Safetensors, ShardsAreReadAsOneModel) {
  const base::TemporaryDirectory directory;
  const auto folder = directory.path();
  write(folder / "1.safetensors",
        file_of(R"({"b":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", "BBBB"));
  write(folder / "2.safetensors",
        file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "AAAA"));
  write(folder / "model.safetensors.index.json",
        R"({"metadata":{"total_size":8},"weight_map":{"a":"2.safetensors","b":"1.safetensors"}})");
  const auto model = SafetensorsModel::open(folder);
  ASSERT_EQ(model.tensors().size(), 2u);
  EXPECT_EQ(model.tensors()[0].name, "a");
  EXPECT_EQ(model.file_name(model.tensors()[0]), (folder / "2.safetensors").string());
  ASSERT_EQ(model.paths().size(), 3u);
  EXPECT_EQ(model.paths()[2].filename(), "model.safetensors.index.json");
  std::string bytes(2, '\0');
  model.read(*model.find("b"), 1, std::as_writable_bytes(std::span(bytes)));
  EXPECT_EQ(bytes, "BB");
  EXPECT_EQ(model.find("c"), nullptr);
}

TEST(Safetensors, FileThatWasCutIsNoticed) {
  const base::TemporaryDirectory directory;
  const auto path = directory.path() / "model.safetensors";
  write(path, file_of(kHeader, "0123456789abcd"));
  const auto model = SafetensorsModel::open(directory.path());
  model.check();
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  EXPECT_THROW(model.check(), base::Error);
  std::vector<std::byte> bytes(8);
  EXPECT_THROW(model.read(*model.find("y"), 0, bytes), base::Error);
}

void expect_refused(std::string_view text, base::Fault fault, const std::string& message,
                    const JsonLimits& limits = {}) {
  try {
    parse_json(text, "x.json", limits);
    ADD_FAILURE() << "not refused: " << text;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), fault);
    EXPECT_EQ(error.what(), message);
  }
}

TEST(JsonReader, RefusesWithTheByte) {
  EXPECT_EQ(parse_json(R"({"a":[1,{"b":null}],"c":"d"})", "x").dump(),
            R"({"a":[1,{"b":null}],"c":"d"})");
  expect_refused("{\"a\":]", base::Fault::corrupt_file, "x.json: it is not valid JSON, at byte 6");
  expect_refused(R"({"a":1,"a":2})", base::Fault::corrupt_file,
                 "x.json: key 'a' stands twice in one object");
  expect_refused("[[1]]", base::Fault::unsupported,
                 "x.json: its values are nested more than 1 deep", {.depth = 1});
  expect_refused("[1,2]", base::Fault::unsupported, "x.json: it holds more than 2 values",
                 {.values = 2});
  expect_refused("[1,2]", base::Fault::unsupported,
                 "x.json: it has 5 bytes, more than the 4 that such a file may have", {.bytes = 4});
}

}  // namespace
}  // namespace malina::format
