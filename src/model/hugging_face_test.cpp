#include "model/hugging_face.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "model/architecture.h"
#include "model/model.h"

namespace malina::model {
namespace {

using base::Fault;
using nlohmann::json;
using std::filesystem::path;

const path kGolden = MALINA_SOURCE_DIR "/tests/golden";
const path kDirectories = kGolden / "families_hf";

std::vector<std::string> directory_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kDirectories))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::shared_ptr<const format::Checkpoint> open_twin(const std::string& name) {
  for (const char* folder : {"tiny", "families"})
    if (const path file = kGolden / folder / (name + ".gguf"); std::filesystem::exists(file))
      return format::Checkpoint::open(file);
  ADD_FAILURE() << name << ".gguf is missing";
  return nullptr;
}

std::vector<std::byte> bytes_of(const format::Checkpoint& checkpoint,
                                const format::TensorInfo& tensor) {
  std::vector<std::byte> bytes(tensor.bytes);
  checkpoint.read(tensor, 0, bytes);
  return bytes;
}

std::vector<float> values_of(const format::Checkpoint& checkpoint,
                             const format::TensorInfo& tensor) {
  const auto bytes = bytes_of(checkpoint, tensor);
  std::vector<float> values(tensor.rows() * tensor.columns());
  tensor.encoding->decode(bytes.data(), values.size(), values.data());
  return values;
}

class Twin : public testing::TestWithParam<std::string> {};

// Everything that the file says of the model stands in the directory's metadata too.
TEST_P(Twin, HasTheMetadataOfTheFile) {
  const auto directory = open_hugging_face(kDirectories / GetParam());
  const auto file = open_twin(GetParam());
  for (const auto& entry : file->metadata().entries()) {
    if (entry.key.starts_with("tokenizer.") || entry.key == "general.name" ||
        entry.key == "general.license" || entry.key == "general.quantization_version")
      continue;
    const auto* own = directory->metadata().find(entry.key);
    ASSERT_NE(own, nullptr) << entry.key;
    if (std::holds_alternative<std::string_view>(entry.value)) {
      EXPECT_EQ(std::get<std::string_view>(*own), std::get<std::string_view>(entry.value));
    } else if (std::holds_alternative<double>(entry.value)) {
      EXPECT_EQ(std::get<double>(*own), std::get<double>(entry.value)) << entry.key;
    } else if (std::holds_alternative<std::uint64_t>(entry.value)) {
      EXPECT_EQ(std::get<std::uint64_t>(*own), std::get<std::uint64_t>(entry.value)) << entry.key;
    } else {
      EXPECT_EQ(std::get<bool>(*own), std::get<bool>(entry.value)) << entry.key;
    }
    const auto entries = directory->metadata().entries();
    const auto place = std::find_if(entries.begin(), entries.end(),
                                    [&](const auto& other) { return other.key == entry.key; });
    EXPECT_EQ(place->stored, entry.stored) << entry.key;
  }
}

TEST_P(Twin, HasTheTensorsOfTheFile) {
  const auto directory = open_hugging_face(kDirectories / GetParam());
  const auto file = open_twin(GetParam());
  EXPECT_EQ(directory->tensors().size(), file->tensors().size());
  for (const auto& tensor : file->tensors()) {
    const auto* own = directory->find(tensor.name);
    ASSERT_NE(own, nullptr) << tensor.name;
    EXPECT_EQ(own->shape, tensor.shape) << tensor.name;
    if (tensor.name == "rope_freqs.weight") {  // the power may differ in its last bit
      const auto values = values_of(*directory, *own), wanted = values_of(*file, tensor);
      for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_FLOAT_EQ(values[i], wanted[i]);
    } else if (own->encoding == tensor.encoding) {
      EXPECT_EQ(bytes_of(*directory, *own), bytes_of(*file, tensor)) << tensor.name;
    } else {  // the directory may be more precise than the file, with the same values
      EXPECT_EQ(own->encoding->name, "f32") << tensor.name;
      EXPECT_EQ(values_of(*directory, *own), values_of(*file, tensor)) << tensor.name;
    }
  }
}

