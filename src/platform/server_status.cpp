#include "platform/server_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>
#include <tuple>

#include "base/error.h"

namespace malina::platform {

namespace {

// Counts come as floating point numbers, and from elsewhere.
std::uint64_t whole(double value) {
  if (!(value > 0)) return 0;
  return value < 0x1p63 ? static_cast<std::uint64_t>(std::llround(value)) : std::uint64_t{1} << 63;
}

struct ModelField {
  std::string_view metric;
  std::uint64_t ServedModel::* place;
};
constexpr ModelField kModelFields[] = {
    {"malina_model_memory_bytes", &ServedModel::memory_bytes},
    {"malina_model_context_tokens", &ServedModel::context_tokens},
    {"malina_model_users", &ServedModel::users},
    {"malina_running", &ServedModel::running},
    {"malina_waiting", &ServedModel::waiting},
    {"malina_pages_used", &ServedModel::pages_used},
    {"malina_pages_cached", &ServedModel::pages_cached},
    {"malina_pages_capacity", &ServedModel::pages_capacity},
    {"malina_prompt_tokens_computed_total", &ServedModel::prompt_tokens},
    {"malina_prompt_tokens_cached_total", &ServedModel::cached_tokens},
    {"malina_answer_tokens_total", &ServedModel::answer_tokens},
};

struct HistogramField {
  std::string_view metric;
  MetricHistogram Latencies::* place;
};
constexpr HistogramField kHistograms[] = {
    {"malina_time_to_first_token_seconds_bucket", &Latencies::first_token},
    {"malina_inter_token_seconds_bucket", &Latencies::between_tokens},
    {"malina_queue_seconds_bucket", &Latencies::queue},
};

ServedModel& model_of(ServerStatus& status, const MetricSample& sample) {
  const auto same = [&](const ServedModel& model) {
    return model.name == sample.label("model") && model.digest == sample.label("digest");
  };
  const auto found = std::ranges::find_if(status.models, same);
  if (found != status.models.end()) return *found;
  ServedModel& model = status.models.emplace_back();
  model.name = sample.label("model");
  model.digest = sample.label("digest");
  return model;
}

void take_usage(ServerStatus& status, const MetricSample& sample) {
  auto found = std::ranges::find_if(status.usage, [&](const KeyUsage& usage) {
    return usage.key == sample.label("key") && usage.model == sample.label("model");
  });
  if (found == status.usage.end())
    found = status.usage.insert(found, {.key = std::string(sample.label("key")),
                                        .model = std::string(sample.label("model"))});
  const std::string_view kind = sample.label("kind");
  if (kind == "prompt") found->prompt_tokens = whole(sample.value);
  if (kind == "cached") found->cached_tokens = whole(sample.value);
  if (kind == "completion") found->answer_tokens = whole(sample.value);
}

double bound_of(const MetricSample& bucket) {
  const std::string_view text = bucket.label("le");
  double bound = std::numeric_limits<double>::infinity();
  if (text != "+Inf") std::from_chars(text.data(), text.data() + text.size(), bound);
  return bound;
}

void take(ServerStatus& status, const MetricSample& sample) {
  const auto model_field = std::ranges::find(kModelFields, sample.name, &ModelField::metric);
  if (model_field != std::end(kModelFields)) {
    model_of(status, sample).*model_field->place = whole(sample.value);
    return;
  }
  const auto histogram = std::ranges::find(kHistograms, sample.name, &HistogramField::metric);
  if (histogram != std::end(kHistograms)) {
    (status.latencies.*histogram->place).add(bound_of(sample), sample.value);
    return;
  }
  if (sample.name == "malina_build_info") status.version = sample.label("version");
  if (sample.name == "process_start_time_seconds")
    status.started_at = static_cast<std::int64_t>(whole(sample.value));
  if (sample.name == "malina_memory_budget_bytes") status.memory_budget_bytes = whole(sample.value);
  if (sample.name == "malina_model_state") model_of(status, sample).state = sample.label("state");
  if (sample.name == "malina_model_unload_seconds")
    model_of(status, sample).unload_seconds = whole(sample.value);
  if (sample.name == "malina_tokens_total") take_usage(status, sample);
  if (sample.name == "malina_requests_total")
    status.requests.push_back({.route = std::string(sample.label("route")),
                               .status = std::string(sample.label("status")),
                               .count = whole(sample.value)});
}

}  // namespace

ServerStatus parse_server_status(std::string_view metrics) {
  ServerStatus status;
  for (const MetricSample& sample : parse_metrics(metrics)) take(status, sample);
  if (status.version.empty())
    throw base::Error(base::Fault::unsupported,
                      "the metrics lack malina_build_info: they are another program's, or of "
                      "another version");
  std::ranges::sort(status.models, {},
                    [](const ServedModel& model) { return std::tie(model.name, model.digest); });
  const auto tokens = [](const KeyUsage& usage) {
    return usage.prompt_tokens + usage.answer_tokens;
  };
  std::ranges::stable_sort(status.usage, std::ranges::greater(), tokens);
  std::ranges::sort(status.requests, {}, [](const RouteRequests& requests) {
    return std::tie(requests.route, requests.status);
  });
  return status;
}

ServerStatus read_server_status(const ApiServer& server) {
  return parse_server_status(api_get(server, "/metrics"));
}

ServerActivity activity(const ServerStatus& before, const ServerStatus& after, double seconds) {
  static const ServerStatus kNothing;
  const ServerStatus& from = before.started_at == after.started_at ? before : kNothing;
  ServerActivity result{.seconds = seconds};
  for (const ServedModel& now : after.models) {
    static const ServedModel kNew;
    const auto found = std::ranges::find_if(from.models, [&](const ServedModel& model) {
      return model.name == now.name && model.digest == now.digest;
    });
    // One that went and came counts less than it did.
    const bool known = found != from.models.end() && found->answer_tokens <= now.answer_tokens &&
                       found->prompt_tokens <= now.prompt_tokens &&
                       found->cached_tokens <= now.cached_tokens;
    const ServedModel& then = known ? *found : kNew;
    const auto rate = [&](std::uint64_t ServedModel::* count) {
      return seconds > 0 ? static_cast<double>(now.*count - then.*count) / seconds : 0;
    };
    result.prompt_tokens += rate(&ServedModel::prompt_tokens);
    result.cached_tokens += rate(&ServedModel::cached_tokens);
    result.answer_tokens += rate(&ServedModel::answer_tokens);
  }
  for (const HistogramField& field : kHistograms)
    result.latencies.*field.place =
        (after.latencies.*field.place).since(from.latencies.*field.place);
  return result;
}

}  // namespace malina::platform
