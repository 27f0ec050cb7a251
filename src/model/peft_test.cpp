#include "model/peft.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "base/temporary_directory.h"
#include "format/safetensors_writer.h"
#include "model/peft_layout.h"

namespace malina::model {
namespace {

using base::Fault;
using std::filesystem::path;

struct Planned {
  math::PlanningDevice device;
  std::shared_ptr<const Model> model;

  explicit Planned(const std::string& name) {
    path file = path(MALINA_SOURCE_DIR "/tests/golden/families") / (name + ".gguf");
    if (!std::filesystem::exists(file))
      file = path(MALINA_SOURCE_DIR "/tests/golden/tiny") / (name + ".gguf");
    model = Model::plan(format::Checkpoint::open(file), device);
  }
};

LowRankMatrix drawn(const math::Slice& weight, std::size_t rank, double alpha,
                    base::Random& random) {
  LowRankMatrix matrix{.rank = rank,
                       .inputs = weight.columns,
                       .outputs = weight.rows,
                       .alpha = alpha,
                       .a = std::vector<float>(rank * weight.columns),
                       .b = std::vector<float>(weight.rows * rank)};
  for (float& value : matrix.a) value = random.uniform(-1, 1);
  for (float& value : matrix.b) value = random.uniform(-1, 1);
  return matrix;
}

AdapterTensors drawn_for(const Model& model, std::size_t rank = 4) {
  AdapterTensors tensors;
  base::Random random(7);
  tensors.layers.resize(model.layers().size());
  for (std::size_t layer = 0; layer < tensors.layers.size(); ++layer)
    for (std::size_t i = 0; i < kProjections; ++i)
      if (const auto& weight = weight_of(model.layers()[layer], static_cast<Projection>(i)))
        tensors.layers[layer][i] = drawn(weight, rank, 8, random);
  return tensors;
}

void set_all(AdapterTensors& tensors, const std::function<void(LowRankMatrix&)>& change) {
  for (auto& layer : tensors.layers)
    for (LowRankMatrix& matrix : layer)
      if (matrix) change(matrix);
}

nlohmann::json config_of(const path& directory) {
  std::ifstream stream(directory / "adapter_config.json");
  return nlohmann::json::parse(stream);
}

class PeftFamilies : public testing::TestWithParam<std::string> {};

TEST_P(PeftFamilies, ComeBackBitForBit) {
  const Planned planned(GetParam());
  const base::TemporaryDirectory directory;
  const AdapterTensors tensors = drawn_for(*planned.model);
  write_peft(directory.path() / "adapter", tensors, *planned.model, {.base_name = "tiny"});
  const PeftAdapter back = read_peft(directory.path() / "adapter", *planned.model);
  EXPECT_EQ(back.tensors, tensors);
  EXPECT_EQ(back.base_name, "tiny");
  EXPECT_TRUE(back.warnings.empty());
}

INSTANTIATE_TEST_SUITE_P(Peft, PeftFamilies,
                         testing::Values("untied_f32", "window_8", "qwen2", "qwen3", "phi2", "phi3",
                                         "gemma3", "stablelm", "mixtral"));

TEST(Peft, KeepsRanksScalesLayersAndTheHead) {
  const Planned planned("qwen3");
  const base::TemporaryDirectory directory;
  AdapterTensors tensors = drawn_for(*planned.model);
  set_all(tensors, [](LowRankMatrix& matrix) { matrix.rank_stabilised = true; });
  base::Random random(9);
  tensors.matrix(0, Projection::query) = drawn(planned.model->layers()[0].query, 7, 2.5, random);
  tensors.matrix(0, Projection::query).rank_stabilised = true;
  tensors.matrix(1, Projection::down) = {};
  tensors.task = AdapterTask::token_classification;
  tensors.head = {.labels = 3,
                  .width = planned.model->sizes().width,
                  .weight = std::vector<float>(3 * planned.model->sizes().width, 0.5F),
                  .bias = {1, 2, 3}};
  write_peft(directory.path() / "adapter", tensors, *planned.model,
             {.model_card = "# Card\n", .extra = {{"malina.json", "{}"}}});
  EXPECT_EQ(read_peft(directory.path() / "adapter", *planned.model).tensors, tensors);
  const auto config = config_of(directory.path() / "adapter");
  EXPECT_EQ(config.at("r"), 4);
  EXPECT_EQ(config.at("use_rslora"), true);
  EXPECT_EQ(config.at("task_type"), "TOKEN_CLS");
  EXPECT_EQ(config.at("rank_pattern"), nlohmann::json({{"layers.0.self_attn.q_proj", 7}}));
  EXPECT_EQ(config.at("alpha_pattern"), nlohmann::json({{"layers.0.self_attn.q_proj", 2.5}}));
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "adapter/README.md"));
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "adapter/malina.json"));
}

