// What a server counts, for Prometheus.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <chrono>
#include <string>
#include <string_view>

#include "platform/service.h"

namespace malina::serve {

// Any thread. Labels are routes of the table, models that were resolved and ids of keys that
// passed: none is a caller's own text, so their number stays bounded.
class Metrics {
 public:
  Metrics();

  void request(std::string_view route, unsigned status, double seconds);
  void tokens(const std::string& key, const std::string& model, std::size_t prompt,
              std::size_t cached, std::size_t completion);
  // One question to an upstream that is allowed; `outcome`: "answered", or a fault's name.
  void escalation(const std::string& upstream, std::string_view outcome);
  // Of the answers of one model: looked up once, not for each token. Not longer than these metrics.
  class OfModel {
   public:
    void first_token(double seconds) { first_token_.Observe(seconds); }
    void between_tokens(double seconds) { between_tokens_.Observe(seconds); }
    void queued(double seconds) { queue_.Observe(seconds); }

   private:
    friend Metrics;
    OfModel(Metrics& metrics, const std::string& model);
    prometheus::Histogram &first_token_, &between_tokens_, &queue_;
  };
  OfModel of(const std::string& model) { return OfModel(*this, model); }

  // Prometheus' text format, with the models' state as it is now.
  std::string text(platform::ModelPool& pool);

 private:
  using Labels = prometheus::Labels;

  const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>& request_seconds_;
  prometheus::Family<prometheus::Counter>& tokens_;
  prometheus::Family<prometheus::Counter>& escalations_;
  prometheus::Family<prometheus::Histogram>& first_token_;
  prometheus::Family<prometheus::Histogram>& between_tokens_;
  prometheus::Family<prometheus::Histogram>& queue_;
};

}  // namespace malina::serve
