#include "platform/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <memory>

#include "base/error.h"
#include "platform/http_header.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;

constexpr int kMostRedirects = 5;
constexpr std::size_t kMostHeaderBytes = std::size_t{64} << 10;
constexpr long kSlowestBytesPerSecond = 100;  // below that for the whole timeout is a stall

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Failures that a second try cannot mend.
bool is_final(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_UNKNOWN_OPTION:
    case CURLE_OUT_OF_MEMORY:
      return true;
    default:
      return false;
  }
}

}  // namespace

// What the callbacks of one request share.
struct HttpClient::Transfer {
  const HttpSink& sink;
  HttpHead head;
  std::size_t header_bytes = 0;
  bool head_given = false, unwanted = false, timed_out = false, may_be_sent = true;
  std::exception_ptr failure;  // of a callback: C code must not see it

  // Runs `work`; false, with the failure kept, where it throws.
  template <typename Work>
  bool guarded(Work work) {
    try {
      work();
      return true;
    } catch (...) {
      failure = std::current_exception();
      return false;
    }
  }

  void take_header_line(std::string_view line) {
    header_bytes += line.size();
    if (header_bytes > kMostHeaderBytes)
      throw Error(Fault::unsupported,
                  head.url.shown() + " answers with over 64 KiB of headers, which no model needs");
    line = trimmed(line);
    if (line.starts_with("HTTP/")) {  // also after "100 Continue", which then counts no more
      head.headers.clear();
      const std::size_t space = line.find(' ');
      const auto status =
          space == std::string_view::npos ? std::nullopt : parse_decimal(line.substr(space + 1, 3));
      head.status = status ? static_cast<int>(*status) : 0;
      return;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    head.headers[lower_case(trimmed(line.substr(0, colon)))] = trimmed(line.substr(colon + 1));
  }

  void give_head() {
    if (head_given) return;
    head_given = true;
    unwanted = is_redirect(head.status) || !sink.on_head(head);
  }

  static std::size_t on_header(char* bytes, std::size_t, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    return transfer.guarded([&] { transfer.take_header_line({bytes, count}); }) ? count : 0;
  }

  static std::size_t on_body(char* bytes, std::size_t, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const bool wanted = transfer.guarded([&] {
      transfer.give_head();
      if (!transfer.unwanted) transfer.sink.on_body(std::as_bytes(std::span(bytes, count)));
    });
    return wanted && !transfer.unwanted ? count : CURL_WRITEFUNC_ERROR;
  }

  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& transfer = *static_cast<Transfer*>(self);
    return transfer.guarded([&] { transfer.sink.on_tick(); }) ? 0 : 1;
  }
};

std::string_view HttpHead::header(std::string_view name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

void check_token(std::string_view token, std::string_view from) {
  if (std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; })) return;
  throw Error(
      Fault::invalid_argument,
      fmt::format("{} holds a space, a line break or another character that no token has", from));
}

HttpClient::HttpClient(const CurlLibrary& library, HttpOptions options)
    : library_(library), options_(std::move(options)), handle_(library_.easy_init()) {
  if (handle_ == nullptr) throw Error(Fault::internal, "libcurl does not start a transfer");
}

HttpClient::~HttpClient() { library_.easy_cleanup(handle_); }

void HttpClient::prepare(const HttpRequest& request, Transfer& transfer, void* headers) {
  const auto set = [&](CURLoption option, auto value) {
    const CURLcode code = library_.easy_setopt(handle_, option, value);
    if (code != CURLE_OK)
      throw Error(Fault::internal,
                  fmt::format("libcurl refuses option {}: {}", static_cast<int>(option),
                              library_.easy_strerror(code)));
  };
  set(CURLOPT_URL, request.url.text().c_str());
  set(CURLOPT_PROTOCOLS_STR, request.url.scheme.c_str());
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_USERAGENT, "malina/" MALINA_VERSION);
  set(CURLOPT_HTTPHEADER, headers);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  // A request to this machine itself is nobody else's to see.
  set(CURLOPT_NOPROXY, request.url.is_loopback() ? "*" : static_cast<const char*>(nullptr));
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  std::string bundle = environment("CURL_CA_BUNDLE");
  if (bundle.empty()) bundle = environment("SSL_CERT_FILE");
  if (!bundle.empty()) set(CURLOPT_CAINFO, bundle.c_str());
  if (const std::string folder = environment("SSL_CERT_DIR"); !folder.empty())
    set(CURLOPT_CAPATH, folder.c_str());
  const auto seconds = static_cast<long>(options_.timeout.count());
  set(CURLOPT_CONNECTTIMEOUT, seconds);
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(options_.whole_time.count()));
  if (request.json) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDS, request.json->data());  // borrowed until the transfer ends
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.json->size()));
  }
  set(CURLOPT_LOW_SPEED_LIMIT, kSlowestBytesPerSecond);
  set(CURLOPT_LOW_SPEED_TIME, seconds);
  set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  set(CURLOPT_XFERINFOFUNCTION, &Transfer::on_progress);
  set(CURLOPT_XFERINFODATA, static_cast<void*>(&transfer));
  set(CURLOPT_NOPROGRESS, 0L);
  reason_.front() = '\0';
  set(CURLOPT_ERRORBUFFER, reason_.data());
}

