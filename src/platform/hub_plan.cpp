// Which files of a repository are one model, and which of several is meant.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "base/error.h"
#include "base/near_match.h"
#include "platform/http_header.h"
#include "platform/hub.h"
#include "platform/model_file.h"
#include "platform/model_name.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;

// The number in "NNNNN-of-MMMMM" at the end of `stem`, after a dash.
struct Part {
  std::size_t number = 0, count = 0;
  std::string stem;  // without it
};

std::optional<Part> parse_part(std::string_view stem) {
  constexpr std::size_t kLength = std::string_view("-00001-of-00003").size();
  if (stem.size() <= kLength) return std::nullopt;
  const std::string_view tail = stem.substr(stem.size() - kLength);
  if (tail.front() != '-' || tail.substr(6, 4) != "-of-") return std::nullopt;
  const auto number = parse_decimal(tail.substr(1, 5));
  const auto count = parse_decimal(tail.substr(10));
  if (!number || !count || *number == 0 || *number > *count) return std::nullopt;
  return Part{*number, *count, std::string(stem.substr(0, stem.size() - kLength))};
}

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string_view without(std::string_view path, std::string_view suffix) {
  return path.substr(0, path.size() - suffix.size());
}

// A GGUF model of the repository: a file, or all parts of one.
struct Candidate {
  std::string path;  // of the first part
  std::vector<const HubFile*> files;
  std::size_t parts = 1;
  std::uint64_t size_bytes = 0;
};

