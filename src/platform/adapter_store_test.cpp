// Adapters in the store, in memory beside their base, and merged.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "platform/adapter_export.h"
#include "platform/adapter_file.h"
#include "platform/model_pool.h"
#include "platform/model_store.h"
#include "platform/platform.h"

namespace malina::platform {
namespace {

using base::Fault;
using std::filesystem::path;

const path kGolden = MALINA_SOURCE_DIR "/tests/golden";
const path kBase = kGolden / "tiny/untied_f32.gguf";
const path kAdapter = kGolden / "adapters/llama_all_linear";

ImportRequest import_of(const path& file, const std::string& base,
                        const std::optional<std::string>& name = {}) {
  ImportRequest request;
  request.file = file;
  request.base = base;
  request.name = name;
  return request;
}

MergeRequest merge_to(const path& output) {
  MergeRequest request;
  request.output = output;
  return request;
}

class Adapters : public testing::Test {
 protected:
  Adapters() { platform_.import_model(import_of(kBase, "", "base")); }

  // A copy of the golden adapter whose scale tells it from others.
  path copy(const std::string& name, double alpha = 8) const {
    const path target = folder_.path() / name;
    std::filesystem::copy(kAdapter, target);
    std::ifstream stream(kAdapter / "adapter_config.json");
    auto config = nlohmann::json::parse(stream);
    config["lora_alpha"] = alpha;
    std::ofstream(target / "adapter_config.json") << config;
    return target;
  }
  ModelRecord add(const std::string& name, double alpha = 8) {
    return platform_.import_model(import_of(copy(name, alpha), "base")).model;
  }

  static CompletionRequest request() {
    CompletionRequest request;
    request.text = "hello the world";
    request.max_tokens = 16;
    request.sampling.temperature = 0;
    request.origin.cache_scope = "all";
    return request;
  }
  std::string answer(const std::string& model, bool exact = false) {
    RunOptions options;
    options.threads = 2;
    options.exact = exact;
    return platform_.load(model, options)->complete(request()).text;
  }

