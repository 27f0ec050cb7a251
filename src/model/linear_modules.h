// The linear layers of a block as files name them: which tensor of a GGUF file and which module of
// a Hugging Face directory holds which of the seven projections, by the rules of the family
// (model/hugging_face_form.h).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/adapter.h"
#include "model/model.h"

namespace malina::model {

struct LinearModule {
  std::string_view theirs;                                // "model.layers.{}.self_attn.q_proj"
  std::string_view ours;                                  // "blk.{}.attn_q"
  TensorRule::Rows rows = TensorRule::Rows::as_they_are;  // of theirs
  std::vector<Projection> parts;  // in the order of rows; several where they are one matrix
};

// Those that can be adapted, in the family's order. Experts and routers are not among them.
std::vector<LinearModule> linear_modules(const Architecture& architecture);

// "self_attn.q_proj": what stands behind the layer's number.
std::string_view within_layer(const LinearModule& module);
// "q_proj".
std::string_view last_name(const LinearModule& module);

// Row i of what a Hugging Face directory has is row order[i] of the model; empty where they are the
// same. `rows`: of the projection.
std::vector<std::size_t> their_row_order(const LinearModule& module, const Sizes& sizes,
                                         std::size_t rows);

}  // namespace malina::model
