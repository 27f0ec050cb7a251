#include "platform/pull.h"

#include <fmt/format.h>

#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "platform/download.h"
#include "platform/download_folder.h"
#include "platform/http_header.h"
#include "platform/hub_client.h"
#include "platform/model_file.h"
#include "platform/model_name.h"
#include "platform/pull_plan.h"

namespace malina::platform {

namespace {

using base::Digest;
using base::Error;
using base::Fault;
using std::filesystem::path;

constexpr std::string_view kGguf = "GGUF";

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::optional<Digest> requested_digest(const PullRequest& request) {
  if (request.sha256.empty()) return std::nullopt;
  if (const auto digest = Digest::parse(lower_case(request.sha256))) return digest;
  throw Error(Fault::invalid_argument, "--sha256 is not 64 hexadecimal digits");
}

// A file by its address. The last part of the path that the user wrote gives a name for the store.
PullPlan plan_url(const Url& url, const PullRequest& request) {
  const std::string path_text = url.target.substr(0, url.target.find('?'));
  PullPlan plan;
  plan.key = url.text();
  plan.shown = url.shown();
  plan.name = name_from_file(path_text);
  plan.files.push_back({.url = url,
                        .local_name = "model.gguf",
                        .size_bytes = {},
                        .digest = requested_digest(request),
                        .magic = std::string(kGguf)});
  return plan;
}

bool is_unharmed(ModelStore& store, const std::string& name) {
  try {
    store.resolve(name);
    return true;
  } catch (const Error&) {  // missing or changed: then pulling mends it
    return false;
  }
}

// Finds before the download what import would find after it. The model, where it is there already.
std::optional<ModelRecord> check_store(ModelStore& store, const PullPlan& plan) {
  if (plan.name.empty() || plan.is_directory) return std::nullopt;
  const auto existing = store.find(plan.name);
  if (!existing) return std::nullopt;
  std::vector<Digest> digests;  // model_digest() is made of those of all files
  for (const PlannedFile& file : plan.files) {
    if (!file.digest) return std::nullopt;
    digests.push_back(*file.digest);
  }
  if (existing->digest == model_digest(digests))
    return is_unharmed(store, plan.name) ? existing : std::nullopt;
  throw Error(
      Fault::already_exists,
      fmt::format("the name '{0}' is taken by another model (sha256 {1}...); choose one with "
                  "--name, or first 'malina remove {0}'",
                  plan.name, existing->digest.hex().substr(0, 12)));
}

// Sums over the files of a plan.
class PullProgress {
 public:
  PullProgress(const PullPlan& plan, const ProgressSink& sink) : sink_(sink) {
    for (const PlannedFile& file : plan.files) total_ += file.size_bytes.value_or(0);
    one_file_ = plan.files.size() == 1;
  }
  DownloadProgress callback() {
    return
        [this](std::string_view step, std::uint64_t done, std::uint64_t total, std::uint64_t kept) {
          if (!sink_) return;
          if (step != "downloading") return sink_({step, done, total});
          sink_({step, before_ + done, one_file_ ? total : total_, kept_ + kept});
        };
  }
  void finish_file(const DownloadOutcome& outcome) {
    before_ += outcome.size_bytes;
    kept_ += outcome.resumed_bytes;
  }

 private:
  const ProgressSink& sink_;
  std::uint64_t total_ = 0, before_ = 0, kept_ = 0;
  bool one_file_ = false;
};

struct Connection {
  std::unique_ptr<HttpClient> client;
  UrlPolicy policy;
};

// What the store cannot use is not worth keeping; another failure (a name, a full disk) can be
// mended without downloading it again.
ImportOutcome import_download(ModelStore& store, const ImportRequest& request,
                              DownloadFolder& folder, const ProgressSink& progress) {
  try {
    ImportOutcome outcome = store.import_model(request, progress);
    folder.finish();
    return outcome;
  } catch (const Error& error) {
    if (error.fault() == Fault::corrupt_file || error.fault() == Fault::unsupported)
      folder.finish();
    throw;
  }
}

PullOutcome carry_out(ModelStore& store, const PullPlan& plan, const PullRequest& request,
                      const Connection& connection, const ProgressSink& progress) {
  PullOutcome outcome;
  outcome.url = plan.files.front().url.shown();
  DownloadFolder folder(store.home(), plan.key, plan.shown);
  PullProgress sums(plan, progress);
  for (const PlannedFile& file : plan.files) {
    const DownloadRequest download_request{.url = file.url,
                                           .target = folder.path() / file.local_name,
                                           .size_bytes = file.size_bytes,
                                           .digest = file.digest,
                                           .magic = file.magic,
                                           .retries = request.retries};
    const DownloadOutcome done =
        download(*connection.client, connection.policy, download_request, sums.callback());
    sums.finish_file(done);
    outcome.size_bytes += done.size_bytes;
    outcome.resumed_bytes += done.resumed_bytes;
    outcome.downloaded_bytes += done.size_bytes - done.resumed_bytes;
  }
  ImportRequest import_request{
      .file = plan.is_directory ? folder.path() : folder.path() / plan.files.front().local_name,
      .name = {},
      .link = false,
      .give = true,
      .source = outcome.url};
  if (!plan.name.empty()) import_request.name = plan.name;
  outcome.imported = import_download(store, import_request, folder, progress);
  return outcome;
}

}  // namespace

std::string door_closed_by(const path& home, const std::string& offline_reason) {
  if (!offline_reason.empty()) return offline_reason;
  for (const path& file : {path("/etc/malina/offline"), home / "offline"}) {
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored)) return file.string() + " exists";
  }
  return "";
}

