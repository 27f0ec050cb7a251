#include "platform/generation_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/error.h"
#include "text/infilling.h"
#include "text/unicode.h"

namespace malina::platform {

using base::Error;
using base::Fault;

namespace {

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

engine::Sampling engine_sampling(const SamplingOptions& options, std::uint64_t seed) {
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

const SamplingOptions& sampling_of(const CompletionRequest& request) { return request.sampling; }
const SamplingOptions& sampling_of(const ChatRequest& request) { return request.sampling; }
const SamplingOptions& sampling_of(const EmbeddingRequest&) {
  static const SamplingOptions kNone;
  return kNone;
}

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

std::size_t longest_piece(const text::Tokenizer& tokenizer) {
  std::size_t longest = 1;
  for (std::size_t id = 0; id < tokenizer.vocabulary_size(); ++id)
    longest = std::max(longest, tokenizer.bytes(static_cast<text::Token>(id), true).size());
  return longest;
}

}  // namespace

GenerationBuilder::GenerationBuilder(std::shared_ptr<const ModelFile> file, std::size_t vocabulary,
                                     std::size_t context)
    : file_(std::move(file)),
      vocabulary_(vocabulary),
      context_(context),
      json_(file_->tokenizer, vocabulary) {}

const text::ChatTemplate* GenerationBuilder::chat_template() const {
  if (replaced_) return &*replaced_;
  const auto found = file_->templates.find("");
  return found == file_->templates.end() ? nullptr : &found->second;
}

const text::ChatTemplate* GenerationBuilder::usable_template() const {
  const text::ChatTemplate* source = chat_template();
  if (const auto refused = file_->refused_templates.find("");
      source == nullptr && refused != file_->refused_templates.end())
    throw refused->second;
  return source;
}

// Tokenising takes some forty bytes for each of the text, so what cannot fit however it is cut is
// refused before. A token may stand for more bytes than it has where white space is normalised or
// characters are unknown: hence twice as many.
void GenerationBuilder::check_bytes(std::size_t bytes, const char* parameter) const {
  if (bytes / 2 <= context_) return;  // nearly always: no piece is shorter than a byte
  std::call_once(longest_piece_known_, [&] { longest_piece_ = longest_piece(tokenizer()); });
  if (bytes / 2 / longest_piece_ <= context_) return;
  throw Error(Fault::invalid_argument,
              fmt::format("the text has {} bytes, far more than the {} tokens of the context hold",
                          bytes, context_),
              {.code = "context_length_exceeded", .parameter = parameter});
}

std::vector<text::Token> GenerationBuilder::prompt_of(const CompletionRequest& request) const {
  if (request.tokens) return *request.tokens;
  if (request.suffix)
    return text::infill_prompt(
        tokenizer(), request.text, *request.suffix,
        request.suffix_first ? text::InfillOrder::suffix_first : text::InfillOrder::prefix_first);
  return tokenizer().encode(request.text,
                            {.add_bos = tokenizer().adds_bos(), .parse_special = request.special});
}

std::vector<text::Token> GenerationBuilder::prompt_of(const ChatRequest& request) const {
  return chat_prompt(request.messages);
}

std::vector<text::Token> GenerationBuilder::prompt_of(const EmbeddingRequest& request) const {
  if (request.tokens) return *request.tokens;
  return tokenizer().encode(request.text, {.add_bos = tokenizer().adds_bos()});
}

std::vector<text::Token> GenerationBuilder::chat_prompt(
    const nlohmann::ordered_json& messages) const {
  const text::ChatTemplate* source = usable_template();
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

template <class Request>
std::vector<engine::Generation> GenerationBuilder::of_request(const Request& request,
                                                              std::size_t count) const {
  check_bytes(text_bytes(request), text_parameter(request));
  std::vector<text::Token> prompt = prompt_of(request);
  std::vector<engine::Generation> generations;
  for (std::size_t i = 0; i < count; ++i) {
    engine::Generation& generation = generations.emplace_back(
        generation_of(request, i + 1 < count ? prompt : std::move(prompt)));
    const SamplingOptions& sampling = sampling_of(request);
    generation.sampling = engine_sampling(sampling, seed_of(sampling) + (sampling.seed ? i : 0));
    generation.owner = request.origin.owner;
    generation.cache_scope = request.origin.cache_scope;
    generation.deadline = request.origin.deadline;
  }
  return generations;
}

std::vector<engine::Generation> GenerationBuilder::build(const CompletionRequest& request,
                                                         std::size_t count) const {
  return of_request(request, count);
}
std::vector<engine::Generation> GenerationBuilder::build(const ChatRequest& request,
                                                         std::size_t count) const {
  return of_request(request, count);
}
std::vector<engine::Generation> GenerationBuilder::build(const EmbeddingRequest& request,
                                                         std::size_t count) const {
  return of_request(request, count);
}

engine::Generation GenerationBuilder::generation_of(const CompletionRequest& request,
                                                    std::vector<text::Token> prompt) const {
  engine::Generation generation;
  generation.prompt = std::move(prompt);
  if (generation.prompt.empty())
    throw Error(Fault::invalid_argument, "the prompt is empty: give at least one token");
  generation.max_tokens = request.max_tokens;
  const std::size_t room = context_ - std::min(context_, generation.prompt.size());
  if (request.max_tokens_if_room && room > 0)
    generation.max_tokens = std::min(generation.max_tokens, room);
  if (generation.max_tokens > room)
    throw Error(Fault::invalid_argument,
                fmt::format("the prompt has {} tokens and {} are to be generated, but the context "
                            "holds {}",
                            generation.prompt.size(), generation.max_tokens, context_),
                {.code = "context_length_exceeded", .parameter = "prompt"});
  generation.stop = request.stop;
  if (request.json) generation.constraint = json_.constraint();
  generation.log_probabilities = request.log_probabilities;
  generation.score_prompt = request.echo;
  return generation;
}

engine::Generation GenerationBuilder::generation_of(const EmbeddingRequest& request,
                                                    std::vector<text::Token> prompt) const {
  engine::Generation generation;
  generation.prompt = std::move(prompt);
  if (generation.prompt.empty())
    throw Error(Fault::invalid_argument, "the input is empty: give at least one token",
                {.parameter = "input"});
  if (generation.prompt.size() > context_)
    throw Error(Fault::invalid_argument,
                fmt::format("the input has {} tokens and the context holds {}",
                            generation.prompt.size(), context_),
                {.code = "context_length_exceeded", .parameter = "input"});
  for (const text::Token token : generation.prompt)
    if (token < 0 || static_cast<std::size_t>(token) >= vocabulary_)
      throw Error(Fault::invalid_argument,
                  fmt::format("token {} is outside of the vocabulary of {}", token, vocabulary_),
                  {.parameter = "input"});
  generation.pooling = request.last_token ? engine::Pooling::last : engine::Pooling::mean;
  return generation;
}

engine::Generation GenerationBuilder::generation_of(const ChatRequest& request,
                                                    std::vector<text::Token> prompt) const {
  engine::Generation generation;
  generation.prompt = std::move(prompt);
  if (generation.prompt.size() >= context_)
    throw Error(Fault::invalid_argument,
                fmt::format("the conversation has {} tokens and the context holds {}",
                            generation.prompt.size(), context_),
                {.code = "context_length_exceeded", .parameter = "messages"});
  const std::size_t room = context_ - generation.prompt.size();
  generation.max_tokens = std::min(request.max_tokens.value_or(room), room);
  generation.stop = request.stop;
  if (request.json) generation.constraint = json_.constraint();
  generation.log_probabilities = request.log_probabilities;
  return generation;
}

}  // namespace malina::platform
