// The first steps of a training job, for comparison with PyTorch and PEFT (bench/compare_peft):
//
//   tune_steps MODEL.gguf DATA.csv STEPS THREADS [FOLDER [exact|fast]]
//
// trains a LoRA adapter (rank 16, all linear layers) and a classification head on the texts of a
// file with labels, and prints as JSON the loss of each step, positions a second without the first
// step, and the greatest memory of the process. With FOLDER it writes there what the peer needs to
// compute the same: batches.json (token ids and classes by step) and start.safetensors (A of each
// matrix and the head, as they were drawn; B is zero).
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/tokenizer.h"
#include "tune/example_reader.h"
#include "tune/trainer.h"

namespace malina::tune {
namespace {

using Json = nlohmann::ordered_json;

struct Data {
  std::vector<TrainingExample> examples;
  std::size_t classes = 0;
};

Data read(const char* path, const text::Tokenizer& tokenizer) {
  Data data;
  std::map<std::string, std::int32_t> classes;
  ExampleReader reader(path);
  while (auto row = reader.next()) {
    const Classification& row_content = *std::get<Example>(*row).classification();
    const auto label =
        classes.emplace(row_content.labels.at(0), static_cast<std::int32_t>(classes.size()));
    TrainingExample example{.tokens = tokenizer.encode(row_content.text)};
    example.tokens.push_back(*tokenizer.eos());
    example.targets.assign(example.tokens.size(), -1);
    example.targets.back() = label.first->second;
    data.examples.push_back(std::move(example));
  }
  data.classes = classes.size();
  return data;
}

// Tensors as float32 in one safetensors file.
void write_safetensors(
    const std::string& path,
    const std::vector<std::tuple<std::string, std::size_t, std::size_t, std::span<const float>>>&
        tensors) {
  Json header;
  std::size_t offset = 0;
  for (const auto& [name, rows, columns, values] : tensors) {
    header[name] = {{"dtype", "F32"},
                    {"shape", {rows, columns}},
                    {"data_offsets", {offset, offset + values.size_bytes()}}};
    offset += values.size_bytes();
  }
  const std::string text = header.dump();
  const std::uint64_t size = text.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), sizeof(size));
  file << text;
  for (const auto& [name, rows, columns, values] : tensors)
    file.write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(values.size_bytes()));
}

void write_start(const std::string& folder, Trainer& trainer, std::size_t classes,
                 std::size_t width) {
  static constexpr const char* kNames[] = {
      "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
      "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
  std::vector<std::tuple<std::string, std::size_t, std::size_t, std::span<const float>>> tensors;
  for (const auto& matrix : trainer.adapter().matrices())
    if (!matrix.is_b)
      tensors.emplace_back(
          fmt::format("layers.{}.{}", matrix.layer,
                      kNames[static_cast<std::size_t>(matrix.projection)]),
          matrix.rows, matrix.columns,
          trainer.adapter().parameters().subspan(matrix.offset, matrix.rows * matrix.columns));
  tensors.emplace_back("score", classes, width, trainer.head().parameters());
  write_safetensors(folder + "/start.safetensors", tensors);
}

int run(int count, char** arguments) {
  const auto checkpoint = format::Checkpoint::open(arguments[1]);
  const auto tokenizer = text::Tokenizer::create(checkpoint->metadata());
  const Data data = read(arguments[2], *tokenizer);
  base::ThreadPool pool(static_cast<unsigned>(std::stoul(arguments[4])));
  math::CpuDevice device(pool);
  const auto model = model::Model::load(checkpoint, device, pool);
  Recipe recipe;
  if (count > 6 && std::string_view(arguments[6]) == "fast")
    recipe.precision = math::Precision::fast;
  Trainer trainer(model, device, recipe, data.classes, data.examples);
  const std::size_t steps = std::stoul(arguments[3]);
  if (count > 5) {
    write_start(arguments[5], trainer, data.classes, model->sizes().width);
    Json batches = Json::array();
    for (std::size_t step = 0; step < steps; ++step) {
      Json batch = Json::array();
      for (const std::size_t index : trainer.batch_of(step))
        batch.push_back({data.examples[index].tokens, data.examples[index].targets.back()});
      batches.push_back(std::move(batch));
    }
    std::ofstream(std::string(arguments[5]) + "/batches.json")
        << Json{{"classes", data.classes}, {"steps", trainer.steps()}, {"batches", batches}};
  }
  Json losses = Json::array();
  std::size_t positions = 0;
  auto begin = std::chrono::steady_clock::now();
  for (std::size_t step = 0; step < steps; ++step) {
    const StepReport report = trainer.run_step();
    losses.push_back(report.loss);
    if (step == 0)
      begin = std::chrono::steady_clock::now();
    else
      positions += report.positions;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::cout << Json{{"losses", losses},
                    {"positions", positions},
                    {"seconds", seconds.count()},
                    {"positions_per_second", static_cast<double>(positions) / seconds.count()},
                    {"memory_mb", static_cast<double>(usage.ru_maxrss) / 1024}}
            << '\n';
  return 0;
}

}  // namespace
}  // namespace malina::tune

int main(int count, char** arguments) {
  if (count < 5) {
    std::cerr << "tune_steps MODEL.gguf DATA.csv STEPS THREADS [FOLDER [exact|fast]]\n";
    return 2;
  }
  try {
    return malina::tune::run(count, arguments);
  } catch (const malina::base::Error& error) {
    std::cerr << "tune_steps: " << error.what() << '\n';
    return 1;
  }
}
