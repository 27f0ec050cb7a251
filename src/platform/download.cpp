#include "platform/download.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/file.h"
#include "platform/descriptor.h"
#include "platform/http_header.h"
#include "platform/part_state.h"
#include "platform/stored_file.h"

namespace malina::platform {

namespace {

using base::Digest;
using base::Error;
using base::Fault;
using std::filesystem::path;

path with_suffix(path file, const char* suffix) { return file += suffix; }

void remove_file(const path& file) {
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
}

class Download {
 public:
  Download(HttpClient& client, const UrlPolicy& policy, const DownloadRequest& request,
           const DownloadProgress& progress)
      : client_(client),
        policy_(policy),
        request_(request),
        progress_(progress),
        part_path_(with_suffix(request.target, ".part")),
        state_path_(with_suffix(request.target, ".state")),
        size_(request.size_bytes),
        digest_(request.digest) {}

  DownloadOutcome run();

 private:
  void open_part();
  void begin_anew();
  void discard();
  void transfer();
  std::string attempt(HttpHead& head);
  bool accept(const HttpHead& head);
  bool accept_rest(const HttpHead& head);
  void learn(const HttpHead& head, std::optional<std::uint64_t> size);
  void expect_size(std::uint64_t size, std::string_view who);
  void check_space() const;
  void append(std::span<const std::byte> bytes);
  void write(std::span<const std::byte> bytes);
  void check_magic();
  DownloadOutcome finish();
  void report(std::string_view step, std::uint64_t done) const {
    if (progress_) progress_(step, done, size_.value_or(0), kept_);
  }
  std::string kept_text() const;

  HttpClient& client_;
  const UrlPolicy& policy_;
  const DownloadRequest& request_;
  const DownloadProgress& progress_;
  const path part_path_, state_path_;
  std::optional<std::uint64_t> size_;  // of the whole, as soon as anyone said
  std::optional<Digest> digest_;
  Descriptor part_;
  PartState state_;
  base::Sha256 hash_;  // of what is in the part
  std::uint64_t done_ = 0, kept_ = 0, most_ = 0;
  bool magic_checked_ = false;
  std::string fault_;  // why the server's answer is of no use
};

std::string Download::kept_text() const {
  const bool resumable = !state_.validator.empty() || digest_;
  if (done_ == 0 || !resumable) return "";
  if (!size_ || *size_ == 0)
    return fmt::format("; {} bytes are kept, and the same command goes on from there", done_);
  return fmt::format("; {} % is kept, and the same command goes on from there",
                     std::min<std::uint64_t>(100, done_ * 100 / *size_));
}

void Download::open_part() {
  part_ = Descriptor::open(part_path_, O_RDWR | O_CREAT | O_NOFOLLOW);
  state_ = PartState::read(state_path_);
  struct stat status{};
  if (fstat(part_.number(), &status) != 0)
    throw base::system_error("cannot read " + part_path_.string());
  const auto there = static_cast<std::uint64_t>(status.st_size);
  const auto total = size_ ? size_ : state_.size_bytes;
  const bool provable = !state_.validator.empty() || digest_;
  if (there == 0 || !provable || (total && there > *total) ||
      (size_ && state_.size_bytes && *size_ != *state_.size_bytes))
    return begin_anew();
  if (!size_) size_ = state_.size_bytes;
  // What a crash left is read, not believed.
  const base::File file = base::File::open(part_path_);
  std::vector<std::byte> buffer(std::size_t{1} << 20);
  while (done_ < there) {
    const auto piece = std::span(buffer).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), there - done_)));
    file.read_at(done_, piece);
    hash_.update(piece);
    done_ += piece.size();
    report("checking", done_);
  }
  kept_ = most_ = done_;
}

void Download::begin_anew() {
  if (ftruncate(part_.number(), 0) != 0)
    throw base::system_error("cannot empty " + part_path_.string());
  hash_ = base::Sha256();
  done_ = kept_ = 0;
  magic_checked_ = false;
  state_ = {};
  remove_file(state_path_);
  size_ = request_.size_bytes;
  digest_ = request_.digest;
}

void Download::discard() {
  remove_file(part_path_);
  remove_file(state_path_);
  done_ = 0;
}

void Download::expect_size(std::uint64_t size, std::string_view who) {
  if (size_ && *size_ != size)
    throw Error(Fault::corrupt_file, fmt::format("{}: {} says it has {} bytes, and {} are expected",
                                                 request_.url.shown(), who, size, *size_));
  size_ = size;
}

