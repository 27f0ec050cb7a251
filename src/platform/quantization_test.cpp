// Every family through every encoding: what the quantised model answers is as far from the original
// as its weights are. The families' golden files are narrow, so K-quants fall back on blocks of 32;
// widened copies have rows of 256.
#include "platform/quantization.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/temporary_directory.h"
#include "base/thread_pool.h"
#include "format/gguf_writer.h"
#include "model/transformer.h"
#include "platform/model_file.h"

namespace malina::platform {
namespace {

constexpr std::uint64_t kWidth = 256;
constexpr std::size_t kTokens = 24;

std::vector<std::filesystem::path> families() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(MALINA_SOURCE_DIR) +
                                                               "/tests/golden/families"))
    if (entry.path().extension() == ".gguf") files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

// A model of the same family and head width with rows of 256 in all its matrices, random weights.
class Widened {
 public:
  explicit Widened(const std::filesystem::path& file)
      : checkpoint_(format::Checkpoint::open(file)), family_(family(*checkpoint_)) {
    const std::uint64_t heads = number("attention.head_count");
    const std::uint64_t kv_heads = number("attention.head_count_kv");
    head_width_ = checkpoint_->metadata().contains(family_ + ".attention.key_length")
                      ? number("attention.key_length")
                      : number("embedding_length") / heads;
    heads_ = kWidth / head_width_;
    kv_heads_ = heads == kv_heads ? heads_ : heads_ / 4;
  }

  void write(const std::filesystem::path& target) const {
    std::vector<format::TensorPlan> plans;
    for (const auto& tensor : checkpoint_->tensors())
      plans.push_back({tensor.name, math::find_encoding("f32"), shape(tensor)});
    format::GgufWriter writer(target, metadata(), plans);
    for (const auto& plan : plans) {
      const std::vector<float> values = values_of(plan);
      writer.write(std::as_bytes(std::span(values)));
    }
    writer.commit();
  }

 private:
  std::uint64_t number(const std::string& key) const {
    return std::get<std::uint64_t>(*checkpoint_->metadata().find(family_ + "." + key));
  }
  format::Metadata metadata() const {
    const std::pair<std::string, std::uint64_t> replaced[] = {
        {"embedding_length", kWidth},          {"feed_forward_length", kWidth},
        {"attention.head_count", heads_},      {"attention.head_count_kv", kv_heads_},
        {"attention.key_length", head_width_}, {"attention.value_length", head_width_}};
    format::Metadata result;
    for (const auto& entry : checkpoint_->metadata().entries())
      if (std::ranges::none_of(
              replaced, [&](const auto& key) { return entry.key == family_ + "." + key.first; }))
        result.add(entry.key, entry.value, entry.stored);
    for (const auto& [key, value] : replaced) result.add(family_ + "." + key, value);
    return result;
  }
  // Rows of a matrix, values of a vector.
  std::uint64_t outputs(const std::string& name, std::uint64_t old) const {
    const auto has = [&](const char* part) { return name.find(part) != name.npos; };
    if (has("_norm.") && (has("attn_q_") || has("attn_k_"))) return head_width_;
    if (has("attn_k.") || has("attn_v.")) return kv_heads_ * head_width_;
    if (has("attn_qkv.")) return kWidth + 2 * kv_heads_ * head_width_;
    if (has("ffn_up.")) return old / number("feed_forward_length") * kWidth;
    if (has("token_embd") || name.starts_with("output.") || has("ffn_gate_inp") || has("rope_"))
      return old;
    return kWidth;
  }
  std::vector<std::uint64_t> shape(const format::TensorInfo& tensor) const {
    std::vector<std::uint64_t> result = tensor.shape;
    if (result.size() > 1) result[0] = kWidth;
    const std::size_t last = std::min<std::size_t>(1, result.size() - 1);
    result[last] = outputs(tensor.name, result[last]);
    return result;
  }
  std::vector<float> values_of(const format::TensorPlan& plan) const {
    std::uint64_t count = 1;
    for (const auto size : plan.shape) count *= size;
    std::vector<float> values(count);
    if (plan.name.starts_with("rope_")) {
      checkpoint_->read(*checkpoint_->find(plan.name), 0,
                        std::as_writable_bytes(std::span(values)));
      return values;
    }
    const bool matrix = plan.shape.size() > 1;
    const bool factor = !matrix && plan.name.ends_with(".weight");
    std::mt19937 random(static_cast<unsigned>(std::hash<std::string>()(plan.name)));
    std::normal_distribution<float> normal(factor ? 1.0F : 0.0F, matrix ? 0.0625F : 0.1F);
    for (float& value : values) value = normal(random);
    return values;
  }

