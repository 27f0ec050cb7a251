// A model from the network into the store: beside the connector (connector.h) the only thing in
// this program that opens a connection.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "platform/model_store.h"
#include "platform/progress.h"

namespace malina::platform {

struct PullRequest {
  std::string what;                      // hf:OWNER/REPO[@REVISION][:FILE], or https://HOST/PATH
  std::optional<std::string> name;       // otherwise of the file, as import has it
  std::string endpoint;                  // of hf:; "" for $HF_ENDPOINT, or the hub's own
  std::string sha256;                    // that the file must have; "" where it is not known
  std::vector<std::string> allow_hosts;  // that redirects may lead to, beside those of UrlPolicy
  std::chrono::seconds timeout{30};
  unsigned retries = 5;
};

// One of several models of a repository.
struct PullChoice {
  std::string what;  // "hf:OWNER/REPO:FILE", which is this one alone
  std::uint64_t size_bytes = 0;
  std::size_t files = 1;
};

// Returns the index of the one that is wanted, or throws.
using PullChooser = std::function<std::size_t(std::span<const PullChoice>)>;

struct PullOutcome {
  ImportOutcome imported;
  std::string url;                     // of the first file, without a query
  std::uint64_t size_bytes = 0;        // of all files
  std::uint64_t downloaded_bytes = 0;  // by this call
  std::uint64_t resumed_bytes = 0;     // that an earlier one left
};

// Downloads to DownloadFolder, checks, imports as `malina import` does and deletes the download.
// The token is $HF_TOKEN and goes to the endpoint alone. Throws base::Error: unsupported where the
// door is closed (check_door_open) or libcurl is missing, invalid_argument for what is no address,
// already_exists for a name that is taken, and what download() and import_model() throw.
PullOutcome pull_model(ModelStore& store, const std::string& offline_reason,
                       const PullRequest& request, const PullChooser& choose,
                       const ProgressSink& progress);

// Why no connection may be opened: the reason (offline_reason of platform/settings.h), or that one
// of the files /etc/malina/offline and HOME/offline exists. "" where it may.
std::string door_closed_by(const std::filesystem::path& home, const std::string& offline_reason);
// Throws unsupported, saying why, where it is closed.
void check_door_open(const std::filesystem::path& home, const std::string& offline_reason);

}  // namespace malina::platform
