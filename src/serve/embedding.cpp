#include "serve/embedding.h"

#include <algorithm>
#include <cmath>

#include "serve/api_error.h"

namespace malina::serve {

namespace {

constexpr std::size_t kMostInputs = 256;

bool all_numbers(const Json& list) {
  return std::ranges::all_of(list, [](const Json& each) { return each.is_number(); });
}

platform::EmbeddingRequest one(Json& input) {
  platform::EmbeddingRequest request;
  if (input.is_string() && !input.get_ref<const std::string&>().empty()) {
    request.text = std::move(input.get_ref<std::string&>());
    return request;
  }
  if (!input.is_array() || input.empty())
    throw bad_request("'input' must be texts or lists of token ids that are not empty", "input",
                      "invalid_value");
  request.tokens.emplace();
  for (const Json& each : input) {
    if (!each.is_number_integer() || each < 0 || each > 2147483647)
      throw bad_request("'input' has what is no token id", "input", "invalid_value");
    request.tokens->push_back(each.get<std::int32_t>());
  }
  return request;
}

void normalise(std::vector<float>& vector) {
  double squares = 0;
  for (const float value : vector) squares += double{value} * double{value};
  if (squares == 0) return;
  const double scale = 1 / std::sqrt(squares);
  for (float& value : vector) value = static_cast<float>(double{value} * scale);
}

}  // namespace

std::vector<platform::EmbeddingRequest> embedding_inputs(Json input) {
  std::vector<platform::EmbeddingRequest> requests;
  if (input.is_string() || all_numbers(input)) {
    requests.push_back(one(input));
    return requests;
  }
  if (input.size() > kMostInputs)
    throw bad_request("'input' has more than 256 texts", "input", "invalid_value");
  for (Json& each : input) requests.push_back(one(each));
  return requests;
}

Embeddings embeddings_of(const Answering& answering, bool normalised) {
  Embeddings result;
  for (const auto& answer : answering.answers()) {
    result.vectors.push_back(answer->result().embedding);
    if (normalised) normalise(result.vectors.back());
    result.prompt_tokens += answer->result().prompt_tokens;
  }
  return result;
}

}  // namespace malina::serve
