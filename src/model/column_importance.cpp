#include "model/column_importance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/transformer.h"

namespace malina::model {

namespace {

constexpr std::size_t kColumnsOfTask = 256;

bool is_product(std::string_view operation) { return operation == math::Linear::kName; }

}  // namespace

std::span<const float> ColumnImportance::of(const std::string& tensor) const {
  const auto found = columns_.find(tensor);
  return found == columns_.end() ? std::span<const float>() : found->second;
}

ObservingDevice::Sums& ObservingDevice::sums(const math::Slice& weight) {
  Sums& found = sums_[{weight.buffer, weight.offset}];
  found.squares.resize(weight.columns);
  return found;
}

const ObservingDevice::Sums* ObservingDevice::find(const math::Slice& weight) const {
  const auto found = sums_.find({weight.buffer, weight.offset});
  return found == sums_.end() ? nullptr : &found->second;
}

void ObservingDevice::observe(const math::Slice& weight, const math::Slice& input) {
  Sums* const target = &sums(weight);
  add(input, std::span(&target, 1));
}

void ObservingDevice::execute(const Command& command) {
  if (is_product(command.name)) {
    const auto& product = *static_cast<const math::Linear*>(command.operation);
    std::vector<Sums*> targets;
    for (const auto& part : product.parts) targets.push_back(&sums(part.weight));
    add(product.input, targets);
  }
  CpuDevice::execute(command);
}

// Each column is summed by one task, rows ascending: the same sums for any number of threads.
void ObservingDevice::add(const math::Slice& input, std::span<Sums* const> targets) {
  const std::size_t tasks = (input.columns + kColumnsOfTask - 1) / kColumnsOfTask;
  context().pool.run(tasks, [&](std::size_t task) {
    const std::size_t first = task * kColumnsOfTask;
    const std::size_t count = std::min(kColumnsOfTask, input.columns - first);
    double squares[kColumnsOfTask] = {};
    for (std::size_t row = 0; row < input.rows; ++row) {
      const float* values = math::host_floats(input) + row * input.stride + first;
      for (std::size_t i = 0; i < count; ++i) squares[i] += double{values[i]} * values[i];
    }
    for (Sums* const target : targets)
      for (std::size_t i = 0; i < count; ++i) target->squares[first + i] += squares[i];
  });
  for (Sums* const target : targets) target->rows += input.rows;
}

namespace {

void run_window(Transformer& transformer, PagePool& pages, ObservingDevice& device,
                std::span<const std::int32_t> tokens) {
  Sequence sequence(pages);
  for (std::size_t begin = 0; begin < tokens.size(); begin += transformer.max_rows()) {
    const std::size_t end = std::min(begin + transformer.max_rows(), tokens.size());
    std::vector<Row> rows;
    for (std::size_t i = begin; i < end; ++i)
      rows.push_back({.token = tokens[i], .sequence = &sequence, .wants = Wants::hidden});
    // The head's product is left out: its input is all that is asked.
    transformer.forward(rows, {}, [&](const Output& output) {
      device.observe(transformer.model().head(), output.values);
    });
  }
}

// The slices of a tensor one after another, where its rows are several matrices with inputs of
// their own; otherwise all its matrices have the same input, and the first speaks for them.
std::vector<float> importance_of(const Model& model, const ObservingDevice& device,
                                 std::span<const Model::Matrix> matrices) {
  const format::TensorInfo& tensor = *matrices[0].tensor;
  const std::size_t slices = tensor.shape.size() > 2 ? matrices.size() : 1;
  std::vector<float> importance;
  std::uint64_t rows = 0;
  for (const Model::Matrix& matrix : matrices.first(slices)) {
    const auto* sums = device.find(*matrix.slice);
    importance.resize(importance.size() + tensor.columns());
    if (sums == nullptr || sums->rows == 0) continue;
    rows += sums->rows;
    float* target = importance.data() + importance.size() - tensor.columns();
    for (std::size_t i = 0; i < tensor.columns(); ++i) {
      const double mean = sums->squares[i] / static_cast<double>(sums->rows);
      target[i] = static_cast<float>(mean);
      if (!std::isfinite(target[i]))
        throw base::Error(
            base::Fault::corrupt_file,
            fmt::format("{}: what the text makes of the model before tensor {} is not "
                        "finite in column {}",
                        model.checkpoint().files()[0].string(), tensor.name, i));
    }
  }
  if (rows == 0) importance.clear();
  return importance;
}

}  // namespace

ColumnImportance measure_importance(std::shared_ptr<const Model> model, ObservingDevice& device,
                                    std::span<const std::vector<std::int32_t>> windows,
                                    const std::function<void(std::size_t)>& progress) {
  std::size_t longest = 1;
  for (const auto& window : windows) longest = std::max(longest, window.size());
  Transformer transformer(model, device, {.context = longest});
  PagePool pages(device, model->sizes(), math::KvType::f16, longest + transformer.max_rows());
  for (std::size_t i = 0; i < windows.size(); ++i) {
    run_window(transformer, pages, device, windows[i]);
    if (progress) progress(i + 1);
  }
  ColumnImportance result;
  std::map<std::string, std::vector<Model::Matrix>> by_tensor;
  for (const Model::Matrix& matrix : model->matrices())
    by_tensor[matrix.tensor->name].push_back(matrix);
  for (const auto& [name, matrices] : by_tensor) {
    auto importance = importance_of(*model, device, matrices);
    if (!importance.empty()) result.set(name, std::move(importance));
  }
  return result;
}

}  // namespace malina::model
