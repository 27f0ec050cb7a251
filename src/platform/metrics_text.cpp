#include "platform/metrics_text.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace malina::platform {

namespace {

// Reads one line from its beginning.
class Line {
 public:
  explicit Line(std::string_view text) : text_(text), rest_(text) {}

  MetricSample sample() {
    MetricSample sample;
    sample.name = word();
    if (take('{'))
      while (!take('}')) {
        std::string label = word();
        if (!take('=') || !take('"')) fail();
        sample.labels[std::move(label)] = value_of_label();
        if (!take(',') && !rest_.starts_with('}')) fail();
      }
    if (!take(' ')) fail();
    sample.value = number();
    return sample;
  }

 private:
  [[noreturn]] void fail() const {
    throw base::Error(base::Fault::unsupported,
                      fmt::format("'{}' is no line of Prometheus' format", text_.substr(0, 200)));
  }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string word() {
    std::size_t length = 0;
    const auto fits = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == ':';
    };
    while (length < rest_.size() && fits(rest_[length])) ++length;
    if (length == 0) fail();
    std::string result(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return result;
  }
  std::string value_of_label() {
    std::string result;
    while (!take('"')) {
      if (rest_.empty()) fail();
      const bool escaped = take('\\');
      if (rest_.empty()) fail();
      result += escaped && rest_.front() == 'n' ? '\n' : rest_.front();
      rest_.remove_prefix(1);
    }
    return result;
  }
  // A time stamp may follow it.
  double number() {
    const std::string_view text = rest_.substr(0, rest_.find(' '));
    if (text == "+Inf") return std::numeric_limits<double>::infinity();
    if (text == "-Inf") return -std::numeric_limits<double>::infinity();
    if (text == "Nan" || text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) fail();
    return value;
  }

  const std::string_view text_;
  std::string_view rest_;
};

}  // namespace

std::string_view MetricSample::label(std::string_view of) const {
  const auto found = labels.find(of);
  return found == labels.end() ? std::string_view() : found->second;
}

std::vector<MetricSample> parse_metrics(std::string_view text) {
  std::vector<MetricSample> samples;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.front() != '#') samples.push_back(Line(line).sample());
  }
  return samples;
}

double MetricHistogram::count() const { return at_most_.empty() ? 0 : at_most_.rbegin()->second; }

MetricHistogram MetricHistogram::since(const MetricHistogram& earlier) const {
  if (earlier.count() > count()) return *this;
  MetricHistogram result;
  for (const auto& [bound, count] : at_most_) {
    const auto before = earlier.at_most_.find(bound);
    result.add(bound, count - (before == earlier.at_most_.end() ? 0 : before->second));
  }
  return result;
}

std::optional<double> MetricHistogram::quantile(double quantile) const {
  const double wanted = quantile * count();
  if (!(count() > 0)) return std::nullopt;
  double lower = 0, below = 0;
  for (const auto& [bound, at_most] : at_most_) {
    if (std::isinf(bound)) break;
    if (at_most >= wanted && at_most > below)
      return lower + (bound - lower) * (wanted - below) / (at_most - below);
    lower = bound;
    below = at_most;
  }
  return lower;
}

}  // namespace malina::platform