  std::shared_ptr<const format::Checkpoint> checkpoint_;
  std::string family_;
  std::uint64_t head_width_ = 0, heads_ = 0, kv_heads_ = 0;
};

// Logits [token][vocabulary] of a fixed text.
std::vector<std::vector<float>> logits(const std::filesystem::path& file) {
  base::ThreadPool pool(1);
  math::CpuDevice device(pool);
  const auto model = model::Model::load(format::Checkpoint::open(file), device, pool);
  model::Transformer transformer(model, device,
                                 {.precision = math::Precision::exact, .context = 64});
  model::PagePool pages(device, model->sizes(), math::KvType::f32, 128);
  model::Sequence sequence(pages);
  std::vector<model::Row> rows;
  for (std::size_t i = 0; i < kTokens; ++i)
    rows.push_back({static_cast<std::int32_t>(i * 37 % 250), &sequence, model::Wants::logits});
  std::vector<std::vector<float>> result;
  transformer.forward(rows, [&](const model::Output& output) {
    for (std::size_t row = 0; row < output.rows.size(); ++row) {
      const float* first = math::host_floats(output.values) + row * output.values.stride;
      result.emplace_back(first, first + output.values.columns);
    }
  });
  return result;
}

// The median over tokens. Where experts are chosen, tokens may turn to another one, and those after
// them hear of it: there the token that is nearest.
double distance(const std::vector<std::vector<float>>& found,
                const std::vector<std::vector<float>>& expected, bool experts) {
  std::vector<double> errors;
  for (std::size_t token = 0; token < expected.size(); ++token) {
    double difference = 0, square = 0;
    for (std::size_t i = 0; i < expected[token].size(); ++i) {
      const double error = found[token][i] - expected[token][i];
      difference += error * error;
      square += double{expected[token][i]} * expected[token][i];
    }
    errors.push_back(std::sqrt(difference / square));
  }
  std::ranges::sort(errors);
  return errors[experts ? 0 : errors.size() / 2];
}

class Families : public testing::TestWithParam<std::filesystem::path> {
 protected:
  void check(const std::filesystem::path& file, bool wide) const {
    const auto expected = logits(file);
    const bool experts = file.string().find("mixtral") != std::string::npos ||
                         GetParam().string().find("mixtral") != std::string::npos;
    for (const std::string& encoding : quantization_encodings()) {
      const auto target = folder_.path() / (encoding + ".gguf");
      const QuantizeReport report = quantize_model({.label = "", .file = file, .record = {}},
                                                   {.output = target, .encoding = encoding}, {});
      double error = 1e-4;
      bool used = false;
      for (const auto& tensor : report.tensors) {
        error = std::max(error, tensor.error);
        used = used || tensor.to == encoding;
      }
      EXPECT_TRUE(!wide || used) << encoding;
      EXPECT_LT(distance(logits(target), expected, experts), 7 * error) << encoding;
    }
  }
  const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  base::TemporaryDirectory folder_;
};

TEST_P(Families, AnswerAsFarFromTheOriginalAsTheirWeightsAre) { check(GetParam(), false); }

TEST_P(Families, WithRowsOf256TheyUseBlocksOf256) {
  const auto wide = folder() / "wide.gguf";
  Widened(GetParam()).write(wide);
  check(wide, true);
}

INSTANTIATE_TEST_SUITE_P(, Families, testing::ValuesIn(families()),
                         [](const auto& parameter) { return parameter.param.stem().string(); });

}  // namespace
}  // namespace malina::platform
