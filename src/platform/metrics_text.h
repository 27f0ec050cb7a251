// Prometheus' text format, as a server's /metrics speaks it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace malina::platform {

// `name{label="value"} value`. Label values are foreign text.
struct MetricSample {
  std::string name;
  std::map<std::string, std::string, std::less<>> labels;
  double value = 0;

  std::string_view label(std::string_view of) const;  // "" where there is none
};

// Every line that is no comment, in order. Throws base::Error(unsupported) that names the first
// line that is not of the format.
std::vector<MetricSample> parse_metrics(std::string_view text);

// Counts of observations by upper bound. A plain value.
class MetricHistogram {
 public:
  // Of one more `NAME_bucket` sample: `count` observations were at most `bound`.
  void add(double bound, double count) { at_most_[bound] += count; }
  double count() const;  // of all observations
  // What came since `earlier`, which is an older state of the same; all of it where the counts went
  // back, as after a restart.
  MetricHistogram since(const MetricHistogram& earlier) const;
  // An estimate, by even spread within a bucket (as Prometheus' histogram_quantile): the highest
  // finite bound where the quantile lies above it; nullopt without observations. `quantile`: 0
  // to 1.
  std::optional<double> quantile(double quantile) const;

 private:
  std::map<double, double> at_most_;  // cumulative, as it comes
};

}  // namespace malina::platform