TEST(Peft, MixedWaysOfScalingBecomeOne) {
  const Planned planned("qwen2");
  const base::TemporaryDirectory directory;
  AdapterTensors tensors = drawn_for(*planned.model);
  tensors.matrix(1, Projection::up).rank_stabilised = true;
  write_peft(directory.path() / "adapter", tensors, *planned.model, {});
  const AdapterTensors back = read_peft(directory.path() / "adapter", *planned.model).tensors;
  EXPECT_FALSE(back.matrix(1, Projection::up).rank_stabilised);
  EXPECT_FLOAT_EQ(back.matrix(1, Projection::up).scale(), 4.0F);
  EXPECT_EQ(back.matrix(1, Projection::up).b, tensors.matrix(1, Projection::up).b);
}

// One A of a fused matrix stays one: no rank is added, and the file comes back as it was.
TEST(Peft, AFusedMatrixOfOneAKeepsItsRank) {
  const Planned planned("phi3");
  AdapterTensors tensors = drawn_for(*planned.model);
  for (auto& layer : tensors.layers) {
    layer[1].a = layer[2].a = layer[0].a;
    layer[5].a = layer[4].a;
  }
  const base::TemporaryDirectory directory;
  write_peft(directory.path() / "adapter", tensors, *planned.model, {});
  EXPECT_EQ(read_peft(directory.path() / "adapter", *planned.model).tensors, tensors);
  EXPECT_EQ(config_of(directory.path() / "adapter").at("r"), 4);
}

TEST(Peft, APartOfAFusedMatrixMayBeMissing) {
  const Planned planned("phi3");
  AdapterTensors tensors = drawn_for(*planned.model);
  for (auto& layer : tensors.layers) layer[0] = layer[5] = {};
  const base::TemporaryDirectory directory;
  write_peft(directory.path() / "adapter", tensors, *planned.model, {});
  const AdapterTensors back = read_peft(directory.path() / "adapter", *planned.model).tensors;
  EXPECT_FALSE(back.matrix(0, Projection::query));
  EXPECT_EQ(back.matrix(0, Projection::gate), tensors.matrix(0, Projection::gate));
  EXPECT_EQ(back.matrix(0, Projection::key).rank, 8u);  // with the value's, which it shares A with
}

// W + scale * B * A of the fused matrix is that of its parts, rows in the directory's order.
TEST(Peft, FusedMatricesMeanTheSame) {
  for (const char* name : {"phi3", "untied_f32"}) {
    const Planned planned(name);
    AdapterTensors tensors = drawn_for(*planned.model);
    for (const LinearModule& module : linear_modules(planned.model->architecture())) {
      const LowRankMatrix whole =
          fused(tensors, 0, module, *planned.model, RowOrder::of_the_directory);
      const auto order = their_row_order(module, planned.model->sizes(), whole.outputs);
      std::size_t first_row = 0;
      for (const Projection part : module.parts) {
        const LowRankMatrix& own = tensors.matrix(0, part);
        for (std::size_t row = 0; row < own.outputs; ++row) {
          const std::size_t source = order.empty() ? row : order[row];
          for (const std::size_t column : {std::size_t{0}, own.inputs - 1}) {
            double ours = 0, theirs = 0;
            for (std::size_t r = 0; r < own.rank; ++r)
              ours += own.scale() * own.b[source * own.rank + r] * own.a[r * own.inputs + column];
            for (std::size_t r = 0; r < whole.rank; ++r)
              theirs += whole.scale() * whole.b[(first_row + row) * whole.rank + r] *
                        whole.a[r * whole.inputs + column];
            EXPECT_NEAR(ours, theirs, 1e-5) << module.theirs << " row " << row;
          }
        }
        first_row += own.outputs;
      }
    }
  }
}

TEST(Peft, AnExistingFolderIsNotTouched) {
  const Planned planned("qwen2");
  const base::TemporaryDirectory directory;
  std::filesystem::create_directory(directory.path() / "adapter");
  try {
    write_peft(directory.path() / "adapter", drawn_for(*planned.model), *planned.model, {});
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), Fault::already_exists);
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path() / "adapter"));
}

TEST(Peft, WhatDoesNotFitIsNotWritten) {
  const Planned planned("qwen2"), other("phi2");
  const base::TemporaryDirectory directory;
  AdapterTensors infinite = drawn_for(*planned.model);
  infinite.matrix(0, Projection::up).b[3] = std::numeric_limits<float>::infinity();
  for (const AdapterTensors& tensors : {infinite, drawn_for(*other.model)}) try {
      write_peft(directory.path() / "adapter", tensors, *planned.model, {});
      ADD_FAILURE();
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), Fault::invalid_argument) << error.what();
    }
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "adapter"));
}

}  // namespace
}  // namespace malina::model
