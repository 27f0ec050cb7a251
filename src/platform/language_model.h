// A model in memory, ready to answer.
#pragma once

#include <functional>
#include <memory>

#include "platform/generation.h"

namespace malina::platform {

struct ModelFile;

// Safe on many threads; requests run together in one engine.
class LanguageModel {
 public:
  // Throws base::Error: unsupported, corrupt_file, out_of_memory (says what is needed and
  // available).
  LanguageModel(std::shared_ptr<const ModelFile> file, const RunOptions& options,
                const std::function<void(double)>& progress = {});
  ~LanguageModel();

  GenerationResult complete(const CompletionRequest& request, const TextSink& sink = {});
  // By the model's own chat template. Throws unsupported where it has none, invalid_argument where
  // the conversation does not fit in the context or the template refuses it.
  GenerationResult chat(const ChatRequest& request, const TextSink& sink = {});
  // Windows of 512 tokens, each token but a window's first scored; `progress` gets the share done.
  PerplexityResult perplexity(std::string_view text,
                              const std::function<void(double)>& progress = {});

  std::size_t context() const;
  bool has_chat_template() const;
  // Replaces the model's template for this process.
  void set_chat_template(std::string_view source);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace malina::platform
