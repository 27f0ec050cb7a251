// What a server says to `malina pull`: addresses, headers and lists of files, all hostile. Whatever
// is accepted keeps its promises: an address has no second reading, a range is true in itself, and
// a path leads nowhere else.
#include <cstdint>
#include <string>
#include <string_view>

#include "finding.h"
#include "platform/http_header.h"
#include "platform/hub.h"
#include "platform/url.h"
#include "platform/url_policy.h"

namespace {

using namespace malina;
using namespace malina::platform;
using fuzz::require;
using fuzz::unless_refused;

void check_url(std::string_view text) {
  const Url base = parse_url("https://hub.example.org/owner/repo?x");
  unless_refused([&] {
    const Url url = resolve_url(base, text);
    require(url.target.starts_with('/'));
    require(url.text().find_first_of(" \r\n\t\\#") == std::string::npos);
    require(url.origin().find('@') == std::string::npos);
    const Url again = parse_url(url.text());
    require(again.same_origin(url) && again.target == url.target);
    UrlPolicy(base, {}).check_redirect(base, url);
    require(url.scheme == "https" && !url.is_address() && !url.is_loopback());
    require(url.host == "hub.example.org" || url.host.ends_with(".hub.example.org"));
  });
}

void check_headers(std::string_view text) {
  if (const auto range = parse_content_range(text)) {
    require(range->first <= range->last);
    require(!range->total || range->last < *range->total);
  }
  if (const auto wait = parse_retry_after(text, std::chrono::system_clock::from_time_t(1)))
    require(wait->count() >= 0);
  if (is_strong_etag(text)) require(text.find_first_of("\r\n") == std::string_view::npos);
  if (const auto next = next_link(text)) check_url(*next);
}

void check_listing(std::string_view text) {
  const Url endpoint = parse_url("https://hub.example.org/mirror");
  const HubReference reference = parse_hub_reference("hf:owner/repo");
  unless_refused([&] {
    HubListing listing{parse_listing(text, "x"), ""};
    const PullPlan plan =
        plan_hub(endpoint, reference, listing, [](std::span<const PullChoice> choices) {
          require(choices.size() > 1);
          return choices.size() - 1;
        });
    for (const PlannedFile& file : plan.files) {
      require(file.url.same_origin(endpoint));
      require(file.url.target.starts_with("/mirror/owner/repo/resolve/main/"));
      require(file.url.target.find("/../") == std::string::npos);
      require(file.local_name.find('/') == std::string::npos && !file.local_name.starts_with('.'));
    }
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_url(bytes);
  check_headers(bytes);
  unless_refused([&] { parse_hub_reference(bytes); });
  check_listing(bytes);
  return 0;
}
