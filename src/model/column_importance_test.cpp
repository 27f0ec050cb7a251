#include "model/column_importance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "model/transformer.h"

namespace malina::model {
namespace {

std::shared_ptr<const format::Checkpoint> family(const std::string& name) {
  return format::Checkpoint::open(std::string(MALINA_SOURCE_DIR) + "/tests/golden/families/" +
                                  name + ".gguf");
}

std::vector<std::vector<std::int32_t>> windows() {
  std::vector<std::vector<std::int32_t>> result(3);
  for (std::int32_t i = 0; i < 70; ++i)
    result[static_cast<std::size_t>(i) / 32].push_back(i * 37 % 250);
  return result;
}

ColumnImportance measure(const std::string& name, unsigned threads = 2) {
  base::ThreadPool pool(threads);
  ObservingDevice device(pool);
  const auto model = Model::load(family(name), device, pool);
  return measure_importance(model, device, windows(), {});
}

TEST(ColumnImportance, EveryMatrixThatTheTextGoesThroughHasIt) {
  for (const std::string name : {"qwen2", "qwen3", "phi2", "phi3", "mixtral", "gemma3"}) {
    const auto checkpoint = family(name);
    const ColumnImportance importance = measure(name);
    const bool tied = checkpoint->find("output.weight") == nullptr;
    for (const auto& tensor : checkpoint->tensors()) {
      const bool matrix = tensor.shape.size() > 1 && (tied || tensor.name != "token_embd.weight");
      const std::size_t slices = tensor.shape.size() > 2 ? tensor.shape[2] : 1;
      const auto found = importance.of(tensor.name);
      ASSERT_EQ(found.size(), matrix ? slices * tensor.columns() : 0) << name << " " << tensor.name;
      if (!matrix) continue;
      EXPECT_GT(*std::ranges::max_element(found), 0) << name << " " << tensor.name;
      EXPECT_GE(*std::ranges::min_element(found), 0) << name << " " << tensor.name;
    }
  }
}

TEST(ColumnImportance, OfTheHeadItIsTheMeanSquareOfItsInput) {
  base::ThreadPool pool(1);
  math::CpuDevice device(pool);
  const auto model = Model::load(family("qwen3"), device, pool);
  Transformer transformer(model, device, {.context = 64});
  std::vector<double> squares(model->sizes().width);
  std::size_t rows = 0;
  for (const auto& window : windows()) {
    PagePool pages(device, model->sizes(), math::KvType::f16, 128);
    Sequence sequence(pages);
    std::vector<Row> batch;
    for (const auto token : window) batch.push_back({token, &sequence, Wants::hidden});
    transformer.forward(batch, {}, [&](const Output& output) {
      for (std::size_t row = 0; row < output.rows.size(); ++row, ++rows)
        for (std::size_t i = 0; i < squares.size(); ++i) {
          const double value = math::host_floats(output.values)[row * output.values.stride + i];
          squares[i] += value * value;
        }
    });
  }
  ASSERT_EQ(rows, 70U);
  const ColumnImportance importance = measure("qwen3");
  for (std::size_t i = 0; i < squares.size(); ++i)
    EXPECT_NEAR(importance.of("output.weight")[i], squares[i] / 70, 1e-5 * squares[i]) << i;
}

TEST(ColumnImportance, MatricesWithOneInputHaveTheSame) {
  const ColumnImportance importance = measure("qwen3");
  EXPECT_TRUE(std::ranges::equal(importance.of("blk.1.attn_q.weight"),
                                 importance.of("blk.1.attn_v.weight")));
  EXPECT_FALSE(std::ranges::equal(importance.of("blk.1.attn_q.weight"),
                                  importance.of("blk.1.ffn_up.weight")));
}

// Which rows an expert gets is its own: no two have the same sums.
TEST(ColumnImportance, ExpertsHaveTheirOwn) {
  const ColumnImportance importance = measure("mixtral");
  const auto up = importance.of("blk.0.ffn_up_exps.weight");
  const std::size_t columns = up.size() / 4;
  for (std::size_t i = 1; i < 4; ++i)
    EXPECT_FALSE(std::ranges::equal(up.first(columns), up.subspan(i * columns, columns))) << i;
  EXPECT_TRUE(std::ranges::equal(up, importance.of("blk.0.ffn_gate_exps.weight")));
}

TEST(ColumnImportance, DoesNotDependOnTheNumberOfThreads) {
  const ColumnImportance one = measure("mixtral", 1), three = measure("mixtral", 3);
  const auto checkpoint = family("mixtral");
  for (const auto& tensor : checkpoint->tensors())
    EXPECT_TRUE(std::ranges::equal(one.of(tensor.name), three.of(tensor.name))) << tensor.name;
}

TEST(ColumnImportance, ProgressMayStopIt) {
  base::ThreadPool pool(1);
  ObservingDevice device(pool);
  const auto model = Model::load(family("qwen2"), device, pool);
  const auto stop = [](std::size_t) { throw base::Error(base::Fault::cancelled, "stopped"); };
  EXPECT_THROW(measure_importance(model, device, windows(), stop), base::Error);
}

}  // namespace
}  // namespace malina::model
