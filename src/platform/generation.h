// Requests to a loaded model and their results, as plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/decision.h"
#include "platform/progress.h"

namespace malina::platform {

struct RunOptions {
  std::size_t context =
      0;  // positions; 0: the model's own, or as many as fit in half of the memory
  std::size_t parallel = 1;  // room for the keys and values of so many whole contexts, or less:
  std::uint64_t cache_bytes = 0;  // at most so many bytes; 0: half of the memory
  std::size_t most_waiting = 0;   // further requests are refused as overloaded; 0: no limit
  unsigned threads = 0;           // 0: the cores that this process may use
  bool exact = false;             // float32 activations, keys and values: the reference's numbers
  std::string kv_type;            // "f32", "f16" or "q8_0"; empty: f16, or f32 when exact
  std::optional<std::uint32_t> window;  // sliding window, instead of the model's own; 0: none
  // A prompt is computed in pieces that take so long: others' answers wait meanwhile.
  std::chrono::milliseconds step_time{100};
};

// Where nobody waits for anything but the end of all.
inline constexpr std::chrono::milliseconds kUnattendedStep{1000};

struct SamplingOptions {
  float temperature = 1;
  std::uint32_t top_k = 0;
  float top_p = 1;
  float min_p = 0;
  float repetition_penalty = 1;
  float frequency_penalty = 0;
  float presence_penalty = 0;
  std::vector<std::pair<std::int32_t, float>> logit_bias;
  std::optional<std::uint64_t> seed;  // without one each run differs
  bool llama_cpp_order = false;       // filters before temperature
};

// Who asks, for models that many use at once.
struct RequestOrigin {
  std::string owner;        // turns are shared fairly between owners
  std::string cache_scope;  // computed prompts are shared within one scope only; "": never
  std::optional<std::chrono::steady_clock::time_point> deadline = {};
};

struct CompletionRequest {
  std::string text;                                 // special tokens in it are ordinary characters,
  bool special = false;                             // unless this is set
  std::optional<std::vector<std::int32_t>> tokens;  // instead of text
  std::optional<std::string> suffix;  // what stands between text and this is to be filled in
  bool suffix_first = false;          // the prompt's order, where the model knows both
  std::size_t max_tokens = 256;
  bool json = false;                // as of ChatRequest
  bool max_tokens_if_room = false;  // less where the context holds less, instead of an error
  SamplingOptions sampling;
  std::vector<std::string> stop;
  std::optional<std::size_t> log_probabilities;  // how many of the likeliest beside each token
  bool echo = false;                  // the prompt is part of the result, with its scores
  ProgressSink prompt_progress = {};  // in tokens, until the first text comes
  RequestOrigin origin = {};
};

struct EmbeddingRequest {
  std::string text;
  std::optional<std::vector<std::int32_t>> tokens;  // instead of text
  bool last_token = false;  // the last token's hidden state, instead of the mean over all
  RequestOrigin origin = {};
};

// One question about some texts, which are computed together: what their prompts share is computed
// once. An extract is of one text alone.
struct DecisionRequest {
  QuestionPointer question;
  std::vector<std::string> texts;  // as content, which never spells a control token
  RequestOrigin origin = {};
};

struct ChatRequest {
  nlohmann::ordered_json messages;        // [{"role": "user", "content": "..."}, ...]
  std::optional<std::size_t> max_tokens;  // at most; less where the context holds less
  bool json = false;  // the answer is one JSON object (docs/reference/structured-output.md)
  SamplingOptions sampling;
  std::vector<std::string> stop;
  std::optional<std::size_t> log_probabilities = {};  // as of CompletionRequest
  ProgressSink prompt_progress = {};                  // in tokens, until the first text comes
  RequestOrigin origin = {};
};

struct ScoredToken {
  std::int32_t id;
  std::string text;  // its bytes; "bytes:\xe2" where they are not whole characters
  std::optional<double> log_probability;  // absent for the first token of a prompt
  std::vector<std::pair<std::string, double>>
      top;                  // likeliest first; the chosen one is always there
  std::size_t text_offset;  // in characters of the result's text
};

struct GenerationResult {
  std::string text;
  std::string finish_reason;            // "stop", "length", "cancelled"
  std::vector<std::int32_t> token_ids;  // with echo, the prompt's first
  std::vector<ScoredToken> scores;      // where log-probabilities were asked for
  std::vector<float> embedding;         // of an EmbeddingRequest; not normalised
  std::vector<Decision> decisions = {};  // of a DecisionRequest, by text; empty if it was cancelled
  std::size_t prompt_tokens = 0, completion_tokens = 0;
  std::size_t cached_tokens = 0;  // of the prompt, taken from an earlier one
  std::uint64_t seed = 0;
  double queue_seconds = 0, prompt_seconds = 0, completion_seconds = 0;
};

// Called with each new piece of text, whole characters; and now and then with an empty piece while
// nothing comes. Returns false to stop. May be empty.
using TextSink = std::function<bool(std::string_view)>;

struct PerplexityResult {
  double perplexity = 0, standard_error = 0;
  std::size_t tokens = 0, scored = 0, windows = 0;
};

}  // namespace malina::platform
