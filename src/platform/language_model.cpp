#include "platform/language_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "engine/engine.h"
#include "platform/adapter_certificate.h"
#include "platform/adapter_file.h"
#include "platform/decider.h"
#include "platform/engine_answer.h"
#include "platform/generation_builder.h"
#include "platform/model_file.h"
#include "platform/model_memory.h"
#include "platform/perplexity.h"
#include "text/unicode.h"

namespace malina::platform {

using base::Error;
using base::Fault;

namespace {

constexpr auto kPoll = std::chrono::milliseconds(50);

// By threads of its own: those of the processor have one caller at a time, and that may be an
// engine that answers meanwhile.
std::shared_ptr<const model::Model> load_weights(const ModelFile& file, Processor& processor,
                                                 const RunOptions& options,
                                                 const std::function<void(double)>& progress) {
  base::ThreadPool loaders(processor.pool.threads());
  return model::Model::load(file.checkpoint, processor.device, loaders,
                            {.window = options.window, .progress = progress});
}

}  // namespace

struct Prepared::Content {
  engine::Generation generation;
  AnswerShape shape;
};

Prepared::Prepared(std::unique_ptr<Content> content) : content_(std::move(content)) {}
Prepared::Prepared(Prepared&& other) noexcept = default;
Prepared& Prepared::operator=(Prepared&& other) noexcept = default;
Prepared::~Prepared() = default;
std::size_t Prepared::prompt_tokens() const { return content_->shape.prompt_tokens; }
std::size_t Prepared::most_tokens() const { return content_->generation.max_tokens; }

class LanguageModel::Impl {
 public:
  Impl(std::shared_ptr<const ModelFile> file, Processor& processor, const RunOptions& options,
       const std::function<void(double)>& progress)
      : file_(std::move(file)),
        device_(processor.device),
        exact_(options.exact),
        model_(load_weights(*file_, processor, options, progress)),
        engine_(model_, file_->tokenizer, processor.device, processor.arbiter,
                engine_options(*model_, options)) {}

  std::vector<Prepared> prepare(const DecisionRequest& request) const;
  template <class Request>
  std::vector<Prepared> prepare(const Request& request, std::size_t count) const;
  ModelLoad load() const;
  std::vector<std::unique_ptr<Answer>> start(std::vector<Prepared> prepared);
  engine::Engine& engine() { return engine_; }
  LoadedAdapter load_adapter(const std::filesystem::path& place) {
    const LoadedAdapter adapter =
        to_adapter(read_adapter(place, *model_).tensors, "", device_,
                   exact_ ? model::Adapter::Storage::single : model::Adapter::Storage::half);
    const auto own = file_->templates.find("");  // whatever may stand in its place here
    certificates_.check(
        place,
        {.tokenizer = file_->tokenizer.get(),
         .chat_template = own == file_->templates.end() ? nullptr : &own->second},
        context(), [&](const tune::TrainingExample& example) { return score(example, adapter); });
    return adapter;
  }
  // Sum over the example's targets of weight times log-probability.
  double score(const tune::TrainingExample& example, const LoadedAdapter& adapter);

  std::vector<text::Token> tokens(std::string_view text, bool special) const {
    return tokenizer().encode(text, {.add_bos = special && tokenizer().adds_bos()});
  }
  std::string text_of(const std::vector<std::int64_t>& tokens) const;
  std::size_t context() const { return engine_.context(); }
  const GenerationBuilder& builder() const { return builder_; }
  void set_chat_template(std::string_view source) {
    builder_.set_chat_template(source);
    decider_.forget();
  }

