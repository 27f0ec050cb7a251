#include "platform/connector_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/near_match.h"
#include "base/quantity.h"
#include "govern/private_file.h"
#include "platform/http_client.h"
#include "platform/toml_library.h"
#include "platform/upstream.h"
#include "platform/url_policy.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;
using std::chrono::seconds;

constexpr std::chrono::milliseconds kLongestTime = std::chrono::minutes(10);
constexpr std::size_t kMostAnswer = std::size_t{16} << 20;

const std::vector<std::string> kKeys{"url",     "model",      "key_file",
                                     "timeout", "max_answer", "logprobs"};

class UpstreamReader {
 public:
  UpstreamReader(const std::string& label, const std::filesystem::path& folder)
      : label_(label), folder_(folder) {}

  Upstream read(const toml::key& name, const toml::table& table) {
    Upstream upstream;
    upstream.name = name.str();
    if (const auto fault = upstream_name_fault(upstream.name); !fault.empty())
      fail_at(label_, name.source(), fmt::format("[{}] {}", upstream.name, fault));
    for (const auto& [key, node] : table) take(key, node, upstream);
    if (upstream.url.host.empty() || upstream.model.empty())
      fail_at(
          label_, name.source(),
          fmt::format("[{}] has no {}", upstream.name, upstream.model.empty() ? "model" : "url"));
    return upstream;
  }

 private:
  void take(const toml::key& key, const toml::node& node, Upstream& upstream) {
    const std::string_view name = key.str();
    if (std::ranges::find(kKeys, name) == kKeys.end())
      fail_at(label_, key.source(),
              fmt::format("there is no setting '{}' of an upstream{}", name,
                          base::did_you_mean(name, kKeys)));
    if (name == "url") upstream.url = url(node);
    if (name == "model") upstream.model = text(node, name);
    if (name == "key_file") upstream.key = key_in(node);
    if (name == "timeout") upstream.time_limit = time(node);
    if (name == "max_answer") upstream.most_bytes = bytes(node);
    if (name == "logprobs") upstream.log_probabilities = flag(node);
  }

  [[noreturn]] void wrong(const toml::node& node, std::string_view name, std::string_view what) {
    fail_at(label_, node.source(), fmt::format("{} = {} {}", name, quoted(node), what));
  }

  std::string text(const toml::node& node, std::string_view name) {
    const auto* value = node.as_string();
    if (value == nullptr || value->get().empty() || value->get().size() > 1024)
      wrong(node, name, "is no text of 1 to 1024 bytes, in quotes");
    return value->get();
  }

  Url url(const toml::node& node) {
    std::string base = text(node, "url");
    while (base.ends_with('/')) base.pop_back();
    try {
      if (base.find_first_of("?#") != std::string::npos)
        throw Error(Fault::invalid_argument,
                    "it goes on behind its path: /chat/completions is added to it");
      Url parsed = parse_url(base + "/chat/completions");
      UrlPolicy(parsed, {}).check_start();
      return parsed;
    } catch (const Error& error) {
      wrong(node, "url", fmt::format("is not the base of an API: {}", error.what()));
    }
  }

  std::string key_in(const toml::node& node) {
    const std::filesystem::path file = folder_ / text(node, "key_file");
    try {
      auto key = govern::read_private_file(file);
      if (!key) throw Error(Fault::not_found, fmt::format("there is no file {}", file.string()));
      while (key->ends_with('\n') || key->ends_with('\r')) key->pop_back();
      if (key->empty())
        throw Error(Fault::invalid_argument, fmt::format("{} holds no key", file.string()));
      check_token(*key, file.string());
      return *std::move(key);
    } catch (const Error& error) {
      throw Error(error.fault(),
                  fmt::format("{}:{}: {}", label_, node.source().begin.line, error.what()));
    }
  }

  std::chrono::milliseconds time(const toml::node& node) {
    const auto* value = node.as_string();
    const auto time = value == nullptr ? std::nullopt : base::parse_duration(value->get());
    if (!time || *time < seconds(1) || *time > kLongestTime)
      wrong(node, "timeout", "is no duration from 1s to 10m, in quotes");
    return *time;
  }

  std::size_t bytes(const toml::node& node) {
    const auto* value = node.as_string();
    const auto size = value == nullptr ? std::nullopt : base::parse_size(value->get());
    if (!size || *size < 1024 || *size > kMostAnswer)
      wrong(node, "max_answer", "is no size from 1KiB to 16MiB, in quotes");
    return *size;
  }

  bool flag(const toml::node& node) {
    const auto* value = node.as_boolean();
    if (value == nullptr) wrong(node, "logprobs", "is neither true nor false, without quotes");
    return value->get();
  }

  const std::string& label_;
  const std::filesystem::path& folder_;
};

}  // namespace

std::vector<Upstream> parse_upstreams(std::string_view text, const std::string& label,
                                      const std::filesystem::path& folder) {
  const toml::table root = parse_toml(text, label);
  UpstreamReader reader(label, folder);
  std::vector<Upstream> upstreams;
  for (const auto& [name, node] : root) {
    const toml::table* const table = node.as_table();
    if (table == nullptr)
      fail_at(label, name.source(),
              fmt::format("'{}' stands outside of a table: an upstream begins with a line such as "
                          "[big]",
                          name.str()));
    upstreams.push_back(reader.read(name, *table));
  }
  if (upstreams.empty())
    throw Error(
        Fault::invalid_argument,
        fmt::format("{}:1: there is no upstream in it: one begins with a line such as [big]",
                    label));
  return upstreams;
}

std::vector<Upstream> read_upstreams(const std::filesystem::path& file) {
  return parse_upstreams(read_toml_file(file), file.string(),
                         std::filesystem::absolute(file).parent_path());
}

}  // namespace malina::platform
