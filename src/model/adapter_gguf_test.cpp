#include "model/adapter_gguf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "format/gguf_writer.h"
#include "format/metadata_builder.h"
#include "model/peft.h"

namespace malina::model {
namespace {

using base::Fault;
using std::filesystem::path;

const path kGolden = MALINA_SOURCE_DIR "/tests/golden";

struct Planned {
  math::PlanningDevice device;
  std::shared_ptr<const Model> model;

  explicit Planned(const std::string& name) {
    path file = kGolden / "families" / (name + ".gguf");
    if (!std::filesystem::exists(file)) file = kGolden / "tiny" / (name + ".gguf");
    model = Model::plan(format::Checkpoint::open(file), device);
  }
};

void set_all(AdapterTensors& tensors, const std::function<void(LowRankMatrix&)>& change) {
  for (auto& layer : tensors.layers)
    for (LowRankMatrix& matrix : layer)
      if (matrix) change(matrix);
}

// scale * B of every matrix, which is what decides.
void expect_same_product(const AdapterTensors& a, const AdapterTensors& b) {
  for (std::size_t layer = 0; layer < a.layers.size(); ++layer)
    for (std::size_t i = 0; i < kProjections; ++i) {
      const LowRankMatrix &x = a.layers[layer][i], &y = b.layers[layer][i];
      ASSERT_EQ(x.b.size(), y.b.size()) << "layer " << layer << ", " << i;
      EXPECT_EQ(x.a, y.a);
      for (std::size_t k = 0; k < x.b.size(); ++k)
        EXPECT_NEAR(x.scale() * x.b[k], y.scale() * y.b[k], 1e-6 * std::abs(x.scale() * x.b[k]));
    }
}

class GgufAdapters : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(GgufAdapters, MeanWhatThePeftDirectoriesMean) {
  const auto& [adapter, base] = GetParam();
  const Planned planned(base);
  const AdapterTensors tensors = read_peft(kGolden / "adapters" / adapter, *planned.model).tensors;
  const base::TemporaryDirectory directory;
  const path file = directory.path() / "adapter.gguf";
  write_gguf_adapter(file, tensors, *planned.model, adapter);
  const AdapterTensors back = read_gguf_adapter(file, *planned.model);
  expect_same_product(tensors, back);
  const path again = directory.path() / "again.gguf";
  write_gguf_adapter(again, back, *planned.model, adapter);
  EXPECT_EQ(read_gguf_adapter(again, *planned.model), back);
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufAdapters,
                         testing::Values(std::pair{"llama_all_linear", "untied_f32"},
                                         std::pair{"llama_rslora_patterns", "window_8"},
                                         std::pair{"qwen2_regex", "qwen2"},
                                         std::pair{"phi3_fused", "phi3"},
                                         std::pair{"gemma3_layers_bf16", "gemma3"},
                                         std::pair{"stablelm_excluded", "stablelm"},
                                         std::pair{"mixtral_attention", "mixtral"}));

// llama.cpp divides by the rank alone: the root goes into alpha, and B stays as it is.
TEST(GgufAdapter, HoldsTheRootOfRankStabilisedScales) {
  const Planned planned("untied_f32");
  AdapterTensors tensors = read_peft(kGolden / "adapters/llama_all_linear", *planned.model).tensors;
  set_all(tensors, [](LowRankMatrix& matrix) { matrix.rank_stabilised = true; });
  const base::TemporaryDirectory directory;
  const path file = directory.path() / "adapter.gguf";
  write_gguf_adapter(file, tensors, *planned.model, "tuned");
  const auto checkpoint = format::Checkpoint::open(file);
  EXPECT_EQ(checkpoint->metadata().number("adapter.lora.alpha"), 16);  // 8 * sqrt(4)
  EXPECT_EQ(checkpoint->metadata().text("general.name"), "tuned");
  const AdapterTensors back = read_gguf_adapter(file, *planned.model);
  EXPECT_EQ(back.matrix(0, Projection::query).scale(), 4.0F);
  EXPECT_EQ(back.matrix(0, Projection::query).b, tensors.matrix(0, Projection::query).b);
}

TEST(GgufAdapter, AScaleOfNothingStaysOne) {
  const Planned planned("untied_f32");
  AdapterTensors tensors = read_peft(kGolden / "adapters/llama_all_linear", *planned.model).tensors;
  set_all(tensors, [](LowRankMatrix& matrix) { matrix.alpha = 0; });
  const base::TemporaryDirectory directory;
  write_gguf_adapter(directory.path() / "adapter.gguf", tensors, *planned.model, "none");
  const AdapterTensors back = read_gguf_adapter(directory.path() / "adapter.gguf", *planned.model);
  const LowRankMatrix& matrix = back.matrix(0, Projection::query);
  EXPECT_EQ(matrix.scale() * matrix.b[0], 0.0F);
}

TEST(GgufAdapter, RefusesAHeadAndAnotherBase) {
  const Planned qwen("qwen3"), llama("untied_f32"), other("window_8");
  const base::TemporaryDirectory directory;
  const path file = directory.path() / "adapter.gguf";
  const auto fault_of = [](const std::function<void()>& work) {
    try {
      work();
    } catch (const base::Error& error) {
      return std::pair(error.fault(), std::string(error.what()));
    }
    return std::pair(Fault::internal, std::string("nothing was thrown"));
  };
  const AdapterTensors classifier =
      read_peft(kGolden / "adapters/qwen3_classifier", *qwen.model).tensors;
  EXPECT_EQ(fault_of([&] { write_gguf_adapter(file, classifier, *qwen.model, ""); }).first,
            Fault::unsupported);
  EXPECT_FALSE(std::filesystem::exists(file));
  write_gguf_adapter(file, read_peft(kGolden / "adapters/llama_all_linear", *llama.model).tensors,
                     *llama.model, "");
  EXPECT_EQ(fault_of([&] { read_gguf_adapter(file, *qwen.model); }).first, Fault::invalid_argument);
  EXPECT_EQ(
      fault_of([&] { read_gguf_adapter(kGolden / "tiny/untied_f32.gguf", *llama.model); }).first,
      Fault::unsupported);
}

// One file for each sentence of the contract.
TEST(GgufAdapter, RefusesWhatItDoesNotCompute) {
  const Planned planned("untied_f32");
  const base::TemporaryDirectory directory;
  const path file = directory.path() / "adapter.gguf";
  struct Case {
    const char* tensor;
    std::vector<std::uint64_t> shape;
    const char* words;
    Fault fault;
  };
  const std::uint64_t width = planned.model->sizes().width;
  for (const Case& each :
       {Case{"token_embd.weight.lora_a", {4, 4}, "adapts the embedding", Fault::unsupported},
        Case{"output.weight.lora_a", {width, 4}, "adapts the output layer", Fault::unsupported},
        Case{"blk.0.attn_norm.weight", {width}, "is not of a layer", Fault::unsupported},
        Case{"blk.99.attn_q.weight.lora_a", {width, 4}, "is not of a layer", Fault::unsupported},
        Case{"blk.0.attn_q.weight.lora_a", {width, 4}, "is missing", Fault::corrupt_file}}) {
    format::MetadataBuilder metadata;
    metadata.add_text("general.type", "adapter");
    metadata.add_text("general.architecture", "llama");
    metadata.add_text("adapter.type", "lora");
    metadata.add_number("adapter.lora.alpha", 8);
    const format::TensorPlan plan{each.tensor, math::find_encoding("f32"), each.shape};
    format::GgufWriter writer(file, metadata.build("test"), {&plan, 1});
    std::uint64_t values = 1;
    for (const auto dimension : each.shape) values *= dimension;
    writer.write(std::vector<std::byte>(values * sizeof(float)));
    writer.commit();
    try {
      read_gguf_adapter(file, *planned.model);
      ADD_FAILURE() << each.tensor;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), each.fault) << error.what();
      EXPECT_NE(std::string(error.what()).find(each.words), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace malina::model
