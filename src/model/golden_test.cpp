// The tiny models of tests/golden against what Hugging Face Transformers computed with them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <tuple>

#include "model/hugging_face.h"
#include "model/transformer.h"

namespace malina::model {
namespace {

const std::filesystem::path kFolders[] = {MALINA_SOURCE_DIR "/tests/golden/tiny",
                                          MALINA_SOURCE_DIR "/tests/golden/families"};

std::filesystem::path golden_file(const std::string& name) {
  for (const auto& folder : kFolders)
    if (std::filesystem::exists(folder / name)) return folder / name;
  ADD_FAILURE() << name << " is missing";
  return {};
}

struct Prompt {
  std::vector<std::int32_t> tokens;
  std::vector<float> logits;  // [tokens, vocab]
  std::vector<float> normed;  // [tokens, width], after the final norm; empty in most
};

struct Golden {
  std::shared_ptr<const format::Checkpoint> checkpoint;
  double max_abs_logit;
  std::vector<Prompt> prompts;
};

std::vector<float> read_floats(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::vector<float> values(std::filesystem::file_size(path) / sizeof(float));
  stream.read(reinterpret_cast<char*>(values.data()),
              static_cast<std::streamsize>(values.size() * sizeof(float)));
  EXPECT_TRUE(stream) << path;
  return values;
}

// tests/golden/make_tiny_models.py says what the files hold.
Golden read_golden(const std::string& name, std::size_t vocab, std::size_t width,
                   std::size_t layers) {
  std::ifstream stream(golden_file(name + ".json"));
  const auto index = nlohmann::json::parse(stream);
  const auto values = read_floats(golden_file(name + ".f32"));
  const auto part = [&](std::size_t first, std::size_t count) {
    EXPECT_LE(first + count, values.size());
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first);
    return std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(count));
  };
  Golden golden{.checkpoint = nullptr, .max_abs_logit = index.at("max_abs_logit"), .prompts = {}};
  for (const auto& entry : index.at("prompts")) {
    Prompt prompt{.tokens = entry.at("tokens"), .logits = {}, .normed = {}};
    const std::size_t count = prompt.tokens.size();
    prompt.logits = part(entry.at("logits"), count * vocab);
    if (entry.contains("hidden")) {
      const std::size_t hidden = entry.at("hidden");
      prompt.normed = part(hidden + (layers + 1) * count * width, count * width);
    }
    golden.prompts.push_back(std::move(prompt));
  }
  return golden;
}

struct Settings {
  math::Precision precision;
  math::KvType kv_type;
  std::size_t rows = 512;  // of one forward pass
};
constexpr Settings kExact{math::Precision::exact, math::KvType::f32};
constexpr Settings kDefault{math::Precision::fast, math::KvType::f16};

// One tiny model on one instruction set, and its golden values.
class Loaded {
 public:
  Loaded(const std::string& name, math::Isa isa, const LoadOptions& options = {})
      : Loaded(name, format::Checkpoint::open(golden_file(name + ".gguf")), isa, options) {}
  Loaded(const std::string& name, std::shared_ptr<const format::Checkpoint> checkpoint,
         math::Isa isa, const LoadOptions& options = {})
      : device_(pool_, isa),
        model_(Model::load(std::move(checkpoint), device_, pool_, options)),
        golden_(read_golden(name, sizes().vocab, sizes().width, sizes().layers)) {}

  const Sizes& sizes() const { return model_->sizes(); }
  const Golden& golden() const { return golden_; }

  bool quantises_activations() {
    const auto isa = static_cast<std::size_t>(device_.context().isa);
    return model_->layers()[0].query.encoding->products[isa]->quantized != nullptr;
  }

  std::vector<float> compute(const Prompt& prompt, Wants wants, const Settings& settings) {
    PagePool pages(device_, sizes(), settings.kv_type, prompt.tokens.size());
    Sequence sequence(pages);
    sequence.long_context = prompt.tokens.size() > sizes().short_context;
    Transformer transformer(model_, device_, {.precision = settings.precision});
    std::vector<float> results;
    const auto keep = [&](const Output& output) {
      const float* values = math::host_floats(output.values);
      results.insert(results.end(), values, values + output.values.rows * output.values.columns);
    };
    for (std::size_t first = 0; first < prompt.tokens.size(); first += settings.rows) {
      const std::size_t end = std::min(first + settings.rows, prompt.tokens.size());
      std::vector<Row> rows;
      for (std::size_t i = first; i < end; ++i)
        rows.push_back({.token = prompt.tokens[i], .sequence = &sequence, .wants = wants});
      transformer.forward(rows, keep, keep);
    }
    return results;
  }

