#include "platform/language_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <mutex>
#include <random>

#include "base/error.h"
#include "base/machine.h"
#include "engine/engine.h"
#include "engine/json_constraint.h"
#include "platform/adapter_certificate.h"
#include "platform/adapter_file.h"
#include "platform/decider.h"
#include "platform/engine_answer.h"
#include "platform/model_file.h"
#include "text/infilling.h"
#include "text/unicode.h"

namespace malina::platform {

using base::Error;
using base::Fault;

namespace {

constexpr std::size_t kPerplexityWindow = 512;
constexpr std::size_t kLeastContext = 512;
constexpr std::size_t kBatchRows = 512;  // the most that one forward pass takes
constexpr std::size_t kWindowsInFlight = 4;
constexpr auto kPoll = std::chrono::milliseconds(50);

math::KvType kv_type(const RunOptions& options) {
  if (options.kv_type.empty()) return options.exact ? math::KvType::f32 : math::KvType::f16;
  for (const auto type : {math::KvType::f32, math::KvType::f16, math::KvType::q8_0})
    if (options.kv_type == math::name(type)) return type;
  throw Error(
      Fault::invalid_argument,
      fmt::format("'{}' is not a type of keys and values: f32, f16 or q8_0", options.kv_type));
}

std::uint64_t cache_bytes(const model::Model& model, const RunOptions& options,
                          std::size_t positions) {
  return model::PagePool::bytes_for(model.sizes(), kv_type(options), positions, kBatchRows);
}

// The model's own context, unless its keys and values would not fit.
std::size_t choose_context(const model::Model& model, const RunOptions& options) {
  const std::uint64_t available = base::read_machine().usable_bytes();
  const std::uint64_t most = options.cache_bytes != 0 ? options.cache_bytes : available;
  if (options.context != 0) {
    const std::uint64_t bytes = cache_bytes(model, options, options.context);
    if (bytes > most)
      throw Error(Fault::out_of_memory,
                  fmt::format("a context of {} needs {} MiB for keys and values and {} MiB are "
                              "available",
                              options.context, bytes >> 20, most >> 20));
    return options.context;
  }
  const std::uint64_t room = options.cache_bytes != 0 ? most : available / 2;
  std::size_t context = model.sizes().context;
  while (context > kLeastContext && cache_bytes(model, options, context) > room)
    context = std::max(context / 4 * 3, kLeastContext);
  return context;
}

// Of all generations together: whole contexts, as many as are asked for and fit.
std::size_t choose_positions(const model::Model& model, const RunOptions& options,
                             std::size_t context) {
  const std::uint64_t room =
      options.cache_bytes != 0 ? options.cache_bytes : base::read_machine().usable_bytes() / 2;
  std::size_t parallel = std::max<std::size_t>(1, options.parallel);
  while (parallel > 1 && cache_bytes(model, options, context * parallel) > room) --parallel;
  return context * parallel;
}

engine::EngineOptions engine_options(const model::Model& model, const RunOptions& options) {
  engine::EngineOptions chosen{
      .precision = options.exact ? math::Precision::exact : math::Precision::fast,
      .kv_type = kv_type(options),
      .context = choose_context(model, options)};
  chosen.positions = choose_positions(model, options, chosen.context);
  chosen.max_waiting = options.most_waiting;
  return chosen;
}

// A template takes UTF-8 alone; here the message can still be named.
void check_text(const nlohmann::ordered_json& messages) {
  for (const auto& message : messages) {
    const auto content = message.find("content");
    if (content == message.end() || !content->is_string()) continue;
    const auto& text = content->get_ref<const std::string&>();
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = text::valid_character(std::string_view(text).substr(at));
      if (length == 0)
        throw Error(Fault::invalid_argument,
                    fmt::format("the {} message is not valid UTF-8: its byte {} is 0x{:02x}",
                                message.value("role", "chat"), at + 1,
                                static_cast<unsigned char>(text[at])));
      at += length;
    }
  }
}

engine::Sampling sampling_of(const SamplingOptions& options, std::uint64_t seed) {
  return {.temperature = options.temperature,
          .top_k = options.top_k,
          .top_p = options.top_p,
          .min_p = options.min_p,
          .repetition_penalty = options.repetition_penalty,
          .repetition_window = 0,
          .frequency_penalty = options.frequency_penalty,
          .presence_penalty = options.presence_penalty,
          .logit_bias = options.logit_bias,
          .seed = seed,
          .order = options.llama_cpp_order ? engine::SamplingOrder::llama_cpp
                                           : engine::SamplingOrder::hugging_face};
}

std::uint64_t seed_of(const SamplingOptions& options) {
  if (options.seed) return *options.seed;
  std::random_device device;
  return (std::uint64_t{device()} << 32 | device()) >> 11;  // exact in JSON's numbers
}

}  // namespace

