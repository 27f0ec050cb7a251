#include "app/status_page.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

namespace malina::app {

namespace {

using platform::Latencies;
using platform::MetricHistogram;
using platform::ServedModel;
using platform::ServerStatus;
using Rows = std::vector<std::vector<std::string>>;

constexpr std::size_t kMostUsage = 20;  // rows of keys

// The first characters, with an ellipsis where some are missing. UTF-8, a column each.
std::string clipped(std::string_view text, std::size_t columns) {
  std::size_t characters = 0, bytes = 0, fit = 0;
  for (; bytes < text.size(); ++bytes) {
    if ((static_cast<unsigned char>(text[bytes]) & 0xC0U) == 0x80) continue;
    if (characters + 1 == columns) fit = bytes;  // where the ellipsis would go
    if (++characters > columns) return std::string(text.substr(0, fit)) + "…";
  }
  return std::string(text);
}

// Of text that has no styles.
std::string clipped_lines(std::string_view text, std::size_t columns) {
  std::string result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    result += clipped(text.substr(0, end), columns) + "\n";
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

std::string span_of_time(std::uint64_t seconds) {
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
}

std::string short_time(const std::optional<double>& seconds) {
  if (!seconds) return "-";
  if (*seconds < 0.0995) return fmt::format("{:.1f} ms", *seconds * 1000);
  if (*seconds < 0.9995) return fmt::format("{:.0f} ms", *seconds * 1000);
  return fmt::format("{:.1f} s", *seconds);
}

std::string rate(double a_second) { return fmt::format("{:.1f}", a_second); }

std::string share(double part, double whole) {
  return whole > 0 ? fmt::format("{:.0f} %", part / whole * 100) : "-";
}

std::uint64_t sum(const ServerStatus& status, std::uint64_t ServedModel::* field) {
  return std::accumulate(
      status.models.begin(), status.models.end(), std::uint64_t{0},
      [field](std::uint64_t total, const ServedModel& model) { return total + model.*field; });
}

std::uint64_t uptime(const StatusView& view) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, view.now - view.status.started_at));
}

// 4xx are the client's; 499 is one that went away, and no failure of anybody's.
std::uint64_t requests(const ServerStatus& status, bool failed) {
  std::uint64_t count = 0;
  for (const auto& each : status.requests)
    if (!failed || (each.status >= "400" && each.status != "499")) count += each.count;
  return count;
}

std::string unload(const ServedModel& model) {
  if (model.unload_seconds)
    return *model.unload_seconds < 120 ? fmt::format("in {} s", *model.unload_seconds)
           : *model.unload_seconds < 6000
               ? fmt::format("in {} min", (*model.unload_seconds + 59) / 60)
               : fmt::format("in {} h", (*model.unload_seconds + 3599) / 3600);
  return model.users > 0 ? "in use" : model.state == "ready" ? "never" : "";
}

std::string models_table(const ServerStatus& status) {
  Rows rows{{"MODEL", "STATE", "MEMORY", "RUN", "WAIT", "PAGES", "UNLOADED"}};
  for (const ServedModel& model : status.models)
    rows.push_back({clipped(printable(model.name), 22), printable(model.state),
                    human_bytes(model.memory_bytes), grouped(model.running), grouped(model.waiting),
                    fmt::format("{}/{}", model.pages_used, model.pages_capacity), unload(model)});
  if (status.models.empty()) rows.push_back({"none is in memory"});
  return table(rows, {2, 3, 4, 5});
}

std::string activity_table(const StatusView& view) {
  const auto& recent = view.recent;
  const auto row = [&](std::string name, MetricHistogram Latencies::* of) {
    const MetricHistogram& now = recent.latencies.*of;
    const MetricHistogram& all = view.status.latencies.*of;
    return std::vector<std::string>{std::move(name),
                                    short_time(now.quantile(0.5)),
                                    short_time(now.quantile(0.99)),
                                    short_time(all.quantile(0.5)),
                                    short_time(all.quantile(0.99)),
                                    grouped(static_cast<std::uint64_t>(all.count()))};
  };
  const std::string window = span_of_time(static_cast<std::uint64_t>(recent.seconds + 0.5));
  return table({{"LATENCY", "p50", "p99", "p50", "p99", "COUNT"},
                {"", "last " + window, "last " + window, "all time", "all time", ""},
                row("time to first token", &Latencies::first_token),
                row("between tokens", &Latencies::between_tokens),
                row("waiting for a turn", &Latencies::queue)},
               {1, 2, 3, 4, 5});
}

std::string usage_table(const ServerStatus& status) {
  Rows rows{{"KEY", "MODEL", "PROMPT", "CACHED", "ANSWER"}};
  for (const auto& usage : status.usage) {
    if (rows.size() > kMostUsage) break;
    rows.push_back({clipped(printable(usage.key), 19), clipped(printable(usage.model), 20),
                    grouped(usage.prompt_tokens), grouped(usage.cached_tokens),
                    grouped(usage.answer_tokens)});
  }
  std::string text = table(rows, {2, 3, 4});
  if (status.usage.size() > kMostUsage)
    text += fmt::format("and {} more (--json has all)\n", status.usage.size() - kMostUsage);
  return text;
}

