// An adapter that was stored, as a training pass computes with it.
#pragma once

#include <memory>

#include "model/adapter_tensors.h"
#include "model/trainable_adapter.h"

namespace malina::tune {

// Throws base::Error(unsupported) where its matrices differ in rank or scale, or some of a kind are
// left out.
std::unique_ptr<model::TrainableAdapter> loaded_adapter(const model::AdapterTensors& tensors,
                                                        const model::Model& model,
                                                        math::CpuDevice& device);

}  // namespace malina::tune