// Any part of a tensor is that part of the whole, also where rows are put in another order.
TEST_P(Twin, IsReadInPieces) {
  const auto directory = open_hugging_face(kDirectories / GetParam());
  for (const auto& tensor : directory->tensors()) {
    const auto whole = bytes_of(*directory, tensor);
    for (const std::size_t piece : {std::size_t{7}, std::size_t{130}, std::size_t{4096}}) {
      if (tensor.bytes > 20000 && piece == 7) continue;
      std::vector<std::byte> joined(whole.size());
      for (std::size_t first = 0; first < whole.size(); first += piece)
        directory->read(tensor, first,
                        std::span(joined).subspan(first, std::min(piece, whole.size() - first)));
      EXPECT_EQ(joined, whole) << tensor.name << " in pieces of " << piece;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(HuggingFace, Twin, testing::ValuesIn(directory_names()));

// A copy of a directory whose config.json was changed.
class Changed {
 public:
  Changed(const std::string& name, const std::function<void(json&)>& change) {
    for (const auto& entry : std::filesystem::directory_iterator(kDirectories / name))
      std::filesystem::copy_file(entry.path(), directory() / entry.path().filename());
    std::ifstream stream(kDirectories / name / "config.json");
    json config = json::parse(stream);
    change(config);
    std::ofstream(directory() / "config.json") << config.dump();
  }

  path directory() const { return folder_.path(); }
  std::shared_ptr<const format::Checkpoint> open() const { return open_hugging_face(directory()); }

 private:
  base::TemporaryDirectory folder_;
};

void expect_refused(const Changed& changed, Fault fault, const std::string& words) {
  try {
    const auto checkpoint = changed.open();
    math::PlanningDevice device;
    Model::plan(checkpoint, device);
    ADD_FAILURE() << "not refused: " << words;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), fault) << error.what();
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    EXPECT_TRUE(std::string(error.what()).starts_with(changed.directory().string()))
        << error.what();
  }
}

void expect_refused(const std::string& name, const std::function<void(json&)>& change, Fault fault,
                    const std::string& words) {
  expect_refused(Changed(name, change), fault, words);
}

TEST(HuggingFace, OldFormOfTheRotaryKeysIsRead) {
  const Changed old("gemma3", [](json& config) {
    config.erase("rope_parameters");
    config.erase("layer_types");
    config["rope_theta"] = 5e5;
    config["rope_local_base_freq"] = 2e4;
    config["rope_scaling"] = {{"type", "linear"}, {"factor", 8.0}};
    config["sliding_window_pattern"] = 6;
  });
  const auto checkpoint = old.open();
  const auto& metadata = checkpoint->metadata();
  EXPECT_EQ(metadata.number("gemma3.rope.freq_base"), 5e5);
  EXPECT_EQ(metadata.number("gemma3.rope.freq_base_swa"), 2e4);
  EXPECT_EQ(metadata.text("gemma3.rope.scaling.type"), "linear");
  EXPECT_EQ(metadata.number("gemma3.rope.scaling.factor"), 8);
}

TEST(HuggingFace, BothFormsOfTheRotaryKeysAreOne) {
  const Changed old("rope_llama3", [](json& config) {
    json rope = config["rope_parameters"];
    config.erase("rope_parameters");
    config["rope_theta"] = rope["rope_theta"];
    rope.erase("rope_theta");
    config["rope_scaling"] = rope;
  });
  const auto checkpoint = old.open(), twin = open_hugging_face(kDirectories / "rope_llama3");
  EXPECT_EQ(bytes_of(*checkpoint, *checkpoint->find("rope_freqs.weight")),
            bytes_of(*twin, *twin->find("rope_freqs.weight")));
}

TEST(HuggingFace, AbsentKeysMeanWhatTheClassMeans) {
  const Changed mistral("window_8", [](json& config) {
    config.erase("sliding_window");
    config.erase("rope_parameters");
    config.erase("rms_norm_eps");
  });
  const auto checkpoint = mistral.open();
  const auto& metadata = checkpoint->metadata();
  EXPECT_EQ(metadata.integer("llama.attention.sliding_window"), 4096);
  EXPECT_EQ(metadata.number("llama.rope.freq_base"), 1e4);
  EXPECT_FLOAT_EQ(static_cast<float>(*metadata.number("llama.attention.layer_norm_rms_epsilon")),
                  1e-6F);
  const Changed none("window_8", [](json& config) { config["sliding_window"] = nullptr; });
  EXPECT_EQ(none.open()->metadata().integer("llama.attention.sliding_window"), 0);
}

TEST(HuggingFace, WindowOfQwenIsSwitched) {
  const auto window = [](bool on, int first) {
    const Changed qwen("qwen2", [&](json& config) {
      config.erase("layer_types");
      config["use_sliding_window"] = on;
      config["sliding_window"] = 16;
      config["max_window_layers"] = first;
    });
    return qwen.open()->metadata().integer("qwen2.attention.sliding_window");
  };
  EXPECT_EQ(window(false, 0), 0);
  EXPECT_EQ(window(true, 0), 16);
  EXPECT_EQ(window(true, 2), 0);
  EXPECT_THROW(window(true, 1), base::Error);
}

TEST(HuggingFace, TieFlagAgainstTheFilesIsSaid) {
  EXPECT_TRUE(open_hugging_face(kDirectories / "tied_bf16")->warnings().empty());
  EXPECT_TRUE(open_hugging_face(kDirectories / "qwen3")->warnings().empty());
  const Changed untied("tied_bf16", [](json& config) { config["tie_word_embeddings"] = false; });
  ASSERT_EQ(untied.open()->warnings().size(), 1u);
  EXPECT_EQ(untied.open()->find("output.weight"), nullptr);
  const Changed tied("qwen3", [](json& config) { config["tie_word_embeddings"] = true; });
  ASSERT_EQ(tied.open()->warnings().size(), 1u);
  const auto checkpoint = tied.open();
  EXPECT_EQ(checkpoint->warnings()[0],
            "config.json says that the output matrix is the embedding (tie_word_embeddings), but "
            "model.safetensors holds lm_head.weight: that one is used");
  EXPECT_NE(checkpoint->find("output.weight"), nullptr);
}

TEST(HuggingFace, UnknownClassIsRefusedWithTheNearest) {
  expect_refused(
      "tied_bf16", [](json& config) { config["architectures"] = {"Llama4ForCausalLM"}; },
      Fault::unsupported,
      "model class 'Llama4ForCausalLM' is not one that malina runs; the nearest that it runs is "
      "LlamaForCausalLM");
  expect_refused(
      "tied_bf16", [](json& config) { config["architectures"] = {"T5"}; }, Fault::unsupported,
      "malina runs; those are Gemma3ForCausalLM");
  expect_refused(
      "tied_bf16", [](json& config) { config.erase("architectures"); }, Fault::corrupt_file,
      "has no \"architectures\"");
}

TEST(HuggingFace, WhatTheFamilyDoesNotDoIsRefused) {
  const auto refused = [](const std::string& name, const char* key, const json& value,
                          const std::string& words) {
    expect_refused(name, [&](json& config) { config[key] = value; }, Fault::unsupported, words);
  };
  refused("tied_bf16", "quantization_config", {{"quant_method", "gptq"}}, "quantised by 'gptq'");
  refused("tied_bf16", "hidden_act", "relu", "the activation is 'relu'");
  refused("phi2", "qk_layernorm", true, "qk_layernorm is 'true'");
  refused("gemma3", "final_logit_softcapping", 30.0, "final_logit_softcapping is '30.0'");
  refused("gemma3", "query_pre_attn_scalar", 64, "query_pre_attn_scalar is 64");
}

TEST(HuggingFace, LayersOfAnotherOrderAreRefused) {
  expect_refused(
      "gemma3", [](json& config) { config["layer_types"][0] = "full_attention"; },
      Fault::unsupported, "of 7 layers have a sliding window");
  expect_refused(
      "gemma3", [](json& config) { config["layer_types"][0] = "chunked_attention"; },
      Fault::unsupported, "chunked_attention");
  expect_refused(
      "gemma3", [](json& config) { config["layer_types"].erase(0); }, Fault::corrupt_file,
      "layer_types is not a list of 7 entries");
}

TEST(HuggingFace, ScalingThatIsNotRunIsRefusedWhereSizesAreRead) {
  const Changed yarn("tied_bf16", [](json& config) {
    config["rope_parameters"]["rope_type"] = "yarn";
    config["rope_parameters"]["factor"] = 4.0;
  });
  EXPECT_EQ(yarn.open()->metadata().text("llama.rope.scaling.type"), "yarn");
  expect_refused(yarn, Fault::unsupported, "'yarn'");
}

TEST(HuggingFace, SizesThatContradictAreRefused) {
  const auto refused = [](const char* key, const json& value, const std::string& words) {
    expect_refused(
        "tied_bf16", [&](json& config) { config[key] = value; }, Fault::corrupt_file, words);
  };
  refused("hidden_size", "64", "hidden_size is");
  refused("hidden_size", 0, "hidden_size is 0, outside of 1 to");
  refused("hidden_size", nullptr, "has no hidden_size");
  refused("num_hidden_layers", 3, "tensor 'model.layers.2.");
  refused("num_hidden_layers", 100000, "num_hidden_layers is 100000");
  refused("num_attention_heads", 5, "not an even number for each of 5 heads");
  refused("vocab_size", 284, "vocab_size in config.json is 284");
  refused("rms_norm_eps", 0, "rms_norm_eps is 0, not above 0");
  refused("rms_norm_eps", -1e-5, "rms_norm_eps");
  refused("intermediate_size", 33, "shape");
  expect_refused(
      "tied_bf16", [](json& config) { config["num_hidden_layers"] = 1; }, Fault::unsupported,
      "is not one that family llama of 1 layers has");
}

// The header of a safetensors file with another text; offsets count from its end and stay.
void rename_tensors(const path& file, const std::function<json(const json&)>& change) {
  std::ifstream input(file, std::ios::binary);
  std::uint64_t length = 0;
  input.read(reinterpret_cast<char*>(&length), sizeof length);
  std::string header(length, '\0');
  input.read(header.data(), static_cast<std::streamsize>(length));
  const std::string data(std::istreambuf_iterator<char>(input), {});
  header = change(json::parse(header)).dump();
  length = header.size();
  std::ofstream output(file, std::ios::binary | std::ios::trunc);
  output.write(reinterpret_cast<const char*>(&length), sizeof length);
  output << header << data;
}

// Both ways in which models that see name their text's tensors.
TEST(HuggingFace, TextOfAModelThatSeesIsRead) {
  const auto twin = open_hugging_face(kDirectories / "gemma3");
  for (const std::string body : {"language_model.model.", "model.language_model."}) {
    const Changed seeing("gemma3", [](json& config) {
      config = {{"architectures", {"Gemma3ForConditionalGeneration"}},
                {"text_config", config},
                {"vision_config", {{"hidden_size", 1152}}}};
    });
    rename_tensors(seeing.directory() / "model.safetensors", [&](const json& header) {
      json renamed;
      for (const auto& [name, entry] : header.items())
        renamed[name.starts_with("model.") ? body + name.substr(6) : name] = entry;
      renamed[(body.starts_with("model.") ? "model.vision_tower." : "vision_tower.") +
              std::string("patches.weight")] = {
          {"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
      return renamed;
    });
    const auto checkpoint = seeing.open();
    ASSERT_EQ(checkpoint->tensors().size(), twin->tensors().size()) << body;
    for (const auto& tensor : twin->tensors())
      EXPECT_EQ(bytes_of(*checkpoint, *checkpoint->find(tensor.name)), bytes_of(*twin, tensor))
          << tensor.name;
    EXPECT_TRUE(checkpoint->warnings().empty());
  }
}

TEST(HuggingFace, WeightsInAnotherFormAreToldOf) {
  const Changed pickle("tied_bf16", [](json&) {});
  std::filesystem::rename(pickle.directory() / "model.safetensors",
                          pickle.directory() / "pytorch_model.bin");
  expect_refused(pickle, Fault::unsupported, "are a Python pickle, which malina does not read");
  const Changed none("tied_bf16", [](json&) {});
  std::filesystem::remove(none.directory() / "model.safetensors");
  expect_refused(none, Fault::not_found, "has neither model.safetensors nor");
}

}  // namespace
}  // namespace malina::model
