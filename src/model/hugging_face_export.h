// A model as a Hugging Face directory would have it: the inverse of model/hugging_face.h, by the
// same rules of the families.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "format/checkpoint.h"
#include "model/model.h"

namespace malina::model {

// The tensors under the directory's names, in its order of rows, experts apart, and norms without
// what GGUF files add to them. Shapes are in GGUF's order and encodings are those of the model;
// what differs is made when it is read. The metadata is the model's own. Throws unsupported where a
// tensor has no place in such a directory; the message names it.
std::shared_ptr<const format::Checkpoint> as_hugging_face(
    std::shared_ptr<const format::Checkpoint> checkpoint, const Model& model);

// config.json, without token ids and the type of the weights. Throws unsupported where the model
// has what config.json has no words for.
nlohmann::ordered_json hugging_face_config(const format::Checkpoint& checkpoint,
                                           const Model& model);

}  // namespace malina::model