// In a user's words where libcurl's own leave the cause to guesses.
std::string HttpClient::reason(CURLcode code) const {
  std::string words = reason_.front() != '\0' ? reason_.data() : library_.easy_strerror(code);
  if (code == CURLE_PEER_FAILED_VERIFICATION)
    words += "; an authority of your own house is named by SSL_CERT_FILE";
  return words;
}

// Why the transfer ended early, or "". Throws what cannot be tried again.
std::string HttpClient::perform(const HttpRequest& request, Transfer& transfer) {
  std::unique_ptr<curl_slist, decltype(library_.slist_free_all)> headers(nullptr,
                                                                         library_.slist_free_all);
  const auto add = [&](const std::string& line) {
    curl_slist* const longer = library_.slist_append(headers.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    headers.release();
    headers.reset(longer);
  };
  add("Accept-Encoding: identity");
  if (request.offset > 0) {
    add(fmt::format("Range: bytes={}-", request.offset));
    if (!request.if_range.empty()) add("If-Range: " + request.if_range);
  }
  if (request.json) {
    add("Content-Type: application/json");
    add("Expect:");  // no asking first: the body is small
  }
  if (!options_.token.empty() && request.url.same_origin(options_.token_origin))
    add("Authorization: Bearer " + options_.token);
  transfer.head.url = request.url;
  prepare(request, transfer, headers.get());
  const CURLcode code = library_.easy_perform(handle_);
  if (transfer.failure) std::rethrow_exception(transfer.failure);
  const bool ended_by_us = code == CURLE_WRITE_ERROR && transfer.unwanted;
  if (code == CURLE_OK || ended_by_us) {
    transfer.give_head();  // an answer without a body
    return "";
  }
  if (is_final(code))
    throw Error(Fault::io, fmt::format("cannot {} {}: {}", request.json ? "ask" : "download",
                                       request.url.shown(), reason(code)));
  transfer.timed_out = code == CURLE_OPERATION_TIMEDOUT;
  transfer.may_be_sent = code != CURLE_COULDNT_RESOLVE_HOST &&
                         code != CURLE_COULDNT_RESOLVE_PROXY && code != CURLE_COULDNT_CONNECT &&
                         code != CURLE_SSL_CONNECT_ERROR;
  if (transfer.timed_out) return fmt::format("nothing arrived for {} s", options_.timeout.count());
  return reason(code);
}

HttpResult HttpClient::post(const HttpRequest& request, const HttpSink& sink) {
  Transfer transfer{.sink = sink, .head = {}, .failure = {}};
  std::string cut = perform(request, transfer);
  return {std::move(transfer.head), std::move(cut), transfer.timed_out, transfer.may_be_sent};
}

HttpResult HttpClient::get(const HttpRequest& request, const UrlPolicy& policy,
                           const HttpSink& sink) {
  HttpRequest hop = request;
  std::map<std::string, std::string, std::less<>> linked;
  for (int redirects = 0;; ++redirects) {
    Transfer transfer{.sink = sink, .head = {}, .failure = {}};
    transfer.head.linked = linked;
    std::string cut = perform(hop, transfer);
    if (!is_redirect(transfer.head.status))
      return {std::move(transfer.head), std::move(cut), transfer.timed_out};
    if (redirects == kMostRedirects)
      throw Error(Fault::unsupported, fmt::format("{} redirects more than {} times",
                                                  request.url.shown(), kMostRedirects));
    if (hop.url.same_origin(request.url))
      for (const char* name : {"x-linked-etag", "x-linked-size", "x-repo-commit"})
        if (const auto value = transfer.head.header(name); !value.empty()) linked[name] = value;
    const std::string location(transfer.head.header("location"));
    Url next;
    try {
      next = resolve_url(hop.url, location);
    } catch (const Error& error) {
      throw Error(Fault::unsupported,
                  fmt::format("{} redirects to what is no address to follow: {}", hop.url.shown(),
                              error.what()));
    }
    policy.check_redirect(hop.url, next);
    hop.url = next;
  }
}

}  // namespace malina::platform
