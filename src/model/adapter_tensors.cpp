#include "model/adapter_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace malina::model {

namespace {

using base::Error;
using base::Fault;

Error does_not_fit(std::size_t layer, std::size_t projection, std::string_view cause) {
  return Error(Fault::invalid_argument,
               fmt::format("the adapter does not fit the model: {} of layer {} {}",
                           name(static_cast<Projection>(projection)), layer, cause));
}

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return std::isfinite(value); });
}

void check_matrix(const LowRankMatrix& matrix, const math::Slice& weight, std::size_t layer,
                  std::size_t projection) {
  if (!weight) throw does_not_fit(layer, projection, "is not in the model");
  if (matrix.inputs != weight.columns || matrix.outputs != weight.rows)
    throw does_not_fit(layer, projection,
                       fmt::format("is [{}, {}], and the model's is [{}, {}]", matrix.outputs,
                                   matrix.inputs, weight.rows, weight.columns));
  if (matrix.a.size() != matrix.rank * matrix.inputs ||
      matrix.b.size() != matrix.outputs * matrix.rank)
    throw does_not_fit(layer, projection, "has another number of values than its shape");
  if (!all_finite(matrix.a) || !all_finite(matrix.b) || !std::isfinite(matrix.scale()))
    throw does_not_fit(layer, projection, "holds a value that is not a finite number");
}

void check_head(const ClassificationHead& head, std::size_t width) {
  const auto fail = [](std::string_view cause) {
    return Error(Fault::invalid_argument,
                 fmt::format("the adapter does not fit the model: its head {}", cause));
  };
  if (head.width != width)
    throw fail(fmt::format("takes states of {} values, and the model has {}", head.width, width));
  if (head.weight.size() != head.labels * width ||
      (!head.bias.empty() && head.bias.size() != head.labels))
    throw fail("has another number of values than its shape");
  if (!all_finite(head.weight) || !all_finite(head.bias))
    throw fail("holds a value that is not a finite number");
}

}  // namespace

float LowRankMatrix::scale() const {
  const auto size = static_cast<double>(rank);
  return static_cast<float>(alpha / (rank_stabilised ? std::sqrt(size) : size));
}

std::size_t AdapterTensors::parameters() const {
  std::size_t count = head.weight.size() + head.bias.size();
  for (const auto& layer : layers)
    for (const LowRankMatrix& matrix : layer) count += matrix.a.size() + matrix.b.size();
  return count;
}

AdapterTensors tensors_of(const TrainableAdapter& adapter) {
  AdapterTensors tensors;
  tensors.layers.resize(adapter.layers());
  for (const TrainableAdapter::Matrix& place : adapter.matrices()) {
    LowRankMatrix& matrix = tensors.matrix(place.layer, place.projection);
    matrix.rank = adapter.options().rank;
    matrix.alpha = adapter.options().alpha;
    matrix.rank_stabilised = adapter.options().rank_stabilised;
    const std::span<const float> values =
        adapter.parameters().subspan(place.offset, place.rows * place.columns);
    (place.is_b ? matrix.b : matrix.a).assign(values.begin(), values.end());
    (place.is_b ? matrix.outputs : matrix.inputs) = place.is_b ? place.rows : place.columns;
  }
  return tensors;
}

std::shared_ptr<const Adapter> to_adapter(const AdapterTensors& tensors,
                                          const std::string& base_digest, math::Device& device,
                                          Adapter::Storage storage) {
  auto adapter = std::make_shared<Adapter>(base_digest, storage);
  std::size_t bytes = 0;
  for (const auto& layer : tensors.layers)
    for (const LowRankMatrix& matrix : layer)
      if (matrix) bytes += adapter->matrix_bytes(matrix.rank, matrix.inputs, matrix.outputs);
  adapter->reserve(bytes, device);
  for (std::size_t layer = 0; layer < tensors.layers.size(); ++layer)
    for (std::size_t i = 0; i < kProjections; ++i)
      if (const LowRankMatrix& matrix = tensors.layers[layer][i])
        adapter->set(layer, static_cast<Projection>(i), matrix.rank, matrix.inputs, matrix.outputs,
                     matrix.scale(), matrix.a, matrix.b);
  return adapter;
}

void check_fits(const AdapterTensors& tensors, const Model& model) {
  if (tensors.layers.size() != model.layers().size())
    throw Error(
        Fault::invalid_argument,
        fmt::format("the adapter does not fit the model: it has {} layers, and the model {}",
                    tensors.layers.size(), model.layers().size()));
  for (std::size_t layer = 0; layer < tensors.layers.size(); ++layer)
    for (std::size_t i = 0; i < kProjections; ++i)
      if (const LowRankMatrix& matrix = tensors.layers[layer][i])
        check_matrix(matrix, weight_of(model.layers()[layer], static_cast<Projection>(i)), layer,
                     i);
  if (tensors.head) check_head(tensors.head, model.sizes().width);
}

const math::Slice& weight_of(const LayerWeights& layer, Projection projection) {
  switch (projection) {
    case Projection::query:
      return layer.query;
    case Projection::key:
      return layer.key;
    case Projection::value:
      return layer.value;
    case Projection::output:
      return layer.output;
    case Projection::gate:
      return layer.gate;
    case Projection::up:
      return layer.up;
    case Projection::down:
      return layer.down;
  }
  return layer.query;
}

std::string_view name(Projection projection) {
  constexpr std::array<std::string_view, kProjections> kNames{"query", "key", "value", "output",
                                                              "gate",  "up",  "down"};
  return kNames[static_cast<std::size_t>(projection)];
}

}  // namespace malina::model
