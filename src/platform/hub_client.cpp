#include "platform/hub_client.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/error.h"
#include "platform/download.h"
#include "platform/http_header.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;

constexpr const char* kHub = "https://huggingface.co";
constexpr std::size_t kMostPageBytes = std::size_t{8} << 20;  // 1000 entries have about 300 KB

HubPage read_page(const HttpHead& head, std::string body) {
  return {.body = std::move(body),
          .next = next_link(head.header("link")).value_or(""),
          .commit = std::string(head.header("x-repo-commit"))};
}

HubPage fetch_page(HttpClient& client, const UrlPolicy& policy, const Url& url,
                   const std::string& what, unsigned retries, const std::function<void()>& tick) {
  for (unsigned failures = 1;; ++failures) {
    std::string body;
    const HttpSink sink{
        .on_head = [](const HttpHead& head) { return head.status == 200; },
        .on_body =
            [&](std::span<const std::byte> bytes) {
              if (bytes.size() > kMostPageBytes - body.size())
                throw Error(
                    Fault::unsupported,
                    fmt::format("the hub's list of the files of {} is longer than 8 MiB", what));
              body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            },
        .on_tick = tick};
    const HttpResult result = client.get({.url = url}, policy, sink);
    std::string reason = result.cut;
    if (reason.empty()) {
      if (result.head.status == 200) return read_page(result.head, std::move(body));
      if (!is_temporary(result.head.status)) throw status_error(result.head, what);
      reason = fmt::format("the server answers with status {}", result.head.status);
    }
    if (failures > retries)
      throw Error(Fault::io,
                  fmt::format("cannot list the files of {} at {}: {}", what, url.origin(), reason));
    wait_between_tries(pause_before_try(failures, result.head), tick);
  }
}

}  // namespace

Url hub_endpoint(const std::string& asked) {
  std::string text = asked;
  if (const char* const set = std::getenv("HF_ENDPOINT"); text.empty() && set != nullptr)
    text = set;
  if (text.empty()) text = kHub;
  Url endpoint = parse_url(text);
  if (endpoint.target.find('?') != std::string::npos)
    throw Error(Fault::invalid_argument,
                fmt::format("the endpoint {} has a query", endpoint.shown()));
  while (endpoint.target.size() > 1 && endpoint.target.ends_with('/')) endpoint.target.pop_back();
  return endpoint;
}

HubListing fetch_listing(HttpClient& client, const UrlPolicy& policy, const Url& endpoint,
                         const HubReference& reference, unsigned retries,
                         const std::function<void()>& tick) {
  return read_listing(endpoint, reference, [&](const Url& url) {
    return fetch_page(client, policy, url, reference.text(), retries, tick);
  });
}

}  // namespace malina::platform
