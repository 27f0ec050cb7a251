// One file from the network to the disk: complete and checked, or a part that the next try goes on
// with.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/error.h"
#include "platform/http_client.h"

namespace malina::platform {

struct DownloadRequest {
  Url url;
  // Where the whole file appears. Until then TARGET.part grows beside it, and TARGET.state says
  // what it is a part of. The folder is there, and nobody else works in it.
  std::filesystem::path target;
  std::optional<std::uint64_t> size_bytes;  // that the file must have
  std::optional<base::Digest> digest;       // and its SHA-256
  std::string_view magic;                   // that it must begin with; "" for anything
  unsigned retries = 5;                     // tries in a row that may bring nothing new
};

struct DownloadOutcome {
  std::uint64_t size_bytes = 0;
  std::uint64_t resumed_bytes = 0;  // that were there already
  base::Digest digest;
};

// `step` is "checking" while what is there is read, then "downloading". `total` is 0 while it is
// not known; `kept` is what was there when the step began. May throw to stop the work.
using DownloadProgress = std::function<void(std::string_view step, std::uint64_t done,
                                            std::uint64_t total, std::uint64_t kept)>;

// Resumes where a part is there and the server can prove (If-Range, or the digest in the end) that
// it still is a part of the same file; begins anew otherwise. Tries again, with growing pauses,
// after a cut, a stall, 408, 429 and 5xx. Throws base::Error: not_found (404, 410), io (refused,
// cut for good, a full disk: the part is kept, and the message says so), corrupt_file (another size
// or digest than declared: the part is deleted), unsupported.
DownloadOutcome download(HttpClient& client, const UrlPolicy& policy,
                         const DownloadRequest& request, const DownloadProgress& progress);

// Of what an answer that is no success means, as an Error to throw; `what` is what was asked for.
base::Error status_error(const HttpHead& head, std::string_view what);
// Whether the same question may be answered later: 408, 425, 429 and 5xx.
bool is_temporary(int status);

// Waits `pause`, calling `tick` several times a second.
void wait_between_tries(std::chrono::milliseconds pause, const std::function<void()>& tick);
// 0.5 s, 1 s, 2 s, ... up to half a minute; or what Retry-After asks for. Throws io where the
// server asks for over a minute, which is for the user to decide.
std::chrono::milliseconds pause_before_try(unsigned failures, const HttpHead& head);

}  // namespace malina::platform
