// POST /v1/embeddings: texts as vectors, from the hidden states of a language model.
#include <openssl/evp.h>

#include <array>

#include "platform/language_model.h"
#include "serve/embedding.h"
#include "serve/endpoint.h"

namespace malina::serve {

namespace {

constexpr std::array<std::string_view, 2> kFormats{"float", "base64"};
constexpr std::array<std::string_view, 2> kPoolings{"mean", "last"};

constexpr std::array kBody{
    Field{.name = "model", .types = Type::text, .required = true, .shortest = 1, .longest = 256},
    Field{.name = "input",
          .types = Type::text | Type::array,
          .required = true,
          .shortest = 1,
          .help = "A text, up to 256 texts, token ids, or lists of them"},
    Field{.name = "encoding_format", .types = Type::text, .words = kFormats},
    Field{.name = "pooling",
          .types = Type::text,
          .words = kPoolings,
          .help = "mean, the default: over all tokens; last: the last token's hidden state"},
    Field{.name = "dimensions", .use = Use::refused},
    Field{.name = "user", .types = Type::text, .use = Use::inert},
};

// Little-endian float32, as OpenAI's clients read it.
std::string base64(const std::vector<float>& vector) {
  const std::size_t bytes = vector.size() * sizeof(float);
  std::string text((bytes + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(vector.data()),
                                     static_cast<int>(bytes));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

Json reply_of(const Json& body, const Embeddings& embeddings) {
  const bool as_base64 = body.value("encoding_format", "float") == "base64";
  Json data = Json::array();
  for (const std::vector<float>& vector : embeddings.vectors) {
    Json entry{{"object", "embedding"}, {"index", data.size()}};
    entry["embedding"] = as_base64 ? Json(base64(vector)) : Json(vector);
    data.push_back(std::move(entry));
  }
  Json reply{{"object", "list"}, {"data", std::move(data)}, {"model", body["model"]}};
  reply["pooling"] = body.value("pooling", "mean");
  reply["usage"]["prompt_tokens"] = embeddings.prompt_tokens;
  reply["usage"]["total_tokens"] = embeddings.prompt_tokens;
  return reply;
}

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const Json& body = exchange.body();
  std::vector<platform::EmbeddingRequest> requests =
      co_await exchange.beside([&] { return embedding_inputs(exchange.take("input")); });
  for (platform::EmbeddingRequest& request : requests)
    request.last_token = body.value("pooling", "mean") == "last";
  auto lease = co_await ready_model(exchange, service, body["model"].get<std::string>());
  Answering answering(exchange, service, std::move(lease));
  co_await answering.start(std::move(requests), "embedding");
  co_await answering.finish();
  co_await exchange.reply_made([&] { return reply_of(body, embeddings_of(answering, true)); });
}

}  // namespace

extern const Endpoint embeddings{
    .method = Method::post,
    .path = "/v1/embeddings",
    .needs = Permission::infer,
    .body = kBody,
    .has_body = true,
    .works = true,
    .summary = "Texts as vectors of length 1",
    .tag = "openai",
    .answer_schema =
        R"({"type": "object", "required": ["object", "data", "model", "pooling", "usage"],
      "properties": {"object": {"const": "list"}, "model": {"type": "string"},
        "pooling": {"enum": ["mean", "last"]},
        "data": {"type": "array", "items": {"type": "object",
          "required": ["object", "index", "embedding"], "properties": {
            "object": {"const": "embedding"}, "index": {"type": "integer"},
            "embedding": {"type": ["array", "string"]}}}}}})",
    .answer = answer};

}  // namespace malina::serve
