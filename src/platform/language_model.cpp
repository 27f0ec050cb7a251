#include "platform/language_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <random>

#include "base/error.h"
#include "base/machine.h"
#include "engine/engine.h"
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

// The model's own context, unless its keys and values would not fit.
std::size_t choose_context(const model::Model& model, const RunOptions& options) {
  const auto bytes = [&](std::size_t context) {
    return model::PagePool::bytes_for(model.sizes(), kv_type(options), context, kBatchRows);
  };
  const std::uint64_t available = base::read_machine().usable_bytes();
  if (options.context != 0) {
    if (bytes(options.context) > available)
      throw Error(Fault::out_of_memory,
                  fmt::format("a context of {} needs {} MiB for keys and values and {} MiB are "
                              "available",
                              options.context, bytes(options.context) >> 20, available >> 20));
    return options.context;
  }
  std::size_t context = model.sizes().context;
  while (context > kLeastContext && bytes(context) > available / 2)
    context = std::max(context / 4 * 3, kLeastContext);
  return context;
}

// Where tokens begin in the text they make, in characters as Utf8Stream has them: an invalid byte
// is one. A token that begins inside of a character begins with the next one.
class TokenOffsets {
 public:
  void add(std::string_view bytes) {
    starts_.push_back(bytes_.size());
    bytes_ += bytes;
  }
  std::vector<std::size_t> in_characters() const {
    std::vector<std::size_t> offset_of(bytes_.size() + 1);
    std::size_t count = 0;
    for (std::size_t at = 0; at < bytes_.size(); ++count) {
      const std::size_t length =
          std::max<std::size_t>(1, text::valid_character(std::string_view(bytes_).substr(at)));
      offset_of[at] = count;
      for (std::size_t i = 1; i < length; ++i) offset_of[at + i] = count + 1;
      at += length;
    }
    offset_of.back() = count;
    std::vector<std::size_t> offsets;
    for (const std::size_t start : starts_) offsets.push_back(offset_of[start]);
    return offsets;
  }

 private:
  std::string bytes_;
  std::vector<std::size_t> starts_;
};

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

