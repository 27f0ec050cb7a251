// Fields that the routes which generate share, and what they say.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "platform/generation.h"
#include "serve/exchange.h"
#include "serve/field.h"

namespace malina::serve {

template <std::size_t... Sizes>
constexpr auto joined(const std::array<Field, Sizes>&... parts) {
  std::array<Field, (Sizes + ...)> all{};
  std::size_t at = 0;
  const auto add = [&](const auto& part) {
    for (const Field& field : part) all[at++] = field;
  };
  (add(parts), ...);
  return all;
}

// Limits of reference/trust.md, R10; the engine holds them too.
inline constexpr std::size_t kMostStopLength = 1000;

inline constexpr std::array kSamplingFields{
    Field{.name = "temperature",
          .types = Type::number,
          .least = 0,
          .most = 2,
          .help = "0 takes the likeliest token; 1, the default, the model's own distribution"},
    Field{.name = "top_p",
          .types = Type::number,
          .least = 0,
          .most = 1,
          .help = "Only the likeliest tokens whose probabilities reach this sum"},
    Field{.name = "top_k",
          .types = Type::integer,
          .least = 0,
          .most = 1000000,
          .help = "Only so many of the likeliest tokens; 0: all"},
    Field{.name = "min_p",
          .types = Type::number,
          .least = 0,
          .most = 1,
          .help = "Only tokens at least this times as likely as the likeliest"},
    Field{.name = "repetition_penalty",
          .types = Type::number,
          .least = 0.01,
          .most = 100,
          .help = "Divides the logits of tokens that have come; 1: off"},
    Field{.name = "frequency_penalty", .types = Type::number, .least = -2, .most = 2},
    Field{.name = "presence_penalty", .types = Type::number, .least = -2, .most = 2},
    Field{.name = "logit_bias",
          .types = Type::object,
          .least = -100,
          .most = 100,
          .longest = 300,
          .item_types = Type::number,
          .open = true,
          .help = "From token id to what is added to its logit, -100 to 100"},
    Field{.name = "seed",
          .types = Type::integer,
          .least = -9007199254740991.0,
          .most = 9007199254740991.0,
          .help = "The same seed gives the same answer"},
    Field{.name = "stop",
          .types = Type::text | Type::array,
          .longest = kMostStopLength,
          .most_items = 4,
          .item_types = Type::text,
          .help = "Up to four texts that end the answer"},
};

inline constexpr std::array kStreamFields{
    Field{
        .name = "stream", .types = Type::boolean, .help = "Server-sent events as the answer comes"},
};

// Accepted and without effect here: x-malina-ignored names them.
inline constexpr std::array kInertFields{
    Field{.name = "user", .types = Type::text, .use = Use::inert},
    Field{.name = "safety_identifier", .types = Type::text, .use = Use::inert},
    Field{.name = "prompt_cache_key", .types = Type::text, .use = Use::inert},
    Field{.name = "metadata", .types = Type::object, .use = Use::inert, .open = true},
    Field{.name = "service_tier", .types = Type::text, .use = Use::inert},
    Field{.name = "parallel_tool_calls", .types = Type::boolean, .use = Use::inert},
    Field{.name = "num_thread", .types = Type::integer, .use = Use::inert},
    Field{.name = "num_gpu", .types = Type::integer, .use = Use::inert},
    Field{.name = "store", .use = Use::refused, .neutral = "[false]", .told = true},
};

// Throws ApiError 400 for a bias that is no number in range or a key that is no token id, and for
// more than four stops or an empty one.
platform::SamplingOptions sampling_of(const Json& body);
std::vector<std::string> stops_of(const Json& body);

}  // namespace malina::serve
