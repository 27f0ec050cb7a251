#include "platform/model_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/machine.h"
#include "engine/engine.h"
#include "math/device.h"
#include "platform/model_file.h"

namespace malina::platform {

using base::Error;
using base::Fault;

namespace {

constexpr std::size_t kLeastContext = 512;
constexpr std::size_t kBatchRows = 512;  // the most that one forward pass takes

math::KvType kv_type(const RunOptions& options) {
  if (options.kv_type.empty()) return options.exact ? math::KvType::f32 : math::KvType::f16;
  for (const auto type : {math::KvType::f32, math::KvType::f16, math::KvType::q8_0})
    if (options.kv_type == math::name(type)) return type;
  throw Error(
      Fault::invalid_argument,
      fmt::format("'{}' is not a type of keys and values: f32, f16 or q8_0", options.kv_type));
}

std::uint64_t cache_bytes(const model::Model& model, const RunOptions& options,
                          std::size_t positions) {
  return model::PagePool::bytes_for(model.sizes(), kv_type(options), positions, kBatchRows);
}

// The model's own context, unless its keys and values would not fit.
std::size_t choose_context(const model::Model& model, const RunOptions& options) {
  const std::uint64_t available = base::read_machine().usable_bytes();
  const std::uint64_t most = options.cache_bytes != 0 ? options.cache_bytes : available;
  if (options.context != 0) {
    const std::uint64_t bytes = cache_bytes(model, options, options.context);
    if (bytes > most)
      throw Error(Fault::out_of_memory,
                  fmt::format("a context of {} needs {} MiB for keys and values and {} MiB are "
                              "available",
                              options.context, bytes >> 20, most >> 20));
    return options.context;
  }
  const std::uint64_t room = options.cache_bytes != 0 ? most : available / 2;
  std::size_t context = model.sizes().context;
  while (context > kLeastContext && cache_bytes(model, options, context) > room)
    context = std::max(context / 4 * 3, kLeastContext);
  return context;
}

// Of all generations together: whole contexts, as many as are asked for and fit.
std::size_t choose_positions(const model::Model& model, const RunOptions& options,
                             std::size_t context) {
  const std::uint64_t room =
      options.cache_bytes != 0 ? options.cache_bytes : base::read_machine().usable_bytes() / 2;
  std::size_t parallel = std::max<std::size_t>(1, options.parallel);
  while (parallel > 1 && cache_bytes(model, options, context * parallel) > room) --parallel;
  return context * parallel;
}

}  // namespace

engine::EngineOptions engine_options(const model::Model& model, const RunOptions& options) {
  engine::EngineOptions chosen{
      .precision = options.exact ? math::Precision::exact : math::Precision::fast,
      .kv_type = kv_type(options),
      .context = choose_context(model, options),
      .step_time = options.step_time};
  chosen.positions = choose_positions(model, options, chosen.context);
  chosen.max_waiting = options.most_waiting;
  return chosen;
}

MemoryNeed memory_need(const ModelFile& file, const RunOptions& options) {
  math::PlanningDevice device;
  const auto model =
      model::Model::plan(file.checkpoint, device, {.window = options.window, .progress = {}});
  const std::size_t context = options.context != 0 ? options.context : model->sizes().context;
  const std::size_t least = options.context != 0 ? context : std::min(context, kLeastContext);
  const model::Transformer transformer(
      model, device,
      {.precision = options.exact ? math::Precision::exact : math::Precision::fast,
       .max_rows = 0,
       .context = context});
  return {
      .weights = model->weight_bytes(),
      .cache = cache_bytes(*model, options, context * std::max<std::size_t>(1, options.parallel)),
      .least_cache = cache_bytes(*model, options, least),
      .activations = transformer.scratch_bytes()};
}

}  // namespace malina::platform
