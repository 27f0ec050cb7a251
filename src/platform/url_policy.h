// Where `malina pull` may go, and where its token goes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "platform/url.h"

namespace malina::platform {

// Hosts by name, or by name and port. A pure value: the same request gives the same answer.
class UrlPolicy {
 public:
  // `start` is what was asked for. Allowed are its own host and port, sub-domains of its host, the
  // content hosts of a known hub (content_domains), and `allowed`, each "HOST" (then at the
  // scheme's own port) or "HOST:PORT". Throws invalid_argument for an entry that is neither.
  UrlPolicy(Url start, const std::vector<std::string>& allowed);

  // Throws invalid_argument unless it is https, or http to this machine itself.
  void check_start() const;
  // Throws base::Error(unsupported) that names both addresses unless `to` may follow `from`: never
  // from https to http, and only to an allowed host. An address in digits, or this machine itself,
  // is only ever allowed by its own name: a server outside cannot point into the house.
  void check_redirect(const Url& from, const Url& to) const;

 private:
  bool allows(const Url& url) const;

  Url start_;
  std::vector<Url> allowed_;
};

// The domains that a hub keeps its files under, beside its own; none for a host that is not known.
// "huggingface.co" has "hf.co" (cdn-lfs.hf.co, cas-bridge.xethub.hf.co, ...).
std::vector<std::string_view> content_domains(std::string_view host);

}  // namespace malina::platform
