// Import: check, digest and copy without a lock, then place and record under it.
#include <fmt/format.h>

#include "base/clock.h"
#include "base/error.h"
#include "math/device.h"
#include "model/hugging_face.h"
#include "model/model.h"
#include "model/peft.h"
#include "platform/adapter_file.h"
#include "platform/model_file.h"
#include "platform/model_name.h"
#include "platform/model_store.h"
#include "platform/tuning.h"

namespace malina::platform {

namespace {

using base::Digest;
using base::Error;
using base::Fault;
using std::filesystem::path;

Digest digest_of(const std::vector<StoredFile>& files) {
  std::vector<Digest> digests;
  for (const StoredFile& file : files) digests.push_back(file.digest);
  return model_digest(digests);
}

bool unchanged(const std::vector<StoredFile>& files) {
  for (const StoredFile& file : files) {
    try {
      if (file_facts(file.path) != file.facts) return false;
    } catch (const Error&) {
      return false;  // gone, or not even a file: then it is to be put there again
    }
  }
  return true;
}

// Everything that loading would refuse, short of reading weights: family, sizes, tensors and
// shapes.
void check_runs(const std::shared_ptr<const format::Checkpoint>& checkpoint) {
  if (checkpoint->tensors().empty()) return;  // a vocabulary alone, for `tokenize`
  math::PlanningDevice device;
  model::Model::plan(checkpoint, device);
}

[[noreturn]] void refuse_name(const ModelRecord& other) {
  throw Error(
      Fault::already_exists,
      fmt::format("the name '{0}' is taken by another model (sha256 {1}...); choose one with "
                  "--name, or first 'malina remove {0}'",
                  other.name, other.digest.hex().substr(0, 12)));
}

void refuse_tuned(const path& home, const std::string& name) {
  if (!TunedClassifiers(home).find_name(name)) return;
  throw Error(
      Fault::already_exists,
      fmt::format("the name '{}' is that of a tuned classifier; choose another one with --name",
                  name));
}

// BASE:NAME; a name without a colon is the last part.
std::string adapter_name(const ImportRequest& request, const std::string& base) {
  if (request.name && request.name->find(':') != std::string::npos) {
    if (request.name->starts_with(base + ":")) return *request.name;
    throw Error(
        Fault::invalid_argument,
        fmt::format("an adapter for '{0}' is called {0}:NAME, not '{1}'", base, *request.name));
  }
  if (base.find(':') != std::string::npos)
    throw Error(
        Fault::invalid_argument,
        fmt::format("the base's name '{}' has a tag already, and its adapters' names are to "
                    "be BASE:NAME: import it under a name without one",
                    base));
  const path place =
      model::is_peft(request.file) ? model::peft_directory(request.file) : request.file;
  const path whole = std::filesystem::weakly_canonical(place);
  return fmt::format("{}:{}", base,
                     request.name.value_or(sanitised_name(
                         (model::is_peft(place) ? whole.filename() : whole.stem()).string())));
}

}  // namespace

struct ModelStore::Candidate {
  ModelRecord model;                // its files are the user's until they are copied
  std::vector<StoredFile> sources;  // as they were when they were checked
  std::vector<path> names;          // that a directory's files keep; of a GGUF file none
  bool given = false;               // ImportRequest::give
  std::vector<std::string> warnings = {};
  std::optional<Unfinished> work;  // absent: a model in the store has the same digest, or --link
};

ModelStore::Candidate ModelStore::examine(const ImportRequest& request) {
  Candidate candidate;
  if (is_adapter(request.file))
    examine_adapter(request, candidate);
  else if (request.base.empty())
    examine_model(request, candidate);
  else
    throw Error(Fault::invalid_argument,
                request.file.string() + ": is no adapter, which alone has a --base");
  check_name(candidate.model.name);
  candidate.model.imported_at = base::unix_time();
  candidate.model.linked = request.link;
  candidate.given = request.give;
  for (const StoredFile& file : candidate.sources)
    candidate.model.size_bytes += file.facts.size_bytes;
  candidate.model.source =
      request.source.empty() ? candidate.sources.front().path.string() : request.source;
  return candidate;
}

// Everything is read once, and compared with the base's shapes.
void ModelStore::examine_adapter(const ImportRequest& request, Candidate& candidate) {
  if (request.base.empty())
    throw Error(
        Fault::invalid_argument,
        request.file.string() + ": is an adapter: name the model that it is for with --base");
  const ResolvedModel base = resolve(request.base);
  if (!base.record || base.adapter)
    throw Error(Fault::invalid_argument,
                fmt::format("'{}' is {}: import the base first, and name it", request.base,
                            base.adapter ? "an adapter itself" : "not in the store"));
  math::PlanningDevice device;
  const auto planned = model::Model::plan(open_model_file(base.file)->checkpoint, device);
  AdapterFile read = read_adapter(request.file, *planned);
  candidate.warnings = std::move(read.warnings);
  ModelRecord& model = candidate.model;
  model.base = base.record->digest;
  model.family = base.record->family;
  model.encoding = "lora";
  model.name = adapter_name(request, base.record->name);
  for (const path& file : adapter_files(request.file)) {
    if (read.peft) candidate.names.push_back(file.filename());
    const path source = read.peft ? std::filesystem::absolute(file).lexically_normal()
                                  : std::filesystem::canonical(file);
    candidate.sources.push_back({source, {}, file_facts(source)});
  }
}

void ModelStore::examine_model(const ImportRequest& request, Candidate& candidate) const {
  check_model_path(request.file);
  const auto opened = open_model_file(request.file);
  if (!opened->refused_templates.empty()) throw opened->refused_templates.begin()->second;
  const format::Checkpoint& checkpoint = *opened->checkpoint;
  check_runs(opened->checkpoint);
  const auto shares = encoding_shares(checkpoint);
  ModelRecord& model = candidate.model;
  model.name = request.name.value_or(default_name(checkpoint));
  if (model.name.empty())
    throw Error(Fault::invalid_argument,
                request.file.string() + ": the model does not name itself; give a --name");
  model.family = family(checkpoint);
  model.encoding = shares.empty() ? "" : shares.front().encoding;
  const bool directory = model::is_hugging_face(checkpoint.files().front());
  const path folder = directory ? checkpoint.files().front().parent_path() : path();
  for (const path& file : checkpoint.files()) {
    // A directory's files may be links to where a hub keeps them under other names.
    const path source = directory ? std::filesystem::absolute(file).lexically_normal()
                                  : std::filesystem::canonical(file);
    if (directory) candidate.names.push_back(file.lexically_relative(folder));
    candidate.sources.push_back({source, {}, file_facts(source)});
  }
}

void ModelStore::digest_and_copy(Candidate& candidate, bool may_share,
                                 const ProgressSink& progress) {
  ModelRecord& model = candidate.model;
  const auto digest_in_place = [&] {
    ByteCounter counter("digesting", model.size_bytes, progress);
    model.files = candidate.sources;
    for (StoredFile& file : model.files) file.digest = hash_file(file.path, counter);
  };
  const auto same_size = static_cast<std::int64_t>(model.size_bytes);
  bool copy = !model.linked;
  if (model.linked) {
    digest_in_place();
  } else if (may_share && !records("WHERE linked = 0 AND size_bytes = ?1", same_size).empty()) {
    // Most likely the same model again: read it before taking space for a copy.
    digest_in_place();
    copy = records("WHERE linked = 0 AND digest = ?1", digest_of(model.files).hex()).empty();
  }
  if (copy) {
    std::vector<path> sources;
    for (const StoredFile& file : candidate.sources) sources.push_back(file.path);
    {
      const Descriptor lock = folder_.lock();
      candidate.work.emplace(folder_.begin());
    }
    ByteCounter counter("copying", model.size_bytes, progress);
    model.files = candidate.work->copy(sources, candidate.names, candidate.given, counter);
  }
  if (!unchanged(candidate.sources))
    throw Error(Fault::io, candidate.sources.front().path.string() +
                               ": the file changed while it was being imported");
  model.digest = digest_of(model.files);
}

// Nullopt: the model in the store that was to be shared is gone or damaged; a copy is needed.
std::optional<ImportOutcome> ModelStore::settle(Candidate& candidate) {
  ModelRecord& model = candidate.model;
  const Descriptor lock = folder_.lock();
  refuse_alias(model.name);
  refuse_tuned(home_, model.name);
  const auto existing = find(model.name);
  if (existing && (existing->digest != model.digest || existing->base != model.base))
    refuse_name(*existing);
  // A linked model that is imported again without --link is copied: its files may go.
  if (existing && unchanged(existing->files) && (model.linked || !existing->linked))
    return ImportOutcome{*existing, true};
  if (!model.linked) {
    for (const ModelRecord& other :
         records("WHERE linked = 0 AND digest = ?1", model.digest.hex())) {
      if (!unchanged(other.files)) continue;
      model.files = other.files;
      candidate.work.reset();
      database_->transaction([&] { write_record(model); });
      return ImportOutcome{model, false};
    }
    if (!candidate.work) return std::nullopt;
    try {
      folder_.place(*candidate.work, model.digest, model.files);
      database_->transaction([&] { write_record(model); });
    } catch (...) {
      folder_.undo(*candidate.work, model.digest);
      throw;
    }
    folder_.close(*candidate.work);
    return ImportOutcome{model, false};
  }
  database_->transaction([&] { write_record(model); });
  return ImportOutcome{model, false};
}

ImportOutcome ModelStore::import_model(const ImportRequest& request, const ProgressSink& progress) {
  Candidate candidate = examine(request);
  database(true);
  refuse_alias(candidate.model.name);
  refuse_tuned(home_, candidate.model.name);
  if (const auto existing = find(candidate.model.name);
      existing && existing->size_bytes != candidate.model.size_bytes)
    refuse_name(*existing);
  for (const bool may_share : {true, false}) {
    digest_and_copy(candidate, may_share, progress);
    if (auto outcome = settle(candidate)) {
      outcome->warnings = std::move(candidate.warnings);
      return std::move(*outcome);
    }
  }
  throw Error(Fault::internal, "the model was copied and yet is not there");
}

}  // namespace malina::platform