// The first line stands out.
std::string headed(const Console& console, const std::string& text, std::size_t columns) {
  const std::string lines = clipped_lines(text, columns);
  const std::size_t end = lines.find('\n');
  return console.styled(Style::bold, lines.substr(0, end)) + lines.substr(end);
}

Json latency_json(const MetricHistogram& of) {
  const auto number = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json();
  };
  return {{"p50_seconds", number(of.quantile(0.5))},
          {"p99_seconds", number(of.quantile(0.99))},
          {"count", static_cast<std::uint64_t>(of.count())}};
}

Json latencies_json(const Latencies& latencies) {
  return {{"first_token", latency_json(latencies.first_token)},
          {"between_tokens", latency_json(latencies.between_tokens)},
          {"queue", latency_json(latencies.queue)}};
}

Json model_json(const ServedModel& model) {
  return {{"name", model.name},
          {"digest", model.digest},
          {"state", model.state},
          {"memory_bytes", model.memory_bytes},
          {"context_tokens", model.context_tokens},
          {"users", model.users},
          {"running", model.running},
          {"waiting", model.waiting},
          {"pages_used", model.pages_used},
          {"pages_cached", model.pages_cached},
          {"pages_capacity", model.pages_capacity},
          {"prompt_tokens", model.prompt_tokens},
          {"cached_tokens", model.cached_tokens},
          {"answer_tokens", model.answer_tokens},
          {"unload_seconds", model.unload_seconds ? Json(*model.unload_seconds) : Json()}};
}

}  // namespace

std::string status_page(const StatusView& view, const Console& console, std::size_t columns) {
  const ServerStatus& status = view.status;
  const auto& recent = view.recent;
  const std::string first = fmt::format("malina {} at {}, up {}", printable(status.version),
                                        printable(view.server), span_of_time(uptime(view)));
  const std::string second = fmt::format(
      "memory {} of {}   running {}   waiting {}   requests {}, failed {}\n",
      human_bytes(sum(status, &ServedModel::memory_bytes)), human_bytes(status.memory_budget_bytes),
      sum(status, &ServedModel::running), sum(status, &ServedModel::waiting),
      grouped(requests(status, false)), grouped(requests(status, true)));
  const std::string tokens =
      fmt::format("tokens/s   prompts {}   from cache {} ({})   answers {}\n",
                  rate(recent.prompt_tokens), rate(recent.cached_tokens),
                  share(recent.cached_tokens, recent.cached_tokens + recent.prompt_tokens),
                  rate(recent.answer_tokens));
  std::string page = console.styled(Style::bold, clipped(first, columns)) + "\n";
  if (!view.trouble.empty())
    page += console.styled(Style::red, clipped(printable(view.trouble), columns)) + "\n";
  page += clipped_lines(second + tokens, columns) + "\n";
  page += headed(console, models_table(status), columns) + "\n";
  page += headed(console, activity_table(view), columns);
  if (!status.usage.empty()) page += "\n" + headed(console, usage_table(status), columns);
  return page;
}

Json status_json(const StatusView& view) {
  const ServerStatus& status = view.status;
  Json models = Json::array(), usage = Json::array(), routes = Json::array();
  for (const ServedModel& model : status.models) models.push_back(model_json(model));
  for (const auto& each : status.usage)
    usage.push_back({{"key", each.key},
                     {"model", each.model},
                     {"prompt_tokens", each.prompt_tokens},
                     {"cached_tokens", each.cached_tokens},
                     {"answer_tokens", each.answer_tokens}});
  for (const auto& each : status.requests)
    routes.push_back({{"route", each.route}, {"status", each.status}, {"count", each.count}});
  return {{"server", view.server},
          {"version", status.version},
          {"started_at", utc_time(status.started_at)},
          {"uptime_seconds", uptime(view)},
          {"memory_bytes", sum(status, &ServedModel::memory_bytes)},
          {"memory_budget_bytes", status.memory_budget_bytes},
          {"running", sum(status, &ServedModel::running)},
          {"waiting", sum(status, &ServedModel::waiting)},
          {"models", std::move(models)},
          {"recent",
           {{"seconds", view.recent.seconds},
            {"prompt_tokens_per_second", view.recent.prompt_tokens},
            {"cached_tokens_per_second", view.recent.cached_tokens},
            {"answer_tokens_per_second", view.recent.answer_tokens},
            {"latency", latencies_json(view.recent.latencies)}}},
          {"latency", latencies_json(status.latencies)},
          {"usage", std::move(usage)},
          {"requests", std::move(routes)}};
}

}  // namespace malina::app
