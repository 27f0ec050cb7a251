// A hub of models: repositories of files, listed by one address and served by another. The
// addresses are those of https://huggingface.co, which mirrors copy:
//
//   ENDPOINT/api/models/OWNER/REPO/tree/REVISION?recursive=true     a JSON list, in pages
//   ENDPOINT/OWNER/REPO/resolve/REVISION/PATH                       a file, often by a redirect
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "platform/pull.h"
#include "platform/pull_plan.h"
#include "platform/url.h"

namespace malina::platform {

// hf:OWNER/REPO[@REVISION][:FILE]
struct HubReference {
  std::string owner, repository, revision = "main", file;
  std::string text() const;  // "hf:OWNER/REPO", with @REVISION where it is not main
};

bool is_hub_reference(std::string_view text);
// Throws invalid_argument that names the part that is wrong.
HubReference parse_hub_reference(std::string_view text);

struct HubFile {
  std::string path;  // inside the repository, checked: no "..", no control characters
  std::uint64_t size_bytes = 0;
  std::optional<base::Digest> digest;  // of large files
};

// Of one page of a listing. Throws corrupt_file, beginning with `what`, where it is not a list of
// files, is nested deeper than such a list, or holds a path that could lead out of a folder.
std::vector<HubFile> parse_listing(std::string_view json, std::string_view what);

// All pages of a listing, read by `get`, which returns a page and sets the address of the next one
// ("": the last) and the commit that the revision stands for ("" where the hub does not say).
struct HubPage {
  std::string body, next, commit;
};
struct HubListing {
  std::vector<HubFile> files;
  std::string commit;
};
HubListing read_listing(const Url& endpoint, const HubReference& reference,
                        const std::function<HubPage(const Url&)>& get);

// What is to be downloaded of a repository: the GGUF file that the reference names, or the only one
// (with all its parts where it is split), or the one that `choose` picks; or, where there is none,
// the files of a safetensors model. Files that import has no use for are left.
PullPlan plan_hub(const Url& endpoint, const HubReference& reference, const HubListing& listing,
                  const PullChooser& choose);

}  // namespace malina::platform
