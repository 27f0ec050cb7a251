#include "platform/hub.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace malina::platform {
namespace {

const Url kEndpoint = parse_url("https://hub.example.org/mirror");

PullChooser nobody() {
  return [](std::span<const PullChoice>) -> std::size_t {
    throw base::Error(base::Fault::invalid_argument, "several");
  };
}

HubFile file(std::string path, std::uint64_t size = 10) { return {std::move(path), size, {}}; }

PullPlan plan(const std::string& what, std::vector<HubFile> files,
              const PullChooser& choose = nobody()) {
  return plan_hub(kEndpoint, parse_hub_reference(what), {std::move(files), ""}, choose);
}

TEST(HubReference, IsTakenApart) {
  const auto all = parse_hub_reference("hf:Owner/Repo-1.5@refs/pr/1:sub/a.gguf");
  EXPECT_EQ(all.owner, "Owner");
  EXPECT_EQ(all.repository, "Repo-1.5");
  EXPECT_EQ(all.revision, "refs/pr/1");
  EXPECT_EQ(all.file, "sub/a.gguf");
  EXPECT_EQ(all.text(), "hf:Owner/Repo-1.5@refs/pr/1");
  EXPECT_EQ(parse_hub_reference("hf:a/b").text(), "hf:a/b");
  EXPECT_EQ(parse_hub_reference("hf:a/b").revision, "main");
}

TEST(HubReference, RefusesWhatCouldLeadElsewhere) {
  for (const char* text : {"hf:",         "hf:a",        "hf:a/",       "hf:/b",
                           "hf:a/b/c",    "hf:../b",     "hf:a/..",     "hf:a/b:",
                           "hf:a/b@",     "hf:a/b@../c", "hf:a/b:../c", "hf:a/b:/etc/passwd",
                           "hf:a/b:c//d", "hf:a/b:c\\d", "hf:a/b:c\n",  "hf:a b/c",
                           "hf:a/b?c",    "hf:a/b#c",    "hf:a/%2e%2e", "hf:.a/b",
                           "hf:-a/b",     "hf:a/b..c"})
    EXPECT_THROW(parse_hub_reference(text), base::Error) << text;
  EXPECT_THROW(parse_hub_reference("hf:a/" + std::string(97, 'b')), base::Error);
  EXPECT_THROW(parse_hub_reference("hf:a/b:" + std::string(600, 'b')), base::Error);
}

TEST(HubListing, GivesFilesWithSizeAndDigest) {
  const std::string hex(64, 'a');
  const auto files = parse_listing(
      R"([{"type":"directory","path":"sub"},{"type":"file","path":"a.txt","size":5,"oid":"b"},)"
      R"({"type":"file","path":"sub/m.gguf","size":130,"lfs":{"oid":")" +
          hex + R"(","size":9000,"pointerSize":130}}])",
      "x");
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].path, "a.txt");
  EXPECT_EQ(files[0].size_bytes, 5U);
  EXPECT_FALSE(files[0].digest);
  EXPECT_EQ(files[1].path, "sub/m.gguf");
  EXPECT_EQ(files[1].size_bytes, 9000U);
  EXPECT_EQ(files[1].digest->hex(), hex);
}

