#include "platform/url_policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;

bool is_within(std::string_view host, std::string_view domain) {
  return host == domain || (host.size() > domain.size() + 1 && host.ends_with(domain) &&
                            host[host.size() - domain.size() - 1] == '.');
}

Url parse_allowed(const std::string& entry) {
  try {
    Url url = parse_url("https://" + entry);
    if (url.target == "/" && entry.find_first_of("/?#") == std::string::npos) return url;
  } catch (const Error&) {
  }
  throw Error(Fault::invalid_argument,
              fmt::format("--allow-host '{}' is not a host, such as cdn.example.org or "
                          "cdn.example.org:8443",
                          entry));
}

bool is_default_port(const Url& url) { return url.port == (url.scheme == "https" ? 443 : 80); }

}  // namespace

std::vector<std::string_view> content_domains(std::string_view host) {
  // https://huggingface.co/docs/hub: files are served by cdn-lfs*.hf.co and *.xethub.hf.co.
  if (host == "huggingface.co" || host == "hf.co") return {"huggingface.co", "hf.co"};
  return {};
}

UrlPolicy::UrlPolicy(Url start, const std::vector<std::string>& allowed)
    : start_(std::move(start)) {
  for (const std::string& entry : allowed) allowed_.push_back(parse_allowed(entry));
}

void UrlPolicy::check_start() const {
  if (start_.scheme == "https" || start_.is_loopback()) return;
  throw Error(Fault::invalid_argument,
              fmt::format("{} is not https; without encryption anyone on the way could change the "
                          "model, so http is for this machine itself alone",
                          start_.shown()));
}

bool UrlPolicy::allows(const Url& url) const {
  if (url.host == start_.host && url.port == start_.port) return true;
  for (const Url& entry : allowed_)
    if (url.host == entry.host &&
        (url.port == entry.port || (entry.port == 443 && is_default_port(url))))
      return true;
  if (!is_default_port(url) || url.is_address() || url.is_loopback()) return false;
  if (start_.is_address() || start_.host.find('.') == std::string::npos) return false;
  if (is_within(url.host, start_.host)) return true;
  const auto domains = content_domains(start_.host);
  return std::any_of(domains.begin(), domains.end(),
                     [&](std::string_view domain) { return is_within(url.host, domain); });
}

void UrlPolicy::check_redirect(const Url& from, const Url& to) const {
  if (to.scheme != "https" && !(from.scheme == "http" && from.is_loopback() && to.is_loopback()))
    throw Error(Fault::unsupported,
                fmt::format("{} redirects to {}, which is not https", from.shown(), to.shown()));
  if (allows(to)) return;
  const std::string host = is_default_port(to) ? to.host : fmt::format("{}:{}", to.host, to.port);
  throw Error(
      Fault::unsupported,
      fmt::format("{0} redirects to another host, {1}; if you trust it, add --allow-host {1}",
                  from.shown(), host));
}

}  // namespace malina::platform