void Download::check_space() const {
  if (!size_) return;
  struct statvfs space{};
  if (statvfs(part_path_.parent_path().c_str(), &space) != 0) return;
  const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (free < *size_ - std::min(*size_, done_))
    throw Error(Fault::io,
                fmt::format("not enough space in {}: {} more bytes are needed and {} are "
                            "free",
                            part_path_.parent_path().string(), *size_ - done_, free));
}

// Takes over what the head says about the whole file.
void Download::learn(const HttpHead& head, std::optional<std::uint64_t> size) {
  const auto linked = [&](const char* name) {
    const auto found = head.linked.find(name);
    return found == head.linked.end() ? std::string_view() : std::string_view(found->second);
  };
  if (const auto linked_size = parse_decimal(linked("x-linked-size")))
    expect_size(*linked_size, "the hub");
  if (size) expect_size(*size, "the server");
  std::string_view tag = linked("x-linked-etag");
  if (tag.size() > 2 && tag.front() == '"') tag = tag.substr(1, tag.size() - 2);
  // Of small files it is a git id, with 40 digits.
  if (const auto digest = Digest::parse(tag)) {
    if (digest_ && *digest_ != *digest)
      throw Error(Fault::corrupt_file,
                  fmt::format("{}: the hub says it has sha256 {}, and {} is expected",
                              request_.url.shown(), digest->hex(), digest_->hex()));
    digest_ = digest;
  }
  check_space();
  PartState now{validator_of(head), size_};
  if (now.validator.empty() && head.status == 206) now.validator = state_.validator;
  if (!(now == state_)) now.write(state_path_);
  state_ = now;
}

// Of a 206. False: it is not the rest of what is there.
bool Download::accept_rest(const HttpHead& head) {
  const auto range = parse_content_range(head.header("content-range"));
  if (!range) {
    fault_ = "the server answers with a part of the file and does not say which";
  } else if (range->first != done_) {
    fault_ = fmt::format("the server sends bytes from {} on instead of {}", range->first, done_);
  } else if (range->total && size_ && *range->total != *size_) {
    fault_ = fmt::format("the file now has {} bytes instead of {}", *range->total, *size_);
  } else if (!state_.validator.empty() && validator_of(head) != state_.validator &&
             !validator_of(head).empty()) {
    fault_ = "the file has changed on the server";
  } else {
    learn(head, range->total);
    return true;
  }
  begin_anew();
  return false;
}

// Whether the body is to be read.
bool Download::accept(const HttpHead& head) {
  const std::string encoding = lower_case(head.header("content-encoding"));
  if ((head.status == 200 || head.status == 206) && !encoding.empty() && encoding != "identity")
    throw Error(Fault::unsupported, fmt::format("{}: the server sends it compressed ({})",
                                                head.url.shown(), encoding.substr(0, 20)));
  if (head.status == 200) {
    if (done_ > 0) begin_anew();  // it has changed, or the server knows no ranges
    learn(head, parse_decimal(head.header("content-length")));
    return true;
  }
  if (head.status == 206 && done_ > 0) return accept_rest(head);
  if (head.status == 206) fault_ = "the server sends a part of the file unasked";
  if (head.status == 416) {  // what is there goes beyond the file's end
    fault_ = "the server's file is shorter than what is there";
    begin_anew();
  }
  return false;
}

void Download::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count =
        ::pwrite(part_.number(), bytes.data(), bytes.size(), static_cast<off_t>(done_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == ENOSPC || errno == EDQUOT))
      throw Error(Fault::io, "the disk is full: cannot write " + part_path_.string());
    if (count < 0) throw base::system_error("cannot write " + part_path_.string());
    const auto written = bytes.first(static_cast<std::size_t>(count));
    hash_.update(written);
    done_ += written.size();
    bytes = bytes.subspan(written.size());
  }
}

// A page that explains an error, in place of a model, is seen before gigabytes of it.
void Download::check_magic() {
  if (magic_checked_ || request_.magic.empty() || done_ < request_.magic.size()) return;
  std::string begin(request_.magic.size(), '\0');
  if (pread(part_.number(), begin.data(), begin.size(), 0) != static_cast<ssize_t>(begin.size()))
    throw base::system_error("cannot read " + part_path_.string());
  if (begin != request_.magic) {
    discard();
    for (char& c : begin)
      if (c < ' ' || c > '~') c = '.';
    throw Error(Fault::corrupt_file, fmt::format("{} is not a {} file: it begins with '{}'",
                                                 request_.url.shown(), request_.magic, begin));
  }
  magic_checked_ = true;
}

