// Between the projections of this program and the modules of a Hugging Face directory: names, order
// of rows, and matrices that are one there and several here. Part of model/peft.h.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "model/adapter_tensors.h"
#include "model/linear_modules.h"

namespace malina::model {

// "model.layers.3.self_attn.q_proj". `body`: what "model." is called in this directory.
std::string module_name(const LinearModule& module, std::string_view body, std::size_t layer);

enum class RowOrder { of_the_directory, of_the_model };

// The additions of a layer to the parts of a module as one matrix.
// Where parts have one A and one scale (they were read from one), so has the result; else it has
// the rank of all together and a B that is zero outside of its blocks. A rank of 0: none is
// adapted.
LowRankMatrix fused(const AdapterTensors& tensors, std::size_t layer, const LinearModule& module,
                    const Model& model, RowOrder order);

// The inverse: sets the parts of the layer. Blocks as fused() makes them become matrices of their
// own rank again, and a part to which nothing but zeros would be added is left out where another is
// not. `matrix` fits the module's sizes.
void take_apart(const LowRankMatrix& matrix, std::size_t layer, const LinearModule& module,
                const Model& model, AdapterTensors& tensors, RowOrder order);

}  // namespace malina::model
