// Requests as generations of the engine: prompts in tokens, by the model's template where they are
// conversations, and limits that are checked before anything is computed.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/generation.h"
#include "engine/json_constraint.h"
#include "platform/generation.h"
#include "platform/model_file.h"
#include "text/chat_template.h"

namespace malina::platform {

// Safe on many threads, but for set_chat_template().
class GenerationBuilder {
 public:
  // Rows of the model's output, and positions of its context.
  GenerationBuilder(std::shared_ptr<const ModelFile> file, std::size_t vocabulary,
                    std::size_t context);

  // So many generations of one prompt; each has the seed after the one before, where one was given.
  // Throws what LanguageModel::prepare() throws.
  std::vector<engine::Generation> build(const CompletionRequest& request, std::size_t count) const;
  std::vector<engine::Generation> build(const ChatRequest& request, std::size_t count) const;
  std::vector<engine::Generation> build(const EmbeddingRequest& request, std::size_t count) const;

  // Throws invalid_argument, naming `parameter`, for so many bytes of text as cannot fit in the
  // context however they are cut.
  void check_bytes(std::size_t bytes, const char* parameter) const;
  // Throws unsupported where the model has no template, and why its own was refused.
  std::vector<text::Token> chat_prompt(const nlohmann::ordered_json& messages) const;
  // Null where there is none. Throws why the model's own was refused.
  const text::ChatTemplate* usable_template() const;
  const text::ChatTemplate* chat_template() const;  // null where there is none that can be used
  // In place of the model's own; throws what ChatTemplate does.
  void set_chat_template(std::string_view source) { replaced_.emplace(source); }

 private:
  template <class Request>
  std::vector<engine::Generation> of_request(const Request& request, std::size_t count) const;
  std::vector<text::Token> prompt_of(const CompletionRequest& request) const;
  std::vector<text::Token> prompt_of(const ChatRequest& request) const;
  std::vector<text::Token> prompt_of(const EmbeddingRequest& request) const;
  // What is to be generated, but for the sampling.
  engine::Generation generation_of(const CompletionRequest& request,
                                   std::vector<text::Token> prompt) const;
  engine::Generation generation_of(const ChatRequest& request,
                                   std::vector<text::Token> prompt) const;
  engine::Generation generation_of(const EmbeddingRequest& request,
                                   std::vector<text::Token> prompt) const;
  const text::Tokenizer& tokenizer() const { return *file_->tokenizer; }

  const std::shared_ptr<const ModelFile> file_;
  const std::size_t vocabulary_, context_;
  engine::JsonMode json_;
  std::optional<text::ChatTemplate> replaced_;
  mutable std::once_flag longest_piece_known_;
  mutable std::size_t longest_piece_ = 1;  // bytes
};

}  // namespace malina::platform
