#include "serve/metrics.h"

#include <fmt/format.h>
#include <prometheus/text_serializer.h>

#include <sstream>

#include "platform/language_model.h"

namespace malina::serve {

namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

// Seconds: an answer's beginning and whole, and the time between two pieces.
const Buckets kLong{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600};
const Buckets kShort{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5};

template <class Builder>
auto& family(Builder builder, const char* name, const char* help, prometheus::Registry& registry) {
  return builder.Name(name).Help(help).Register(registry);
}

// Gauges and counters that the engines keep themselves, in the same format.
class Lines {
 public:
  void begin(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  }
  // `labels`: name="value",... as they are to stand.
  template <class Number>
  void value(std::string_view labels, Number number) {
    text_ += fmt::format("{}{{{}}} {}\n", name_, labels, number);
  }
  void value(std::uint64_t number) { text_ += fmt::format("{} {}\n", name_, number); }
  std::string take() { return std::move(text_); }

 private:
  std::string text_, name_;
};

// An alias may have named one model that is still there and now name another: the digest tells them
// apart, since Prometheus takes no series twice.
std::string labels(const platform::PooledModel& model) {
  return fmt::format("model=\"{}\",digest=\"{}\"", model.label, model.digest.hex().substr(0, 12));
}

}  // namespace

Metrics::Metrics()
    : requests_(family(prometheus::BuildCounter(), "malina_requests_total",
                       "Requests, by route and status", registry_)),
      request_seconds_(family(prometheus::BuildHistogram(), "malina_request_seconds",
                              "From the end of a request's header to the end of its answer",
                              registry_)),
      tokens_(family(prometheus::BuildCounter(), "malina_tokens_total",
                     "Tokens, by key, model and kind (prompt, cached, completion)", registry_)),
      escalations_(family(prometheus::BuildCounter(), "malina_escalations_total",
                          "Questions to upstreams, by upstream and outcome", registry_)),
      first_token_(family(prometheus::BuildHistogram(), "malina_time_to_first_token_seconds",
                          "From a request's admission to the first token of its answer",
                          registry_)),
      between_tokens_(family(prometheus::BuildHistogram(), "malina_inter_token_seconds",
                             "Between two pieces of an answer", registry_)),
      queue_(family(prometheus::BuildHistogram(), "malina_queue_seconds",
                    "From a request's admission until it runs", registry_)) {}

void Metrics::request(std::string_view route, unsigned status, double seconds) {
  requests_.Add({{"route", std::string(route)}, {"status", fmt::format("{}", status)}}).Increment();
  request_seconds_.Add({{"route", std::string(route)}}, kLong).Observe(seconds);
}

void Metrics::tokens(const std::string& key, const std::string& model, std::size_t prompt,
                     std::size_t cached, std::size_t completion) {
  const auto add = [&](const char* kind, std::size_t count) {
    tokens_.Add({{"key", key}, {"model", model}, {"kind", kind}})
        .Increment(static_cast<double>(count));
  };
  add("prompt", prompt);
  add("cached", cached);
  add("completion", completion);
}

void Metrics::escalation(const std::string& upstream, std::string_view outcome) {
  escalations_.Add({{"upstream", upstream}, {"outcome", std::string(outcome)}}).Increment();
}

Metrics::OfModel::OfModel(Metrics& metrics, const std::string& model)
    : first_token_(metrics.first_token_.Add({{"model", model}}, kLong)),
      between_tokens_(metrics.between_tokens_.Add({{"model", model}}, kShort)),
      queue_(metrics.queue_.Add({{"model", model}}, kLong)) {}

std::string Metrics::text(platform::ModelPool& pool) {
  std::ostringstream stream;
  prometheus::TextSerializer().Serialize(stream, registry_.Collect());
  Lines lines;
  lines.begin("malina_memory_budget_bytes", "gauge", "What all models together may take");
  lines.value(pool.memory_bytes());
  lines.begin("malina_build_info", "gauge", "The version, as a label");
  lines.value("version=\"" MALINA_VERSION "\"", 1);
  lines.begin("process_start_time_seconds", "gauge", "Since 1970-01-01 UTC");
  lines.value(
      std::chrono::duration_cast<std::chrono::seconds>(started_.time_since_epoch()).count());
  const auto models = pool.models();
  const auto all = [&](std::string_view name, std::string_view type, std::string_view help,
                       auto value) {
    lines.begin(name, type, help);
    for (const platform::PooledModel& model : models)
      lines.value(labels(model), static_cast<std::uint64_t>(value(model)));
  };
  using Model = const platform::PooledModel&;
  lines.begin("malina_model_state", "gauge", "1, with the state as a label");
  for (Model model : models)
    lines.value(fmt::format("{},state=\"{}\"", labels(model), name(model.state)), 1);
  lines.begin("malina_model_unload_seconds", "gauge",
              "Until an unused model is given up; none for one in use and one that stays");
  for (Model model : models)
    if (model.expires_in) lines.value(labels(model), model.expires_in->count());
  all("malina_model_context_tokens", "gauge", "Positions of a sequence",
      [](Model model) { return model.context; });
  all("malina_model_users", "gauge", "Requests that hold the model",
      [](Model model) { return model.users; });
  all("malina_model_memory_bytes", "gauge", "Weights, keys and values, activations",
      [](Model model) { return model.memory_bytes; });
  all("malina_running", "gauge", "Answers that are computed",
      [](Model model) { return model.load.running; });
  all("malina_waiting", "gauge", "Answers that wait for their turn",
      [](Model model) { return model.load.waiting; });
  all("malina_pages_used", "gauge", "Pages of keys and values of what runs",
      [](Model model) { return model.load.pages_used; });
  all("malina_pages_cached", "gauge", "Pages kept for prompts that begin alike",
      [](Model model) { return model.load.pages_cached; });
  all("malina_pages_capacity", "gauge", "Pages that there are",
      [](Model model) { return model.load.pages_capacity; });
  all("malina_prompt_tokens_computed_total", "counter", "Since the model was loaded",
      [](Model model) { return model.load.prompt_tokens_computed; });
  all("malina_prompt_tokens_cached_total", "counter", "Taken from earlier prompts",
      [](Model model) { return model.load.prompt_tokens_cached; });
  all("malina_answer_tokens_total", "counter", "Since the model was loaded",
      [](Model model) { return model.load.answer_tokens; });
  all("malina_drafted_tokens_total", "counter", "Guessed ahead",
      [](Model model) { return model.load.drafted_tokens; });
  all("malina_accepted_tokens_total", "counter", "Guessed right",
      [](Model model) { return model.load.accepted_tokens; });
  all("malina_steps_total", "counter", "Forward passes",
      [](Model model) { return model.load.steps; });
  all("malina_preemptions_total", "counter", "Answers that gave their pages back for a while",
      [](Model model) { return model.load.preemptions; });
  return stream.str() + lines.take();
}

}  // namespace malina::serve