void check_door_open(const path& home, const std::string& offline_reason) {
  const std::string reason = door_closed_by(home, offline_reason);
  if (!reason.empty())
    throw Error(Fault::unsupported,
                fmt::format("downloading is switched off: {}; bring the file by another way and "
                            "'malina import' it",
                            reason));
}

namespace {

// What was asked for, checked as far as that goes without a connection.
struct Source {
  std::optional<HubReference> reference;  // none: a file by its address
  Url endpoint;                           // of the hub: the token goes nowhere else
  Url start;                              // the endpoint, or the address
};

Source parse_source(const PullRequest& request) {
  Source source;
  source.endpoint = hub_endpoint(request.endpoint);
  if (is_hub_reference(request.what)) {
    source.reference = parse_hub_reference(request.what);
    source.start = source.endpoint;
    return source;
  }
  if (!request.endpoint.empty())
    throw Error(Fault::invalid_argument,
                "--from says where hf:OWNER/REPO is fetched from; an address says so itself");
  if (request.what.find("://") == std::string::npos)
    throw Error(
        Fault::invalid_argument,
        fmt::format("'{}' is neither hf:OWNER/REPO nor an address that begins with https://",
                    request.what.find('@') == std::string::npos ? request.what : "..."));
  source.start = parse_url(request.what);
  return source;
}

std::unique_ptr<HttpClient> connect(const PullRequest& request, const Source& source) {
  HttpOptions options{.timeout = request.timeout,
                      .token_origin = source.endpoint,
                      .token = environment("HF_TOKEN")};
  check_token(options.token);
  return std::make_unique<HttpClient>(CurlLibrary::load(), std::move(options));
}

PullPlan make_plan(const PullRequest& request, const Source& source, const Connection& connection,
                   const PullChooser& choose, const ProgressSink& progress) {
  if (!source.reference) return plan_url(source.start, request);
  const auto tick = [&] {
    if (progress) progress({"listing", 0, 0});
  };
  const HubListing listing = fetch_listing(*connection.client, connection.policy, source.endpoint,
                                           *source.reference, request.retries, tick);
  PullPlan plan = plan_hub(source.endpoint, *source.reference, listing, choose);
  if (const auto digest = requested_digest(request)) {
    if (plan.files.size() != 1)
      throw Error(Fault::invalid_argument,
                  fmt::format("--sha256 is for one file, and {} are {} files", request.what,
                              plan.files.size()));
    PlannedFile& file = plan.files.front();
    if (file.digest && *file.digest != *digest)
      throw Error(Fault::corrupt_file,
                  fmt::format("{}: the hub says it has sha256 {}, and {} is expected",
                              file.url.shown(), file.digest->hex(), digest->hex()));
    file.digest = digest;
  }
  return plan;
}

}  // namespace

PullOutcome pull_model(ModelStore& store, const std::string& offline_reason,
                       const PullRequest& request, const PullChooser& choose,
                       const ProgressSink& progress) {
  check_door_open(store.home(), offline_reason);
  if (request.name) check_name(*request.name);
  requested_digest(request);
  const Source source = parse_source(request);
  Connection connection{nullptr, UrlPolicy(source.start, request.allow_hosts)};
  connection.policy.check_start();
  connection.client = connect(request, source);
  PullPlan plan = make_plan(request, source, connection, choose, progress);
  if (request.name) plan.name = *request.name;
  if (const auto existing = check_store(store, plan))
    return {.imported = {*existing, true},
            .url = plan.files.front().url.shown(),
            .size_bytes = existing->size_bytes};
  return carry_out(store, plan, request, connection, progress);
}

}  // namespace malina::platform