TEST(HubListing, RefusesWhatIsBrokenOrHostile) {
  for (const char* text : {"",
                           "{}",
                           "[",
                           "[1]",
                           "null",
                           "<html>",
                           "[{}]",
                           R"([{"path":"a"}])",
                           R"([{"path":1,"size":1}])",
                           R"([{"path":"a","size":-1}])",
                           R"([{"path":"a","size":1.5}])",
                           R"([{"path":"a","size":"1"}])",
                           R"([{"path":"../a","size":1}])",
                           R"([{"path":"/etc/passwd","size":1}])",
                           R"([{"path":"a/../b","size":1}])",
                           R"([{"path":"a\u0000b","size":1}])",
                           R"([{"path":"a\u001b[2J","size":1}])",
                           R"([{"path":"a\\b","size":1}])",
                           R"([{"path":"","size":1}])",
                           R"([{"path":"a//b","size":1}])",
                           R"([{"path":".","size":1}])"})
    EXPECT_THROW(parse_listing(text, "x"), base::Error) << text;
  EXPECT_THROW(parse_listing(std::string(1'000'000, '['), "x"), base::Error);
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += "{\"a\":";
  EXPECT_THROW(parse_listing("[" + nested, "x"), base::Error);
}

TEST(HubListing, FollowsPagesOfTheSameHostOnly) {
  std::vector<std::string> asked;
  const auto get = [&](const Url& url) {
    asked.push_back(url.text());
    const bool first = asked.size() == 1;
    return HubPage{first ? R"([{"path":"a","size":1}])" : R"([{"path":"b","size":2}])",
                   first ? "https://hub.example.org/next?cursor=1" : "", std::string(40, 'c')};
  };
  const auto listing = read_listing(kEndpoint, parse_hub_reference("hf:o/r@refs/pr/1"), get);
  EXPECT_EQ(listing.files.size(), 2U);
  EXPECT_EQ(listing.commit, std::string(40, 'c'));
  EXPECT_EQ(asked.at(0),
            "https://hub.example.org/mirror/api/models/o/r/tree/refs%2Fpr%2F1?recursive=true");
  EXPECT_EQ(asked.at(1), "https://hub.example.org/next?cursor=1");
  const auto reading = [](const std::string& next) {
    read_listing(kEndpoint, parse_hub_reference("hf:o/r"),
                 [&](const Url&) { return HubPage{"[]", next, ""}; });
  };
  EXPECT_THROW(reading("https://other.example.org/"), base::Error);
  EXPECT_THROW(reading("http://hub.example.org/"), base::Error);
  EXPECT_THROW(reading("https://hub.example.org/again"), base::Error);  // without end
}

TEST(HubPlan, TakesTheOnlyGguf) {
  const auto result = plan("hf:o/r", {file("README.md"), file("sub/Tiny 1M.Q4_0.gguf", 7),
                                      file("mmproj-f16.gguf"), file("config.json")});
  ASSERT_EQ(result.files.size(), 1U);
  EXPECT_EQ(result.files[0].url.text(),
            "https://hub.example.org/mirror/o/r/resolve/main/sub/Tiny%201M.Q4_0.gguf");
  EXPECT_EQ(result.files[0].local_name, "model.gguf");
  EXPECT_EQ(result.files[0].size_bytes, 7U);
  EXPECT_EQ(result.name, "tiny-1m");
}

TEST(HubPlan, TakesAllPartsOfASplitOne) {
  const std::vector<HubFile> parts{file("b-00002-of-00002.gguf"), file("b-00001-of-00002.gguf")};
  const auto result = plan("hf:o/r", parts);
  ASSERT_EQ(result.files.size(), 2U);
  EXPECT_EQ(result.files[0].local_name, "model-00001-of-00002.gguf");
  EXPECT_TRUE(result.files[0].url.text().ends_with("/b-00001-of-00002.gguf"));
  EXPECT_EQ(result.name, "b");
  EXPECT_EQ(plan("hf:o/r:b-00002-of-00002.gguf", parts).files.size(), 2U);
  EXPECT_THROW(plan("hf:o/r", {parts[0]}), base::Error);
}

TEST(HubPlan, AsksWhereThereAreSeveral) {
  const std::vector<HubFile> files{file("m.Q4_0.gguf", 4), file("m.Q8_0.gguf", 8)};
  EXPECT_THROW(plan("hf:o/r", files), base::Error);
  std::vector<std::string> offered;
  const auto chosen = plan("hf:o/r@v1", files, [&](std::span<const PullChoice> choices) {
    for (const PullChoice& choice : choices) offered.push_back(choice.what);
    return std::size_t{1};
  });
  EXPECT_EQ(offered, (std::vector<std::string>{"hf:o/r@v1:m.Q4_0.gguf", "hf:o/r@v1:m.Q8_0.gguf"}));
  EXPECT_EQ(chosen.files[0].size_bytes, 8U);
}

TEST(HubPlan, FindsTheNamedOne) {
  const std::vector<HubFile> files{file("x/m.Q4_0.gguf", 4), file("m.Q8_0.gguf", 8),
                                   file("m.Q8_0_L.gguf", 9)};
  EXPECT_EQ(plan("hf:o/r:m.Q8_0.gguf", files).files[0].size_bytes, 8U);
  EXPECT_EQ(plan("hf:o/r:x/m.Q4_0.gguf", files).files[0].size_bytes, 4U);
  EXPECT_EQ(plan("hf:o/r:m.Q4_0.gguf", files).files[0].size_bytes, 4U);
  EXPECT_EQ(plan("hf:o/r:q4_0", files).files[0].size_bytes, 4U);
  EXPECT_THROW(plan("hf:o/r:Q8_0", files), base::Error);
  EXPECT_THROW(plan("hf:o/r:m.Q5_0.gguf", files), base::Error);
}

TEST(HubPlan, TakesWhatASafetensorsModelNeedsUnderNamesOfItsOwn) {
  const auto result =
      plan("hf:o/My_Repo",
           {file("model-00002-of-00002.safetensors"), file("README.md"),
            file("model-00001-of-00002.safetensors"), file("tokenizer.json"), file("config.json"),
            file("model.safetensors.index.json"), file("training_args.bin"),
            file("onnx/model.safetensors"), file("sub/config.json"), file("evil.safetensors")});
  std::vector<std::string> names;
  for (const PlannedFile& each : result.files) names.push_back(each.local_name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "tokenizer.json", "config.json", "model.safetensors.index.json",
                       "model-00002-of-00002.safetensors", "model-00001-of-00002.safetensors"}));
  EXPECT_TRUE(result.is_directory);
  EXPECT_EQ(result.name, "my_repo");
  EXPECT_THROW(plan("hf:o/r", {file("README.md")}), base::Error);
  EXPECT_THROW(plan("hf:o/r", {file("pytorch_model.bin"), file("config.json")}), base::Error);
}

}  // namespace
}  // namespace malina::platform