 private:
  base::ThreadPool pool_{2};
  math::CpuDevice device_;
  std::shared_ptr<const Model> model_;
  Golden golden_;
};

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(difference <= largest)) largest = difference;  // a NaN stays
  }
  return largest;
}

// Root mean square of the difference, relative to that of `expected`.
double relative_difference(const std::vector<float>& actual, const std::vector<float>& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double difference = 0;
  double size = 0;
  for (std::size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
    difference += std::pow(static_cast<double>(actual[i]) - expected[i], 2);
    size += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(difference / size);
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& folder : kFolders)
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      if (entry.path().extension() == ".gguf") names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

using Parameter = std::tuple<std::string, math::Isa>;
class TinyModel : public testing::TestWithParam<Parameter> {
 protected:
  static Loaded load() { return {std::get<0>(GetParam()), std::get<1>(GetParam())}; }
};

TEST_P(TinyModel, ExactLogitsAreTheReferences) {
  Loaded loaded = load();
  const double tolerance = 2e-4 * std::max(1.0, loaded.golden().max_abs_logit);
  for (const Prompt& prompt : loaded.golden().prompts)
    EXPECT_LE(largest_difference(loaded.compute(prompt, Wants::logits, kExact), prompt.logits),
              tolerance);
}

TEST_P(TinyModel, ExactLogitsAreTheSameTokenByToken) {
  Loaded loaded = load();
  Settings settings = kExact;
  settings.rows = 1;
  const Prompt& prompt = loaded.golden().prompts[0];
  EXPECT_EQ(loaded.compute(prompt, Wants::logits, settings),
            loaded.compute(prompt, Wants::logits, kExact));
}

// The default mode rounds keys and values to half precision, and activations to 8 bits where the
// weights are quantised. These models are so small that this noise hardly averages out: a float64
// forward pass with nothing but that rounding differs by up to 0.040 (q8_0, mxfp4).
TEST_P(TinyModel, DefaultLogitsAreNearTheReferences) {
  Loaded loaded = load();
  const double tolerance = loaded.quantises_activations() ? 5e-2 : 2e-3;
  for (const Prompt& prompt : loaded.golden().prompts)
    EXPECT_LE(relative_difference(loaded.compute(prompt, Wants::logits, kDefault), prompt.logits),
              tolerance);
}

TEST_P(TinyModel, HiddenStatesAreTheReferences) {
  Loaded loaded = load();
  for (const Prompt& prompt : loaded.golden().prompts) {
    if (prompt.normed.empty()) continue;
    const auto states = loaded.compute(prompt, Wants::hidden, kExact);
    EXPECT_LE(largest_difference(states, prompt.normed), 2e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, TinyModel,
                         testing::Combine(testing::ValuesIn(golden_names()),
                                          testing::ValuesIn(math::available_isas())),
                         [](const auto& parameter) {
                           return std::get<0>(parameter.param) + "_on_" +
                                  std::string(math::name(std::get<1>(parameter.param)));
                         });

// The same models as directories of safetensors (tests/golden/make_tiny_hugging_face.py).
const std::filesystem::path kDirectories = MALINA_SOURCE_DIR "/tests/golden/families_hf";

std::vector<std::string> directory_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kDirectories))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

class TinyDirectory : public testing::TestWithParam<std::string> {};

TEST_P(TinyDirectory, ExactLogitsAreTheReferencesAndTheFilesOwn) {
  Loaded loaded(GetParam(), open_hugging_face(kDirectories / GetParam()), math::selected_isa());
  Loaded file(GetParam(), math::selected_isa());
  const double tolerance = 2e-4 * std::max(1.0, loaded.golden().max_abs_logit);
  for (const Prompt& prompt : loaded.golden().prompts) {
    const auto logits = loaded.compute(prompt, Wants::logits, kExact);
    EXPECT_LE(largest_difference(logits, prompt.logits), tolerance);
    EXPECT_EQ(logits, file.compute(prompt, Wants::logits, kExact));
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, TinyDirectory, testing::ValuesIn(directory_names()));

TEST(GoldenModels, CoverTheFamilies) { EXPECT_EQ(golden_names().size(), 28u); }

TEST(GoldenModels, NeedTheirWindow) {
  Loaded windowed("window_8", math::selected_isa());
  Loaded unlimited("window_8", math::selected_isa(), {.window = 0, .progress = {}});
  EXPECT_EQ(windowed.sizes().window(), 8u);
  EXPECT_EQ(unlimited.sizes().window(), 0u);
  const Prompt& prompt = windowed.golden().prompts[0];
  EXPECT_GT(largest_difference(unlimited.compute(prompt, Wants::logits, kExact), prompt.logits), 1);
}

}  // namespace
}  // namespace malina::model
