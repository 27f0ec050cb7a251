// What the routes of embeddings have in common.
#pragma once

#include <string_view>
#include <vector>

#include "platform/generation.h"
#include "serve/answering.h"
#include "serve/field.h"

namespace malina::serve {

// A text, texts, token ids or lists of them, each as one request. Throws ApiError 400.
std::vector<platform::EmbeddingRequest> embedding_inputs(Json input);

struct Embeddings {
  std::vector<std::vector<float>> vectors;  // of length 1 where normalised
  std::size_t prompt_tokens = 0;
};

// Of answers that have ended. Takes as long as they are many: not on the server's thread.
Embeddings embeddings_of(const Answering& answering, bool normalised);

}  // namespace malina::serve