std::vector<Candidate> gguf_candidates(const HubListing& listing) {
  constexpr std::string_view kSuffix = ".gguf";
  std::map<std::string, Candidate> by_stem;
  for (const HubFile& file : listing.files) {
    if (!lower_case(file.path).ends_with(kSuffix)) continue;
    const auto part = parse_part(without(file.path, kSuffix));
    // A part of a set of three is another model than a part of a set of two.
    const std::string key = part ? fmt::format("{} {}", part->stem, part->count) : file.path;
    Candidate& candidate = by_stem[key];
    if (candidate.path.empty() || file.path < candidate.path) candidate.path = file.path;
    candidate.files.push_back(&file);
    candidate.parts = part ? part->count : 1;
    candidate.size_bytes += file.size_bytes;
  }
  std::vector<Candidate> candidates;
  for (auto& [key, candidate] : by_stem) {
    std::sort(candidate.files.begin(), candidate.files.end(),
              [](const HubFile* a, const HubFile* b) { return a->path < b->path; });
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

// A projector of images, which is no model of language by itself.
bool is_projector(const Candidate& candidate) {
  return file_name(candidate.path).starts_with("mmproj");
}

std::vector<PullChoice> choices_of(const std::vector<Candidate>& candidates,
                                   const HubReference& reference) {
  std::vector<PullChoice> choices;
  for (const Candidate& candidate : candidates)
    choices.push_back({.what = reference.text() + ":" + candidate.path,
                       .size_bytes = candidate.size_bytes,
                       .files = candidate.files.size()});
  return choices;
}

// The one that FILE names: by its path or the path of a part, by its file name, or by a piece of
// the path that no other has ("Q4_K_M").
Candidate named(const std::vector<Candidate>& candidates, const HubReference& reference) {
  std::vector<std::string> paths;
  for (const Candidate& candidate : candidates) {
    for (const HubFile* file : candidate.files)
      if (file->path == reference.file || file_name(file->path) == reference.file) return candidate;
    paths.push_back(candidate.path);
  }
  std::vector<const Candidate*> found;
  for (const Candidate& candidate : candidates)
    if (lower_case(candidate.path).find(lower_case(reference.file)) != std::string::npos)
      found.push_back(&candidate);
  if (found.size() == 1) return *found.front();
  if (!found.empty())
    throw Error(Fault::invalid_argument,
                fmt::format("{} has {} files with '{}' in their names; give the whole name of one",
                            reference.text(), found.size(), reference.file));
  const std::string near = base::did_you_mean(reference.file, paths);
  throw Error(
      Fault::not_found,
      fmt::format(
          "{} has no GGUF file '{}'{}", reference.text(), reference.file,
          near.empty() ? "; 'malina pull " + reference.text() + "' lists what it has" : near));
}

PlannedFile planned(const Url& endpoint, const HubReference& reference, const HubListing& listing,
                    const HubFile& file, std::string local_name) {
  const std::string& revision = listing.commit.empty() ? reference.revision : listing.commit;
  return {.url = resolve_url(
              endpoint,
              fmt::format("{}/{}/{}/resolve/{}/{}", endpoint.target == "/" ? "" : endpoint.target,
                          reference.owner, reference.repository, percent_encoded(revision),
                          percent_encoded(file.path, true))),
          .local_name = std::move(local_name),
          .size_bytes = file.size_bytes,
          .digest = file.digest,
          .magic = ""};
}

PullPlan plan_gguf(const Url& endpoint, const HubReference& reference, const HubListing& listing,
                   const Candidate& candidate) {
  if (candidate.files.size() != candidate.parts)
    throw Error(Fault::not_found,
                fmt::format("{}: {} has {} of its {} parts in the repository", reference.text(),
                            candidate.path, candidate.files.size(), candidate.parts));
  PullPlan plan;
  plan.name = name_from_file(std::string(file_name(candidate.path)));
  for (std::size_t i = 0; i < candidate.parts; ++i) {
    plan.files.push_back(planned(
        endpoint, reference, listing, *candidate.files[i],
        candidate.parts == 1 ? "model.gguf"
                             : fmt::format("model-{:05}-of-{:05}.gguf", i + 1, candidate.parts)));
    plan.files.back().magic = "GGUF";
  }
  return plan;
}

// The name under which a file of a safetensors model is kept, made anew from a list and from
// numbers;
// "" for what is not needed.
std::string safetensors_name(std::string_view path) {
  constexpr std::string_view kSuffix = ".safetensors";
  for (const std::string_view known :
       {"config.json", "generation_config.json", "model.safetensors",
        "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json",
        "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "vocab.json",
        "merges.txt", "chat_template.jinja", "chat_template.json"})
    if (path == known) return std::string(known);
  if (!path.ends_with(kSuffix)) return "";
  const auto part = parse_part(without(path, kSuffix));
  if (!part || part->stem != "model") return "";
  return fmt::format("model-{:05}-of-{:05}.safetensors", part->number, part->count);
}

PullPlan plan_safetensors(const Url& endpoint, const HubReference& reference,
                          const HubListing& listing) {
  PullPlan plan;
  plan.name = sanitised_name(reference.repository);
  plan.is_directory = true;
  bool config = false, weights = false;
  for (const HubFile& file : listing.files) {
    const std::string name = safetensors_name(file.path);
    if (name.empty()) continue;
    config = config || name == "config.json";
    weights = weights || name.ends_with(".safetensors");
    plan.files.push_back(planned(endpoint, reference, listing, file, name));
  }
  if (!config || !weights)
    throw Error(
        Fault::not_found,
        fmt::format("{} has neither a GGUF file nor a model in safetensors (config.json with "
                    "model.safetensors or model-00001-of-....safetensors)",
                    reference.text()));
  // What says whether the model can be used at all comes before gigabytes of it.
  std::stable_partition(plan.files.begin(), plan.files.end(), [](const PlannedFile& file) {
    return !file.local_name.ends_with(".safetensors");
  });
  return plan;
}

}  // namespace

PullPlan plan_hub(const Url& endpoint, const HubReference& reference, const HubListing& listing,
                  const PullChooser& choose) {
  std::vector<Candidate> candidates = gguf_candidates(listing);
  PullPlan plan;
  std::string chosen;
  if (!reference.file.empty()) {
    const Candidate candidate = named(candidates, reference);
    chosen = candidate.path;
    plan = plan_gguf(endpoint, reference, listing, candidate);
  } else {
    std::erase_if(candidates, is_projector);
    if (candidates.empty()) {
      plan = plan_safetensors(endpoint, reference, listing);
    } else {
      const std::size_t index =
          candidates.size() == 1 ? 0 : choose(choices_of(candidates, reference));
      chosen = candidates.at(index).path;
      plan = plan_gguf(endpoint, reference, listing, candidates.at(index));
    }
  }
  // Without the commit, so that a part outlives a change of another file in the repository; that it
  // is one of this file is proven when it is resumed.
  plan.shown = reference.text() + (plan.is_directory ? "" : ":" + chosen);
  plan.key = plan.shown + " at " + endpoint.text();
  return plan;
}

}  // namespace malina::platform
