// The connector's configuration: which upstreams there are, and where.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "platform/url.h"

namespace malina::platform {

struct Upstream {
  std::string name;
  Url url;                                                          // of /chat/completions
  std::string model;                                                // as it is called there
  std::string key;                                                  // that is shown there; "": none
  std::chrono::milliseconds time_limit = std::chrono::seconds(30);  // of one question
  std::size_t most_bytes = std::size_t{1} << 20;                    // of an answer
  bool log_probabilities = true;                                    // asks for them
};

// TOML, a table for each:
//
//   [big]
//   url = "https://models.example.org/v1"   # http to this machine itself alone
//   model = "large-instruct"
//   key_file = "big.key"                    # which nobody else may read; optional
//   timeout = "30s"
//   max_answer = "1MiB"
//   logprobs = true
//
// Throws base::Error(invalid_argument) "FILE:LINE: ..." for everything else, a file that everybody
// may write, and a file without an upstream; for the key's file what read_private_file() throws,
// not_found where it is not there.
std::vector<Upstream> read_upstreams(const std::filesystem::path& file);
// The same for a text; `folder` is what key files are relative to, `label` begins the messages.
std::vector<Upstream> parse_upstreams(std::string_view text, const std::string& label,
                                      const std::filesystem::path& folder);

}  // namespace malina::platform