  base::TemporaryDirectory folder_;
  Platform platform_{folder_.path() / "home"};
};

template <typename Call>
base::Error error_of(Call call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {Fault::internal, ""};
}

TEST_F(Adapters, StandBesideTheirBaseWithAllTheirFiles) {
  const path source = copy("support");
  for (const char* name : {"malina.json", "README.md", "optimizer.pt", ".hidden"})
    std::ofstream(source / name) << "x";
  const ModelRecord record = platform_.import_model(import_of(source, "base")).model;
  EXPECT_EQ(record.name, "base:support");
  EXPECT_EQ(record.encoding, "lora");
  EXPECT_EQ(record.family, "llama");
  std::vector<std::string> names;
  for (const StoredFile& file : record.files) names.push_back(file.path.filename());
  EXPECT_EQ(names, (std::vector<std::string>{"adapter_config.json", "adapter_model.safetensors",
                                             "README.md", "malina.json"}));
  std::filesystem::remove_all(source);
  const ResolvedModel resolved = platform_.resolve("base:support");
  ASSERT_TRUE(resolved.adapter);
  EXPECT_EQ(resolved.adapter->base.name, "base");
  EXPECT_EQ(resolved.record->digest, record.digest);
  EXPECT_EQ(resolved.weights_digest(), resolved.adapter->base.digest);
  EXPECT_EQ(resolved.file, platform_.resolve("base").file);
  EXPECT_EQ(platform_.list_models().size(), 2u);
  EXPECT_TRUE(platform_.verify_model("base:support").intact());
}

TEST_F(Adapters, AnswerUnderTheirBase) {
  add("support");
  EXPECT_NE(answer("base:support"), answer("base"));
  platform_.export_adapter("base:support", "", folder_.path() / "support.gguf");
  platform_.import_model(import_of(folder_.path() / "support.gguf", "base", "as-gguf"));
  EXPECT_EQ(answer("base:as-gguf", true), answer("base:support", true));
}

TEST_F(Adapters, KeepTheirBaseInTheStore) {
  add("support");
  EXPECT_EQ(error_of([&] { platform_.remove_model("base"); }).fault(), Fault::invalid_argument);
  platform_.remove_model("base:support");
  EXPECT_TRUE(platform_.remove_model("base").files_deleted);
  EXPECT_TRUE(platform_.list_models().empty());
}

TEST_F(Adapters, AreRefusedWhereTheyCannotRun) {
  EXPECT_EQ(error_of([&] { platform_.import_model(import_of(kAdapter, "")); }).fault(),
            Fault::invalid_argument);
  EXPECT_EQ(error_of([&] { platform_.import_model(import_of(kAdapter, "nobody")); }).fault(),
            Fault::not_found);
  EXPECT_EQ(error_of([&] { platform_.import_model(import_of(kBase, "base")); }).fault(),
            Fault::invalid_argument);
  EXPECT_EQ(
      error_of([&] { platform_.import_model(import_of(kAdapter, "base", "other:x")); }).fault(),
      Fault::invalid_argument);
  platform_.import_model(import_of(kGolden / "families/qwen3.gguf", "", "qwen"));
  EXPECT_EQ(error_of([&] { platform_.import_model(import_of(kAdapter, "qwen")); }).fault(),
            Fault::corrupt_file);
  EXPECT_EQ(error_of([&] { platform_.resolve(kAdapter.string()); }).fault(),
            Fault::invalid_argument);
  EXPECT_EQ(platform_.list_models().size(), 2u);
}

TEST_F(Adapters, MergeIsComparedAndBlockedWhereItLoses) {
  add("support");
  const path merged = folder_.path() / "merged.gguf";
  const MergeReport report = platform_.merge_adapter("base:support", "", merge_to(merged));
  EXPECT_LT(report.parity.lost, 1e-4);
  EXPECT_EQ(report.parity.same_token, report.parity.positions);
  EXPECT_EQ(answer(merged.string(), true), answer("base:support", true));
  const path directory = folder_.path() / "merged";
  platform_.merge_adapter("base:support", "", merge_to(directory));
  EXPECT_EQ(answer(directory.string(), true), answer("base:support", true));
  // A change that is small beside the steps of 4 bits.
  add("small", 0.02);
  MergeRequest lossy = merge_to(folder_.path() / "lossy.gguf");
  lossy.type = "q4_0";
  EXPECT_EQ(error_of([&] { platform_.merge_adapter("base:small", "", lossy); }).fault(),
            Fault::unsupported);
  EXPECT_FALSE(std::filesystem::exists(lossy.output));
  lossy.force = true;
  EXPECT_GT(platform_.merge_adapter("base:small", "", lossy).parity.lost, MergeParity::kMostLost);
  EXPECT_TRUE(std::filesystem::exists(lossy.output));
}

// Waits as a server does.
ModelPool::Lease lease_of(ModelPool& pool, const ResolvedModel& model) {
  for (int i = 0; i < 30'000; ++i) {
    if (auto lease = pool.acquire(model)) return *std::move(lease);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  throw base::Error(Fault::internal, "the model was not loaded");
}

TEST_F(Adapters, AreManyInOneBatchOfOneEngine) {
  std::vector<std::string> names{"base"};
  for (int i = 0; i < 4; ++i) names.push_back(add("a" + std::to_string(i), 4 + 4 * i).name);
  std::vector<std::string> expected;
  for (const std::string& name : names) expected.push_back(answer(name));
  Processor processor(2);
  PoolOptions options{.memory_bytes = std::uint64_t{1} << 30, .run = {}};
  options.run.context = 64;
  options.run.parallel = 16;
  ModelPool pool(processor, options);
  std::vector<ModelPool::Lease> leases;
  std::vector<std::unique_ptr<Answer>> answers;
  for (int round = 0; round < 3; ++round)
    for (const std::string& name : names) {
      leases.push_back(lease_of(pool, platform_.resolve(name)));
      EXPECT_EQ(leases.back().digest, platform_.resolve(name).record->digest);
      LanguageModel& model = *leases.back().model;
      answers.push_back(std::move(model.start(model.prepare(request())).front()));
    }
  EXPECT_EQ(pool.models().size(), 1u) << "one engine for all";
  for (std::size_t i = 0; i < answers.size(); ++i) {
    while (!answers[i]->ended())
      if (answers[i]->wait_for(std::chrono::milliseconds(50))) answers[i]->poll();
    EXPECT_EQ(answers[i]->result().text, expected[i % names.size()]) << names[i % names.size()];
  }
  answers.clear();
  const std::uint64_t with_adapters = pool.models().at(0).memory_bytes;
  pool.keep(leases.front(), std::chrono::seconds(100));
  leases.clear();
  EXPECT_GT(with_adapters, 0u);
}

TEST_F(Adapters, OneThatCannotBeReadDoesNotHarmItsBase) {
  const ModelRecord record = add("broken");
  ResolvedModel resolved = platform_.resolve("base:broken");
  resolved.adapter->place = folder_.path() / "nowhere";
  Processor processor(2);
  PoolOptions options{.memory_bytes = std::uint64_t{1} << 30, .run = {}};
  options.run.context = 64;
  ModelPool pool(processor, options);
  EXPECT_EQ(error_of([&] { lease_of(pool, resolved); }).fault(), Fault::not_found);
  const auto lease = lease_of(pool, platform_.resolve("base"));
  EXPECT_EQ(lease.model->complete(request()).text, answer("base"));
}

}  // namespace
}  // namespace malina::platform