void Download::append(std::span<const std::byte> bytes) {
  if (size_ && bytes.size() > *size_ - std::min(*size_, done_)) {
    discard();
    throw Error(
        Fault::corrupt_file,
        fmt::format("{}: the server sends more than the {} bytes that it has; what came was "
                    "deleted",
                    request_.url.shown(), *size_));
  }
  write(bytes);
  check_magic();
  report("downloading", done_);
}

// One request. Returns why it did not bring everything, or "".
std::string Download::attempt(HttpHead& head) {
  fault_.clear();
  const HttpRequest request{.url = request_.url, .offset = done_, .if_range = state_.validator};
  const HttpSink sink{.on_head = [this](const HttpHead& each) { return accept(each); },
                      .on_body = [this](std::span<const std::byte> bytes) { append(bytes); },
                      .on_tick = [this] { report("downloading", done_); }};
  HttpResult result = client_.get(request, policy_, sink);
  head = std::move(result.head);
  if (!fault_.empty()) return fault_;
  if (head.status != 0 && head.status != 200 && head.status != 206 && result.cut.empty()) {
    const Error error = status_error(head, request_.url.shown());
    if (!is_temporary(head.status)) throw error;
    return fmt::format("the server answers with status {}", head.status);
  }
  if (!result.cut.empty()) return result.cut;
  if (size_ && done_ < *size_)
    return fmt::format("the server ended after {} of {} bytes", done_, *size_);
  return "";
}

void Download::transfer() {
  unsigned failures = 0;
  while (!size_ || done_ < *size_ || done_ == 0) {
    HttpHead head;
    const std::string reason = attempt(head);
    if (reason.empty()) return;
    failures = done_ > most_ ? 1 : failures + 1;
    most_ = std::max(most_, done_);
    if (failures > request_.retries)
      throw Error(Fault::io, fmt::format("cannot download {}: {}", request_.url.shown(), reason));
    wait_between_tries(pause_before_try(failures, head), [this] { report("downloading", done_); });
  }
}

DownloadOutcome Download::finish() {
  const Digest found = hash_.finish();
  if (digest_ && found != *digest_) {
    discard();
    throw Error(Fault::corrupt_file,
                fmt::format("{}: what came has sha256 {} instead of {}; it was deleted",
                            request_.url.shown(), found.hex(), digest_->hex()));
  }
  if (fsync(part_.number()) != 0) throw base::system_error("cannot write " + part_path_.string());
  if (::rename(part_path_.c_str(), request_.target.c_str()) != 0)
    throw base::system_error("cannot create " + request_.target.string());
  base::sync_directory(request_.target.parent_path());
  return {.size_bytes = done_, .resumed_bytes = kept_, .digest = found};
}

DownloadOutcome Download::run() {
  open_part();
  try {
    transfer();
    return finish();
  } catch (const Error& error) {
    const bool resumable = error.fault() == Fault::io || error.fault() == Fault::cancelled;
    if (!resumable) throw;
    throw Error(error.fault(), error.what() + kept_text());
  }
}

// A file of the request that was complete before, where it still is what is expected.
std::optional<DownloadOutcome> complete_file(const DownloadRequest& request,
                                             const DownloadProgress& progress) {
  std::error_code ignored;
  if (!std::filesystem::exists(request.target, ignored)) return std::nullopt;
  const std::uint64_t size = file_facts(request.target).size_bytes;
  const ProgressSink sink = [&](const Progress& now) {
    if (progress) progress("checking", now.done_bytes, now.total_bytes, 0);
  };
  ByteCounter counter("checking", size, sink);
  const Digest digest = hash_file(request.target, counter);
  const PartState state = PartState::read(with_suffix(request.target, ".state"));
  const auto expected = request.size_bytes ? request.size_bytes : state.size_bytes;
  if ((!expected || size == *expected) && (!request.digest || digest == *request.digest))
    return DownloadOutcome{.size_bytes = size, .resumed_bytes = size, .digest = digest};
  remove_file(request.target);
  return std::nullopt;
}

}  // namespace

DownloadOutcome download(HttpClient& client, const UrlPolicy& policy,
                         const DownloadRequest& request, const DownloadProgress& progress) {
  if (const auto complete = complete_file(request, progress)) return *complete;
  return Download(client, policy, request, progress).run();
}

}  // namespace malina::platform