namespace {

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

namespace {

std::size_t longest_piece(const text::Tokenizer& tokenizer) {
  std::size_t longest = 1;
  for (std::size_t id = 0; id < tokenizer.vocabulary_size(); ++id)
    longest = std::max(longest, tokenizer.bytes(static_cast<text::Token>(id), true).size());
  return longest;
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
  PerplexityResult perplexity(std::string_view text, const LoadedAdapter& adapter,
                              const std::function<void(double)>& progress);
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
  std::vector<text::Token> render(const nlohmann::ordered_json& messages) const;
  void check_bytes(std::size_t bytes, const char* parameter) const;
  std::string text_of(const std::vector<std::int64_t>& tokens) const;
  std::size_t context() const { return engine_.context(); }
  const text::ChatTemplate* chat_template() const {
    if (replaced_) return &*replaced_;
    const auto found = file_->templates.find("");
    return found == file_->templates.end() ? nullptr : &found->second;
  }
  void set_chat_template(std::string_view source) {
    replaced_.emplace(source);
    decider_.forget();
  }

 private:
  const text::Tokenizer& tokenizer() const { return *file_->tokenizer; }
  // What is to be generated, but for the sampling.
  engine::Generation generation_of(const CompletionRequest& request,
                                   std::vector<text::Token> prompt) const;
  engine::Generation generation_of(const ChatRequest& request,
                                   std::vector<text::Token> prompt) const;
  engine::Generation generation_of(const EmbeddingRequest& request,
                                   std::vector<text::Token> prompt) const;
  std::vector<text::Token> prompt_of(const CompletionRequest& request) const;
  std::vector<text::Token> prompt_of(const ChatRequest& request) const {
    return render(request.messages);
  }
  std::vector<text::Token> prompt_of(const EmbeddingRequest& request) const {
    return request.tokens ? *request.tokens : tokens(request.text, true);
  }

  std::shared_ptr<const ModelFile> file_;
  math::Device& device_;
  bool exact_;
  std::shared_ptr<const model::Model> model_;
  AdapterCertificates certificates_;
  engine::Engine engine_;
  engine::JsonMode json_{file_->tokenizer, model_->sizes().vocab};
  mutable Decider decider_{file_->tokenizer, model_->sizes().vocab, engine_.context()};
  std::optional<text::ChatTemplate> replaced_;
  mutable std::once_flag longest_piece_known_;
  mutable std::size_t longest_piece_ = 1;  // bytes
};

std::vector<text::Token> LanguageModel::Impl::prompt_of(const CompletionRequest& request) const {
  if (request.tokens) return *request.tokens;
  if (request.suffix)
    return text::infill_prompt(
        tokenizer(), request.text, *request.suffix,
        request.suffix_first ? text::InfillOrder::suffix_first : text::InfillOrder::prefix_first);
  return tokenizer().encode(request.text,
                            {.add_bos = tokenizer().adds_bos(), .parse_special = request.special});
}

namespace {

const SamplingOptions& sampling_of(const CompletionRequest& request) { return request.sampling; }
const SamplingOptions& sampling_of(const ChatRequest& request) { return request.sampling; }
const SamplingOptions& sampling_of(const EmbeddingRequest&) {
  static const SamplingOptions kNone;
  return kNone;
}
bool echoes(const CompletionRequest& request) { return request.echo; }
bool echoes(const ChatRequest&) { return false; }
bool echoes(const EmbeddingRequest&) { return false; }

}  // namespace

namespace {

std::size_t text_bytes(const nlohmann::ordered_json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().size();
  std::size_t sum = 0;
  if (value.is_structured())
    for (const auto& part : value) sum += text_bytes(part);
  return sum;
}
std::size_t text_bytes(const ChatRequest& request) { return text_bytes(request.messages); }
std::size_t text_bytes(const CompletionRequest& request) {
  return request.text.size() + request.suffix.value_or("").size();
}
std::size_t text_bytes(const EmbeddingRequest& request) { return request.text.size(); }
const char* text_parameter(const ChatRequest&) { return "messages"; }
const char* text_parameter(const CompletionRequest&) { return "prompt"; }
const char* text_parameter(const EmbeddingRequest&) { return "input"; }

}  // namespace

// Tokenising takes some forty bytes for each of the text, so what cannot fit however it is cut is
// refused before. A token may stand for more bytes than it has where white space is normalised or
// characters are unknown: hence twice as many.
void LanguageModel::Impl::check_bytes(std::size_t bytes, const char* parameter) const {
  if (bytes / 2 <= engine_.context()) return;  // nearly always: no piece is shorter than a byte
  std::call_once(longest_piece_known_, [&] { longest_piece_ = longest_piece(tokenizer()); });
  if (bytes / 2 / longest_piece_ <= engine_.context()) return;
  throw Error(Fault::invalid_argument,
              fmt::format("the text has {} bytes, far more than the {} tokens of the context hold",
                          bytes, engine_.context()),
              {.code = "context_length_exceeded", .parameter = parameter});
}

std::vector<Prepared> LanguageModel::Impl::prepare(const DecisionRequest& request) const {
  if (const auto refused = file_->refused_templates.find("");
      chat_template() == nullptr && refused != file_->refused_templates.end())
    throw refused->second;
  for (const std::string& text : request.texts) check_bytes(text.size(), "input");
  Decider::Asked asked = decider_.ask(request, chat_template());
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
  check_bytes(text_bytes(request), text_parameter(request));
  std::vector<text::Token> prompt = prompt_of(request);
  std::vector<Prepared> prepared;
  for (std::size_t i = 0; i < count; ++i) {
    engine::Generation generation =
        generation_of(request, i + 1 < count ? prompt : std::move(prompt));
    const SamplingOptions& sampling = sampling_of(request);
    const std::uint64_t seed = seed_of(sampling) + (sampling.seed ? i : 0);
    generation.sampling = platform::sampling_of(sampling, seed);
    generation.owner = request.origin.owner;
    generation.cache_scope = request.origin.cache_scope;
    generation.deadline = request.origin.deadline;
    const AnswerShape shape{.prompt_tokens = generation.prompt.size(),
                            .seed = seed,
                            .scores = generation.log_probabilities.has_value(),
                            .echo = echoes(request)};
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

engine::Generation LanguageModel::Impl::generation_of(const CompletionRequest& request,
                                                      std::vector<text::Token> prompt) const {
  engine::Generation generation;
  generation.prompt = std::move(prompt);
  if (generation.prompt.empty())
    throw Error(Fault::invalid_argument, "the prompt is empty: give at least one token");
  generation.max_tokens = request.max_tokens;
  const std::size_t room =
      engine_.context() - std::min(engine_.context(), generation.prompt.size());
  if (request.max_tokens_if_room && room > 0)
    generation.max_tokens = std::min(generation.max_tokens, room);
  if (generation.max_tokens > room)
    throw Error(Fault::invalid_argument,
                fmt::format("the prompt has {} tokens and {} are to be generated, but the context "
                            "holds {}",
                            generation.prompt.size(), generation.max_tokens, engine_.context()),
                {.code = "context_length_exceeded", .parameter = "prompt"});
  generation.stop = request.stop;
  if (request.json) generation.constraint = json_.constraint();
  generation.log_probabilities = request.log_probabilities;
  generation.score_prompt = request.echo;
  return generation;
}

engine::Generation LanguageModel::Impl::generation_of(const EmbeddingRequest& request,
                                                      std::vector<text::Token> prompt) const {
  engine::Generation generation;
  generation.prompt = std::move(prompt);
  if (generation.prompt.empty())
    throw Error(Fault::invalid_argument, "the input is empty: give at least one token",
                {.parameter = "input"});
  if (generation.prompt.size() > engine_.context())
    throw Error(Fault::invalid_argument,
                fmt::format("the input has {} tokens and the context holds {}",
                            generation.prompt.size(), engine_.context()),
                {.code = "context_length_exceeded", .parameter = "input"});
  for (const text::Token token : generation.prompt)
    if (token < 0 || static_cast<std::size_t>(token) >= model_->sizes().vocab)
      throw Error(
          Fault::invalid_argument,
          fmt::format("token {} is outside of the vocabulary of {}", token, model_->sizes().vocab),
          {.parameter = "input"});
  generation.pooling = request.last_token ? engine::Pooling::last : engine::Pooling::mean;
  return generation;
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

std::vector<text::Token> LanguageModel::Impl::render(const nlohmann::ordered_json& messages) const {
  const text::ChatTemplate* source = chat_template();
  if (const auto refused = file_->refused_templates.find("");
      source == nullptr && refused != file_->refused_templates.end())
    throw refused->second;
  if (source == nullptr)
    throw Error(
        Fault::unsupported,
        "the model has no chat template; use 'malina complete' (over HTTP: /v1/completions), "
        "or give one with --template");
  const auto special = [&](std::optional<text::Token> token) {
    return token ? std::string(tokenizer().piece(*token)) : std::string();
  };
  check_text(messages);
  text::TemplateInput input;
  input.messages = messages;
  input.bos_token = special(tokenizer().bos());
  input.eos_token = special(tokenizer().eos());
  return tokenizer().encode(source->render(input), {.add_bos = tokenizer().adds_bos()});
}

engine::Generation LanguageModel::Impl::generation_of(const ChatRequest& request,
                                                      std::vector<text::Token> prompt) const {
  engine::Generation generation;
  generation.prompt = std::move(prompt);
  if (generation.prompt.size() >= engine_.context())
    throw Error(Fault::invalid_argument,
                fmt::format("the conversation has {} tokens and the context holds {}",
                            generation.prompt.size(), engine_.context()),
                {.code = "context_length_exceeded", .parameter = "messages"});
  const std::size_t room = engine_.context() - generation.prompt.size();
  generation.max_tokens = std::min(request.max_tokens.value_or(room), room);
  generation.stop = request.stop;
  if (request.json) generation.constraint = json_.constraint();
  generation.log_probabilities = request.log_probabilities;
  return generation;
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

PerplexityResult LanguageModel::Impl::perplexity(std::string_view text,
                                                 const LoadedAdapter& adapter,
                                                 const std::function<void(double)>& progress) {
  const std::vector<text::Token> tokens = tokenizer().encode(text);
  const bool bos = tokenizer().adds_bos() && tokenizer().bos();
  const std::size_t window_tokens = std::min(kPerplexityWindow, engine_.context());
  if (window_tokens < 2)
    throw Error(Fault::invalid_argument,
                "a context of 1 is too short: nothing stands before the token to be scored");
  const std::size_t own = window_tokens - (bos ? 1 : 0);
  PerplexityResult result;
  result.tokens = tokens.size();
  double sum = 0;
  double squares = 0;
  std::deque<std::shared_ptr<engine::Stream>> streams;
  const auto drain = [&](engine::Stream& stream) {
    while (const auto event = stream.next()) {
      if (!event->log_probability) continue;
      sum -= *event->log_probability;
      squares += *event->log_probability * *event->log_probability;
      ++result.scored;
    }
  };
  for (std::size_t first = 0; first < tokens.size(); first += own) {
    engine::Generation window;
    if (bos) window.prompt.push_back(*tokenizer().bos());
    const std::size_t last = std::min(tokens.size(), first + own);
    window.prompt.insert(window.prompt.end(), tokens.begin() + static_cast<std::ptrdiff_t>(first),
                         tokens.begin() + static_cast<std::ptrdiff_t>(last));
    window.log_probabilities = 0;
    window.score_prompt = true;
    window.adapter = adapter;
    streams.push_back(engine_.submit(std::move(window)));
    ++result.windows;
    if (streams.size() < kWindowsInFlight) continue;
    drain(*streams.front());
    streams.pop_front();
    if (progress) progress(static_cast<double>(last) / static_cast<double>(tokens.size()));
  }
  for (const auto& stream : streams) drain(*stream);
  if (result.scored == 0)
    throw Error(Fault::invalid_argument,
                fmt::format("the text has {} tokens, too few to score any", tokens.size()));
  const double count = static_cast<double>(result.scored);
  const double mean = sum / count;
  const double variance = result.scored > 1 ? (squares - sum * mean) / (count - 1) : 0;
  result.perplexity = std::exp(mean);
  result.standard_error = result.perplexity * std::sqrt(std::max(0.0, variance) / count);
  return result;
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

MemoryNeed memory_need(const ModelFile& file, const RunOptions& options) {
  math::PlanningDevice device;
  const auto model =
      model::Model::plan(file.checkpoint, device, {.window = options.window, .progress = {}});
  const std::size_t context = options.context != 0 ? options.context : model->sizes().context;
  const std::size_t least = options.context != 0 ? context : std::min(context, kLeastContext);
  const model::Transformer transformer(
      model, device,
      {.precision = options.exact ? math::Precision::exact : math::Precision::fast,
       .max_rows = 0,
       .context = context});
  return {
      .weights = model->weight_bytes(),
      .cache = cache_bytes(*model, options, context * std::max<std::size_t>(1, options.parallel)),
      .least_cache = cache_bytes(*model, options, least),
      .activations = transformer.scratch_bytes()};
}

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
  return impl_->perplexity(text, adapter_, progress);
}
std::vector<std::int32_t> LanguageModel::tokens(std::string_view text, bool special) const {
  return impl_->tokens(text, special);
}
std::vector<std::int32_t> LanguageModel::chat_tokens(const nlohmann::ordered_json& messages) const {
  return impl_->render(messages);
}
std::string LanguageModel::text_of(const std::vector<std::int64_t>& tokens) const {
  return impl_->text_of(tokens);
}
std::size_t LanguageModel::context() const { return impl_->context(); }
bool LanguageModel::has_chat_template() const { return impl_->chat_template() != nullptr; }
void LanguageModel::set_chat_template(std::string_view source) { impl_->set_chat_template(source); }

}  // namespace malina::platform
