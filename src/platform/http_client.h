// One GET over https, with redirects followed by hand so that each is judged (url_policy.h); or one
// POST, whose redirects are never followed.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "platform/curl_library.h"
#include "platform/url.h"
#include "platform/url_policy.h"

namespace malina::platform {

struct HttpRequest {
  Url url;
  std::uint64_t offset = 0;              // above 0: Range: bytes=offset-
  std::string if_range = {};             // sent with a Range where it is not empty
  std::optional<std::string> json = {};  // the body of a POST; nullopt: a GET
};

// The head of an answer. Names are lower case, values trimmed; of a repeated name the last counts.
struct HttpHead {
  Url url;  // that answered, after redirects
  int status = 0;
  std::map<std::string, std::string, std::less<>> headers;
  // X-Linked-Etag, X-Linked-Size and X-Repo-Commit of redirects on the asked host itself: the hub
  // says there what the file is, and the content host that follows does not know.
  std::map<std::string, std::string, std::less<>> linked;

  std::string_view header(std::string_view name) const;  // "" where it is missing
};

// How a transfer ended that brought a head. `cut` says why in words; it is empty for a whole one.
struct HttpResult {
  HttpHead head;
  std::string cut;
  bool timed_out = false;   // that is why it was cut
  bool may_be_sent = true;  // false: there was no connection, so nothing of the request left
};

// Called in order, on the caller's thread. Errors that they throw end the transfer and come out of
// get().
struct HttpSink {
  std::function<bool(const HttpHead&)> on_head;  // false: the body is not wanted
  std::function<void(std::span<const std::byte>)> on_body;
  std::function<void()> on_tick;  // about once a second, also while nothing arrives
};

struct HttpOptions {
  std::chrono::seconds timeout{30};         // to connect, and for which nothing may arrive
  Url token_origin;                         // the token goes to this scheme, host and port alone
  std::string token;                        // "" for none
  std::chrono::milliseconds whole_time{0};  // of a transfer, from the connection on; 0: any
};

// One owner, one thread. Proxies come from the environment (https_proxy, no_proxy, ...), as libcurl
// reads them; the certificates are the system's, or those that CURL_CA_BUNDLE, SSL_CERT_FILE or
// SSL_CERT_DIR name. No cookies, no .netrc, no other protocols than https (and http where asked
// for).
class HttpClient {
 public:
  HttpClient(const CurlLibrary& library, HttpOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Follows at most 5 redirects. What is worth another try (no connection, a cut, a stall) is
  // returned as `cut`, with status 0 where no head came; what is not is thrown: a certificate
  // (io), a redirect that the policy refuses or a sixth one (unsupported).
  HttpResult get(const HttpRequest& request, const UrlPolicy& policy, const HttpSink& sink);
  // Sends request.json. A redirect is an answer like every other, and its body is not read. Throws
  // io where it cannot be sent at all (a name that is not known, a certificate).
  HttpResult post(const HttpRequest& request, const HttpSink& sink);

 private:
  struct Transfer;
  void prepare(const HttpRequest& request, Transfer& transfer, void* headers);
  std::string perform(const HttpRequest& request, Transfer& transfer);
  std::string reason(CURLcode code) const;

  const CurlLibrary library_;
  const HttpOptions options_;
  CURL* handle_ = nullptr;                      // keeps the connection for the next request
  std::array<char, CURL_ERROR_SIZE> reason_{};  // libcurl's own words; it writes here
};

// MALINA's own check of a token: printable ASCII without spaces, so that it is one header's value.
// Throws invalid_argument that does not show it, but where it is from.
void check_token(std::string_view token, std::string_view from = "HF_TOKEN");

}  // namespace malina::platform
