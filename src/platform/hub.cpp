// References and listings; hub_plan.cpp chooses from them.
#include "platform/hub.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;

constexpr std::string_view kScheme = "hf:";
constexpr std::size_t kLongestPath = 512;

[[noreturn]] void refuse(std::string_view text, std::string_view fault) {
  const std::string_view shown = text.substr(0, 200);
  throw Error(Fault::invalid_argument,
              fmt::format("'{}' {}; write hf:OWNER/REPO, hf:OWNER/REPO:FILE or "
                          "hf:OWNER/REPO@REVISION:FILE",
                          shown, fault));
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

bool is_name(std::string_view name) {
  constexpr std::size_t kLongest = 96;
  return !name.empty() && name.size() <= kLongest && name.front() != '.' && name.front() != '-' &&
         name.find("..") == std::string_view::npos &&
         std::all_of(name.begin(), name.end(), is_name_character);
}

// Also what a hostile listing may hold: the path is shown and becomes part of an address.
bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > kLongestPath) return false;
  for (const char c : path)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f' || c == '\\') return false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

[[noreturn]] void refuse_listing(std::string_view what, std::string_view fault) {
  throw Error(Fault::corrupt_file,
              fmt::format("the hub's list of the files of {} {}", what, fault));
}

HubFile parse_entry(const nlohmann::json& entry, std::string_view what) {
  const auto path = entry.find("path");
  const auto size = entry.find("size");
  if (path == entry.end() || !path->is_string())
    refuse_listing(what, "has an entry without a path");
  HubFile file;
  file.path = path->get<std::string>();
  if (!is_safe_path(file.path)) refuse_listing(what, "holds a path that leads out of it");
  if (size == entry.end() || !size->is_number_unsigned())
    refuse_listing(what, "has a file without a size");
  file.size_bytes = size->get<std::uint64_t>();
  const auto large = entry.find("lfs");
  if (large == entry.end() || !large->is_object()) return file;
  if (const auto digest = large->find("oid"); digest != large->end() && digest->is_string())
    file.digest = base::Digest::parse(digest->get<std::string>());
  // What stands for a large file in the repository is small; this is the file's own size.
  if (const auto own = large->find("size"); own != large->end() && own->is_number_unsigned())
    file.size_bytes = own->get<std::uint64_t>();
  return file;
}

bool is_commit(std::string_view text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::string HubReference::text() const {
  return fmt::format("hf:{}/{}{}", owner, repository, revision == "main" ? "" : "@" + revision);
}

bool is_hub_reference(std::string_view text) { return text.starts_with(kScheme); }

HubReference parse_hub_reference(std::string_view text) {
  const std::string_view whole = text;
  text.remove_prefix(std::min(kScheme.size(), text.size()));
  HubReference reference;
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    reference.file = text.substr(colon + 1);
    if (!is_safe_path(reference.file)) refuse(whole, "names no file after its colon");
    text = text.substr(0, colon);
  }
  if (const std::size_t at = text.find('@'); at != std::string_view::npos) {
    reference.revision = text.substr(at + 1);
    if (!is_safe_path(reference.revision)) refuse(whole, "names no revision after its @");
    text = text.substr(0, at);
  }
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) refuse(whole, "names no repository");
  reference.owner = text.substr(0, slash);
  reference.repository = text.substr(slash + 1);
  if (!is_name(reference.owner)) refuse(whole, "has an owner that is no name");
  if (!is_name(reference.repository)) refuse(whole, "has a repository that is no name");
  return reference;
}

std::vector<HubFile> parse_listing(std::string_view json, std::string_view what) {
  constexpr int kDeepest = 8;  // a list of objects that hold an object
  const auto limit = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > kDeepest) refuse_listing(what, "is nested deeper than a list of files");
    return true;
  };
  const auto list = nlohmann::json::parse(json, limit, false);
  if (!list.is_array()) refuse_listing(what, "is not a JSON list");
  std::vector<HubFile> files;
  for (const auto& entry : list) {
    if (!entry.is_object()) refuse_listing(what, "has an entry that is no object");
    const auto type = entry.find("type");
    if (type != entry.end() && type->is_string() && *type == "directory") continue;
    files.push_back(parse_entry(entry, what));
  }
  return files;
}

HubListing read_listing(const Url& endpoint, const HubReference& reference,
                        const std::function<HubPage(const Url&)>& get) {
  constexpr int kMostPages = 50;
  const std::string what = reference.text();
  HubListing listing;
  Url url = resolve_url(endpoint,
                        fmt::format("{}/api/models/{}/{}/tree/{}?recursive=true",
                                    endpoint.target == "/" ? "" : endpoint.target, reference.owner,
                                    reference.repository, percent_encoded(reference.revision)));
  for (int page_number = 0; page_number < kMostPages; ++page_number) {
    const HubPage page = get(url);
    if (is_commit(page.commit)) listing.commit = page.commit;
    for (HubFile& file : parse_listing(page.body, what)) listing.files.push_back(std::move(file));
    if (page.next.empty()) return listing;
    const Url next = resolve_url(url, page.next);
    if (!next.same_origin(endpoint))
      refuse_listing(what, "goes on at another host: " + next.origin());
    url = next;
  }
  refuse_listing(what, fmt::format("has more than {} pages", kMostPages));
}

}  // namespace malina::platform
