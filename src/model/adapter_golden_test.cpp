// The adapters of tests/golden/adapters against what Hugging Face Transformers and PEFT computed
// with them, and their files against those that malina writes of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/temporary_directory.h"
#include "format/safetensors.h"
#include "model/peft.h"
#include "model/transformer.h"

namespace malina::model {
namespace {

using std::filesystem::path;

const path kGolden = MALINA_SOURCE_DIR "/tests/golden";
const path kAdapters = kGolden / "adapters";

std::vector<std::string> adapter_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kAdapters))
    if (entry.is_directory()) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

path model_file(const std::string& name) {
  const path family = kGolden / "families" / (name + ".gguf");
  return std::filesystem::exists(family) ? family : kGolden / "tiny" / (name + ".gguf");
}

std::vector<float> read_floats(const path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::vector<float> values(std::filesystem::file_size(file) / sizeof(float));
  stream.read(reinterpret_cast<char*>(values.data()),
              static_cast<std::streamsize>(values.size() * sizeof(float)));
  EXPECT_TRUE(stream) << file;
  return values;
}

std::vector<std::byte> read_bytes(const path& file) {
  const base::File opened = base::File::open(file);
  std::vector<std::byte> bytes(opened.size());
  opened.read_at(0, bytes);
  return bytes;
}

class GoldenAdapter : public testing::TestWithParam<std::string> {
 protected:
  GoldenAdapter() {
    std::ifstream stream(kAdapters / (GetParam() + ".json"));
    index_ = nlohmann::json::parse(stream);
    model_ = Model::load(format::Checkpoint::open(model_file(index_.at("model"))), device_, pool_);
    peft_ = read_peft(kAdapters / GetParam(), *model_);
  }

  // Logits of every token, or of the labels where there is a head.
  std::vector<float> compute(const std::shared_ptr<const Adapter>& adapter,
                             math::Precision precision) {
    const std::vector<std::int32_t> tokens = index_.at("tokens");
    const auto kind = precision == math::Precision::exact ? math::KvType::f32 : math::KvType::f16;
    PagePool pages(device_, model_->sizes(), kind, tokens.size());
    Sequence sequence(pages);
    sequence.adapter = adapter;
    Transformer transformer(model_, device_, {.precision = precision});
    const ClassificationHead& head = peft_.tensors.head;
    const bool last_only = peft_.tensors.task == AdapterTask::sequence_classification;
    std::vector<Row> rows;
    for (std::size_t i = 0; i < tokens.size(); ++i)
      rows.push_back({.token = tokens[i],
                      .sequence = &sequence,
                      .wants = !head                                ? Wants::logits
                               : last_only && i + 1 < tokens.size() ? Wants::nothing
                                                                    : Wants::hidden});
    std::vector<float> results;
    const auto keep = [&](const Output& output) {
      const float* values = math::host_floats(output.values);
      results.insert(results.end(), values, values + output.values.rows * output.values.columns);
    };
    transformer.forward(rows, keep, keep);
    return head ? classified(results, head) : results;
  }

  static std::vector<float> classified(const std::vector<float>& states,
                                       const ClassificationHead& head) {
    std::vector<float> logits;
    for (std::size_t row = 0; row < states.size() / head.width; ++row)
      for (std::size_t label = 0; label < head.labels; ++label) {
        double sum = head.bias.empty() ? 0 : head.bias[label];
        for (std::size_t i = 0; i < head.width; ++i)
          sum += static_cast<double>(head.weight[label * head.width + i]) *
                 states[row * head.width + i];
        logits.push_back(static_cast<float>(sum));
      }
    return logits;
  }

  base::ThreadPool pool_{2};
  math::CpuDevice device_{pool_, math::selected_isa()};
  nlohmann::json index_;
  std::shared_ptr<const Model> model_;
  PeftAdapter peft_;
};

TEST_P(GoldenAdapter, ExactLogitsAreTheReferences) {
  const auto expected = read_floats(kAdapters / (GetParam() + ".f32"));
  const auto logits = compute(to_adapter(peft_.tensors, "", device_), math::Precision::exact);
  ASSERT_EQ(logits.size(), expected.size());
  const double tolerance = 2e-4 * std::max(1.0, index_.at("max_abs_logit").get<double>());
  double without = 0;
  const auto base = compute(nullptr, math::Precision::exact);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(logits[i], expected[i], tolerance) << "at " << i;
    without = std::max(without, std::abs(static_cast<double>(base[i]) - expected[i]));
  }
  EXPECT_GT(without, 100 * tolerance) << "the adapter changes too little to be seen";
}

// What PEFT saved in float32 is written again byte for byte: names, order, header and values.
TEST_P(GoldenAdapter, IsWrittenAsPeftWroteIt) {
  const base::TemporaryDirectory directory;
  const path copy = directory.path() / "copy";
  write_peft(copy, peft_.tensors, *model_, {});
  EXPECT_EQ(read_peft(copy, *model_).tensors, peft_.tensors);
  const path file = kAdapters / GetParam() / "adapter_model.safetensors";
  const auto tensors = format::SafetensorsModel::open_file(file);
  if (tensors.tensors().front().type != "F32") return;
  EXPECT_TRUE(read_bytes(copy / "adapter_model.safetensors") == read_bytes(file));
}

INSTANTIATE_TEST_SUITE_P(Golden, GoldenAdapter, testing::ValuesIn(adapter_names()));

TEST(GoldenAdapters, AreOfEveryFamily) { EXPECT_EQ(adapter_names().size(), 9u); }

}  // namespace
}  // namespace malina::model
