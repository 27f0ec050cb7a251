// A model in memory, ready to answer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

#include "platform/answer.h"
#include "platform/generation.h"
#include "platform/processor.h"

namespace malina::model {
class Adapter;
}

namespace malina::platform {

struct ModelFile;

// An adapter in memory, for the model that loaded it. Immutable, shared.
using LoadedAdapter = std::shared_ptr<const model::Adapter>;

// What the engine is doing and has done since the model was loaded.
struct ModelLoad {
  std::size_t running = 0, waiting = 0;  // answers
  std::size_t pages_used = 0, pages_cached = 0, pages_capacity = 0;
  std::uint64_t prompt_tokens_computed = 0, prompt_tokens_cached = 0, answer_tokens = 0;
  std::uint64_t drafted_tokens = 0, accepted_tokens = 0, steps = 0, preemptions = 0;
};

// A request with its prompt in tokens, that has not begun. One owner; for the model that prepared
// it.
class Prepared {
 public:
  Prepared(Prepared&& other) noexcept;
  Prepared& operator=(Prepared&& other) noexcept;
  ~Prepared();
  std::size_t prompt_tokens() const;
  std::size_t most_tokens() const;  // that the answer may have

 private:
  friend class LanguageModel;
  struct Content;
  explicit Prepared(std::unique_ptr<Content> content);
  std::unique_ptr<Content> content_;
};

// Safe on many threads; requests run together in one engine.
class LanguageModel {
 public:
  // The processor must outlive it. Throws base::Error: unsupported, corrupt_file, out_of_memory
  // (says what is needed and available).
  LanguageModel(std::shared_ptr<const ModelFile> file, Processor& processor,
                const RunOptions& options, const std::function<void(double)>& progress = {});
  // The same model under an adapter that it loaded: requests run beside its own, in its engine.
  LanguageModel(const LanguageModel& base, LoadedAdapter adapter);
  ~LanguageModel();

  // What read_adapter() takes, in half precision but for RunOptions::exact; of one with a
  // certificate some rows are computed (adapter_certificate.h). Throws what that
  // throws, and out_of_memory.
  LoadedAdapter load_adapter(const std::filesystem::path& place) const;
  static std::uint64_t bytes_of(const LoadedAdapter& adapter);

  // Reads a request, of which `count` answers are wanted, and throws what complete() and chat()
  // throw before anything is computed. The prompt is read once; each answer has the seed after the
  // one before, where one was given.
  std::vector<Prepared> prepare(const CompletionRequest& request, std::size_t count = 1) const;
  std::vector<Prepared> prepare(const ChatRequest& request, std::size_t count = 1) const;
  // With the model's BOS, as a completion.
  std::vector<Prepared> prepare(const EmbeddingRequest& request, std::size_t count = 1) const;
  // One answer, with the decisions of all its texts. Asks by the model's chat template; of a model
  // without one, as plain text. Throws invalid_argument where its only text is empty, not UTF-8, or
  // too long for the context.
  std::vector<Prepared> prepare(const DecisionRequest& request) const;
  // The answers as they come, all of them or none; they must end before the model does. Throws
  // overloaded where RunOptions::most_waiting others wait already.
  std::vector<std::unique_ptr<Answer>> start(std::vector<Prepared> prepared);

  GenerationResult complete(const CompletionRequest& request, const TextSink& sink = {});
  // By the model's own chat template. Throws unsupported where it has none, invalid_argument where
  // the conversation does not fit in the context or the template refuses it.
  GenerationResult chat(const ChatRequest& request, const TextSink& sink = {});
  // Waits for the decisions. Throws as prepare() does.
  GenerationResult decide(const DecisionRequest& request);
  // Windows of 512 tokens, each token but a window's first scored; `progress` gets the share done.
  PerplexityResult perplexity(std::string_view text,
                              const std::function<void(double)>& progress = {});

  // With the model's BOS, if it has one that prompts begin with, where `special`.
  std::vector<std::int32_t> tokens(std::string_view text, bool special) const;
  std::vector<std::int32_t> chat_tokens(const nlohmann::ordered_json& messages) const;
  // Throws invalid_argument for an id outside of the vocabulary. Bytes that are no UTF-8 become
  // U+FFFD.
  std::string text_of(const std::vector<std::int64_t>& tokens) const;

  std::size_t context() const;
  ModelLoad load() const;
  bool has_chat_template() const;
  // Replaces the model's template for this process.
  void set_chat_template(std::string_view source);

 private:
  class Impl;
  std::vector<Prepared> under_adapter(std::vector<Prepared> prepared) const;

  std::shared_ptr<Impl> impl_;
  LoadedAdapter adapter_;
};

}  // namespace malina::platform