// A token's own text, as the OpenAI API spells one that is not whole characters.
std::string token_text(const text::Tokenizer& tokenizer, text::Token token) {
  const std::string bytes = tokenizer.bytes(token, true);
  text::Utf8Stream stream;
  if (stream.push(bytes) == bytes) return bytes;
  std::string escaped = "bytes:";
  for (const char byte : bytes)
    escaped += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return escaped;
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

class LanguageModel::Impl {
 public:
  Impl(std::shared_ptr<const ModelFile> file, const RunOptions& options,
       const std::function<void(double)>& progress)
      : file_(std::move(file)),
        pool_(options.threads),
        device_(pool_),
        model_(model::Model::load(file_->checkpoint, device_, pool_,
                                  {.window = options.window, .progress = progress})),
        engine_(model_, file_->tokenizer, device_, arbiter_,
                {.precision = options.exact ? math::Precision::exact : math::Precision::fast,
                 .kv_type = kv_type(options),
                 .context = choose_context(*model_, options)}) {}

  GenerationResult complete(const CompletionRequest& request, const TextSink& sink);
  GenerationResult chat(const ChatRequest& request, const TextSink& sink);
  PerplexityResult perplexity(std::string_view text, const std::function<void(double)>& progress);

  std::size_t context() const { return engine_.context(); }
  const text::ChatTemplate* chat_template() const {
    if (replaced_) return &*replaced_;
    const auto found = file_->templates.find("");
    return found == file_->templates.end() ? nullptr : &found->second;
  }
  void set_chat_template(std::string_view source) { replaced_.emplace(source); }

 private:
  const text::Tokenizer& tokenizer() const { return *file_->tokenizer; }
  std::string file_name() const { return file_->checkpoint->files()[0].string(); }
  GenerationResult collect(engine::Stream& stream, std::size_t prompt_tokens,
                           const CompletionRequest& request, const TextSink& sink) const;
  void add_score(GenerationResult& result, const engine::TokenEvent& event) const;
  std::vector<text::Token> prompt_of(const CompletionRequest& request) const;
  std::vector<text::Token> render(const nlohmann::ordered_json& messages) const;

  std::shared_ptr<const ModelFile> file_;
  base::ThreadPool pool_;
  math::CpuDevice device_;
  engine::StepArbiter arbiter_;
  std::shared_ptr<const model::Model> model_;
  engine::Engine engine_;
  std::optional<text::ChatTemplate> replaced_;
};

void LanguageModel::Impl::add_score(GenerationResult& result,
                                    const engine::TokenEvent& event) const {
  ScoredToken score{
      event.token, token_text(tokenizer(), event.token), event.log_probability, {}, 0};
  bool chosen = !event.log_probability;
  for (const auto& [token, log_probability] : event.top) {
    chosen = chosen || token == event.token;
    score.top.emplace_back(token_text(tokenizer(), token), log_probability);
  }
  if (!chosen && !event.top.empty()) score.top.emplace_back(score.text, *event.log_probability);
  result.scores.push_back(std::move(score));
}

GenerationResult LanguageModel::Impl::collect(engine::Stream& stream, std::size_t prompt_tokens,
                                              const CompletionRequest& request,
                                              const TextSink& sink) const {
  GenerationResult result;
  const auto show = [&](std::string_view text) {
    result.text += text;
    if (sink && !sink(text)) stream.cancel();
  };
  // A character that the prompt leaves unfinished.
  const auto show_rest = [&](text::Utf8Stream& stream_text) {
    if (const std::string rest = stream_text.finish(); !rest.empty()) show(rest);
  };
  text::Utf8Stream prompt_text;
  TokenOffsets offsets;
  for (;;) {
    while (!stream.wait_for(kPoll)) {
      if (sink && !sink({})) stream.cancel();
      if (request.prompt_progress && !stream.cancelled() && stream.prompt_done() < prompt_tokens)
        request.prompt_progress(
            {"reading the prompt", stream.prompt_done(), prompt_tokens, 0, "tokens"});
    }
    const auto event = stream.next();
    if (!event) break;
    if (event->prompt) {
      if (!request.echo) continue;
      result.token_ids.push_back(event->token);
      if (request.log_probabilities) add_score(result, *event);
      const std::string bytes = tokenizer().bytes(event->token);
      offsets.add(bytes);
      show(prompt_text.push(bytes));
      continue;
    }
    show_rest(prompt_text);
    result.token_ids.push_back(event->token);
    if (request.log_probabilities) add_score(result, *event);
    offsets.add(event->end ? "" : tokenizer().bytes(event->token));
    if (!event->text.empty()) show(event->text);
  }
  show_rest(prompt_text);
  const std::vector<std::size_t> places = offsets.in_characters();
  for (std::size_t i = 0; i < result.scores.size(); ++i) result.scores[i].text_offset = places[i];
  const engine::Finished& finished = stream.finished();
  if (!finished.text.empty()) show(finished.text);
  result.finish_reason = engine::name(finished.reason);
  result.prompt_tokens = finished.prompt_tokens;
  result.completion_tokens = finished.answer_tokens;
  result.prompt_seconds = static_cast<double>(finished.prompt_time.count()) * 1e-9;
  result.completion_seconds = static_cast<double>(finished.answer_time.count()) * 1e-9;
  return result;
}

std::vector<text::Token> LanguageModel::Impl::prompt_of(const CompletionRequest& request) const {
  if (request.tokens) return *request.tokens;
  if (request.suffix)
    return text::infill_prompt(
        tokenizer(), request.text, *request.suffix,
        request.suffix_first ? text::InfillOrder::suffix_first : text::InfillOrder::prefix_first);
  return tokenizer().encode(request.text,
                            {.add_bos = tokenizer().adds_bos(), .parse_special = request.special});
}

GenerationResult LanguageModel::Impl::complete(const CompletionRequest& request,
                                               const TextSink& sink) {
  engine::Generation generation;
  generation.prompt = prompt_of(request);
  if (generation.prompt.empty())
    throw Error(Fault::invalid_argument, "the prompt is empty: give at least one token");
  const std::uint64_t seed = seed_of(request.sampling);
  generation.max_tokens = request.max_tokens;
  generation.sampling = sampling_of(request.sampling, seed);
  generation.stop = request.stop;
  generation.log_probabilities = request.log_probabilities;
  generation.score_prompt = request.echo;
  const std::size_t prompt_tokens = generation.prompt.size();
  const auto stream = engine_.submit(std::move(generation));
  GenerationResult result = collect(*stream, prompt_tokens, request, sink);
  result.seed = seed;
  return result;
}

std::vector<text::Token> LanguageModel::Impl::render(const nlohmann::ordered_json& messages) const {
  const text::ChatTemplate* source = chat_template();
  if (const auto refused = file_->refused_templates.find("");
      source == nullptr && refused != file_->refused_templates.end())
    throw refused->second;
  if (source == nullptr)
    throw Error(Fault::unsupported,
                fmt::format("{}: has no chat template; use 'malina complete', or give one with "
                            "--template",
                            file_name()));
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

GenerationResult LanguageModel::Impl::chat(const ChatRequest& request, const TextSink& sink) {
  engine::Generation generation;
  generation.prompt = render(request.messages);
  if (generation.prompt.size() >= engine_.context())
    throw Error(Fault::invalid_argument,
                fmt::format("the conversation has {} tokens and the context holds {}",
                            generation.prompt.size(), engine_.context()));
  const std::uint64_t seed = seed_of(request.sampling);
  const std::size_t room = engine_.context() - generation.prompt.size();
  generation.max_tokens = std::min(request.max_tokens.value_or(room), room);
  generation.sampling = sampling_of(request.sampling, seed);
  generation.stop = request.stop;
  const std::size_t prompt_tokens = generation.prompt.size();
  const auto stream = engine_.submit(std::move(generation));
  CompletionRequest plain;
  plain.prompt_progress = request.prompt_progress;
  GenerationResult result = collect(*stream, prompt_tokens, plain, sink);
  result.seed = seed;
  return result;
}

PerplexityResult LanguageModel::Impl::perplexity(std::string_view text,
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

LanguageModel::LanguageModel(std::shared_ptr<const ModelFile> file, const RunOptions& options,
                             const std::function<void(double)>& progress)
    : impl_(std::make_unique<Impl>(std::move(file), options, progress)) {}
LanguageModel::~LanguageModel() = default;

GenerationResult LanguageModel::complete(const CompletionRequest& request, const TextSink& sink) {
  return impl_->complete(request, sink);
}
GenerationResult LanguageModel::chat(const ChatRequest& request, const TextSink& sink) {
  return impl_->chat(request, sink);
}
PerplexityResult LanguageModel::perplexity(std::string_view text,
                                           const std::function<void(double)>& progress) {
  return impl_->perplexity(text, progress);
}
std::size_t LanguageModel::context() const { return impl_->context(); }
bool LanguageModel::has_chat_template() const { return impl_->chat_template() != nullptr; }
void LanguageModel::set_chat_template(std::string_view source) { impl_->set_chat_template(source); }

}  // namespace malina::platform