 private:
  const text::Tokenizer& tokenizer() const { return *file_->tokenizer; }
  std::shared_ptr<const ModelFile> file_;
  math::Device& device_;
  bool exact_;
  std::shared_ptr<const model::Model> model_;
  AdapterCertificates certificates_;
  engine::Engine engine_;
  GenerationBuilder builder_{file_, model_->sizes().vocab, engine_.context()};
  mutable Decider decider_{file_->tokenizer, model_->sizes().vocab, engine_.context()};
};

std::vector<Prepared> LanguageModel::Impl::prepare(const DecisionRequest& request) const {
  const text::ChatTemplate* source = builder_.usable_template();
  for (const std::string& text : request.texts) builder_.check_bytes(text.size(), "input");
  Decider::Asked asked = decider_.ask(request, source);
  asked.generation.owner = request.origin.owner;
  asked.generation.cache_scope = request.origin.cache_scope;
  asked.generation.deadline = request.origin.deadline;
  const AnswerShape shape{.prompt_tokens = asked.tokens, .decide = std::move(asked.finish)};
  std::vector<Prepared> prepared;
  prepared.push_back(
      Prepared(std::make_unique<Prepared::Content>(std::move(asked.generation), shape)));
  return prepared;
}

template <class Request>
std::vector<Prepared> LanguageModel::Impl::prepare(const Request& request,
                                                   std::size_t count) const {
  std::vector<Prepared> prepared;
  for (engine::Generation& generation : builder_.build(request, count)) {
    const AnswerShape shape{.prompt_tokens = generation.prompt.size(),
                            .seed = generation.sampling.seed,
                            .scores = generation.log_probabilities.has_value(),
                            .echo = generation.score_prompt};
    prepared.push_back(Prepared(std::make_unique<Prepared::Content>(std::move(generation), shape)));
  }
  return prepared;
}

std::vector<std::unique_ptr<Answer>> LanguageModel::Impl::start(std::vector<Prepared> prepared) {
  // Decisions of which every text was refused need nothing of the engine.
  const auto is_ready = [](const Prepared& each) {
    return each.content_->shape.decide && each.content_->generation.prompt.empty();
  };
  std::vector<engine::Generation> generations;
  std::vector<bool> ready;
  for (Prepared& each : prepared) {
    ready.push_back(is_ready(each));
    if (!ready.back()) generations.push_back(std::move(each.content_->generation));
  }
  std::vector<std::shared_ptr<engine::Stream>> streams;
  if (!generations.empty()) streams = engine_.submit(std::move(generations));
  auto stream = streams.begin();
  std::vector<std::unique_ptr<Answer>> answers;
  for (std::size_t i = 0; i < prepared.size(); ++i) {
    const AnswerShape& shape = prepared[i].content_->shape;
    if (!ready[i]) {
      answers.push_back(make_answer(std::move(*stream++), file_->tokenizer, shape));
      continue;
    }
    GenerationResult result;
    result.finish_reason = "stop";
    result.decisions = shape.decide({}, {});
    answers.push_back(make_ready_answer(std::move(result)));
  }
  return answers;
}

ModelLoad LanguageModel::Impl::load() const {
  const engine::EngineStatus status = engine_.status();
  return {.running = status.running,
          .waiting = status.waiting,
          .pages_used = status.pages_used,
          .pages_cached = status.pages_cached,
          .pages_capacity = status.pages_capacity,
          .prompt_tokens_computed = status.prompt_tokens_computed,
          .prompt_tokens_cached = status.prompt_tokens_cached,
          .answer_tokens = status.answer_tokens,
          .drafted_tokens = status.drafted_tokens,
          .accepted_tokens = status.accepted_tokens,
          .steps = status.steps,
          .preemptions = status.preemptions};
}

std::string LanguageModel::Impl::text_of(const std::vector<std::int64_t>& tokens) const {
  const auto size = static_cast<std::int64_t>(tokenizer().vocabulary_size());
  std::vector<text::Token> ids;
  for (const std::int64_t token : tokens) {
    if (token < 0 || token >= size)
      throw Error(Fault::invalid_argument,
                  fmt::format("token {} is outside of the vocabulary of {}", token, size),
                  {.parameter = "tokens"});
    ids.push_back(static_cast<text::Token>(token));
  }
  text::Utf8Stream whole;
  const std::string text = whole.push(tokenizer().decode(ids, true));
  return text + whole.finish();
}

double LanguageModel::Impl::score(const tune::TrainingExample& example,
                                  const LoadedAdapter& adapter) {
  const auto learned = [](std::int32_t target) { return target >= 0; };
  const auto& targets = example.targets;
  const auto first =
      static_cast<std::size_t>(std::ranges::find_if(targets, learned) - targets.begin());
  const auto last = targets.size() -
                    static_cast<std::size_t>(
                        std::find_if(targets.rbegin(), targets.rend(), learned) - targets.rbegin());
  engine::Generation generation;
  generation.prompt = {example.tokens.front()};
  generation.max_tokens = 0;
  generation.adapter = adapter;
  engine::Continuation& rest = generation.continuations.emplace_back();
  // The token that follows the one at i is the target there, where it is learned.
  for (std::size_t i = 0; i < last; ++i)
    rest.tokens.push_back(learned(targets[i]) ? targets[i] : example.tokens[i + 1]);
  rest.scored_from = first;
  const auto stream = engine_.submit(std::move(generation));
  while (stream->next()) {
  }
  const std::vector<double>& scores = stream->finished().continuations.at(0);
  double sum = 0;
  for (std::size_t i = first; i < last; ++i)
    if (learned(targets[i])) sum += double{example.weights[i]} * scores[i - first];
  return sum;
}

namespace {

// Waits for all of it, for callers that may.
GenerationResult collect(Answer& answer, const ProgressSink& prompt_progress,
                         const TextSink& sink) {
  const std::size_t prompt_tokens = answer.result().prompt_tokens;
  bool cancelled = false;
  const auto show = [&](std::string_view text) {
    if (cancelled || !sink || sink(text)) return;
    answer.cancel();
    cancelled = true;
  };
  for (;;) {
    while (!answer.wait_for(kPoll)) {
      show({});
      if (prompt_progress && !cancelled && answer.prompt_done() < prompt_tokens)
        prompt_progress({"reading the prompt", answer.prompt_done(), prompt_tokens, 0, "tokens"});
    }
    const auto piece = answer.poll();
    if (piece && !piece->text.empty()) show(piece->text);
    if (!answer.ended()) continue;
    GenerationResult result = answer.result();
    result.decisions = answer.decisions();
    return result;
  }
}

}  // namespace

LanguageModel::LanguageModel(std::shared_ptr<const ModelFile> file, Processor& processor,
                             const RunOptions& options, const std::function<void(double)>& progress)
    : impl_(std::make_shared<Impl>(std::move(file), processor, options, progress)) {}
LanguageModel::LanguageModel(const LanguageModel& base, LoadedAdapter adapter)
    : impl_(base.impl_), adapter_(std::move(adapter)) {}
LanguageModel::~LanguageModel() = default;

LoadedAdapter LanguageModel::load_adapter(const std::filesystem::path& place) const {
  return impl_->load_adapter(place);
}
std::uint64_t LanguageModel::bytes_of(const LoadedAdapter& adapter) { return adapter->bytes(); }

std::vector<Prepared> LanguageModel::under_adapter(std::vector<Prepared> prepared) const {
  for (Prepared& each : prepared) each.content_->generation.adapter = adapter_;
  return prepared;
}

std::vector<Prepared> LanguageModel::prepare(const CompletionRequest& request,
                                             std::size_t count) const {
  return under_adapter(impl_->prepare(request, count));
}
std::vector<Prepared> LanguageModel::prepare(const ChatRequest& request, std::size_t count) const {
  return under_adapter(impl_->prepare(request, count));
}
std::vector<Prepared> LanguageModel::prepare(const EmbeddingRequest& request,
                                             std::size_t count) const {
  return under_adapter(impl_->prepare(request, count));
}
std::vector<Prepared> LanguageModel::prepare(const DecisionRequest& request) const {
  return under_adapter(impl_->prepare(request));
}
ModelLoad LanguageModel::load() const { return impl_->load(); }
std::vector<std::unique_ptr<Answer>> LanguageModel::start(std::vector<Prepared> prepared) {
  return impl_->start(std::move(prepared));
}
GenerationResult LanguageModel::complete(const CompletionRequest& request, const TextSink& sink) {
  return collect(*start(prepare(request)).front(), request.prompt_progress, sink);
}
GenerationResult LanguageModel::chat(const ChatRequest& request, const TextSink& sink) {
  return collect(*start(prepare(request)).front(), request.prompt_progress, sink);
}
GenerationResult LanguageModel::decide(const DecisionRequest& request) {
  return collect(*start(prepare(request)).front(), {}, {});
}
PerplexityResult LanguageModel::perplexity(std::string_view text,
                                           const std::function<void(double)>& progress) {
  return measure_perplexity(impl_->engine(), text, adapter_, progress);
}
std::vector<std::int32_t> LanguageModel::tokens(std::string_view text, bool special) const {
  return impl_->tokens(text, special);
}
std::vector<std::int32_t> LanguageModel::chat_tokens(const nlohmann::ordered_json& messages) const {
  return impl_->builder().chat_prompt(messages);
}
std::string LanguageModel::text_of(const std::vector<std::int64_t>& tokens) const {
  return impl_->text_of(tokens);
}
std::size_t LanguageModel::context() const { return impl_->context(); }
bool LanguageModel::has_chat_template() const {
  return impl_->builder().chat_template() != nullptr;
}
void LanguageModel::set_chat_template(std::string_view source) { impl_->set_chat_template(source); }

}  // namespace malina::platform
