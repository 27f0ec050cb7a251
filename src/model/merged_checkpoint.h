// A model with an adapter merged into its weights, as one more checkpoint: nothing is written or
// kept, the rows of adapted matrices are computed when they are read.
#pragma once

#include <memory>

#include "format/checkpoint.h"
#include "model/adapter_tensors.h"
#include "model/model.h"

namespace malina::model {

// The tensors of `base` under their names, W + scale * B * A where the adapter has a matrix:
// decoded, added to in float32 and encoded anew, in the base's encoding or in `encoding` where that
// is given and the tensor's rows are whole blocks of it. All other tensors are the base's own
// bytes. `model`: of the same checkpoint; a planned one will do. Throws what check_fits() throws,
// and unsupported where a tensor's encoding has no writer.
std::shared_ptr<const format::Checkpoint> merged(std::shared_ptr<const format::Checkpoint> base,
                                                 const Model& model, const AdapterTensors& tensors,
                                                 const math::Encoding* encoding = nullptr);

}  // namespace malina::model
