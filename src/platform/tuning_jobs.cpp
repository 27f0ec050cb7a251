#include "platform/tuning_jobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>

#include "base/error.h"
#include "base/thread_pool.h"
#include "govern/random_bytes.h"
#include "platform/full_tuning.h"
#include "platform/job_recipe.h"
#include "platform/model_name.h"
#include "platform/platform.h"
#include "platform/tuned_output.h"
#include "platform/tuning_hold.h"

namespace malina::platform {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::int64_t kSeeds = 1'000'000'000;  // of a job that asks for none

// In the words of the API; none is asked for by "".
void check_asked_suffix(const std::string& suffix) {
  if (suffix.empty() || is_suffix(suffix)) return;
  throw Error(Fault::invalid_argument,
              "'suffix' must be 1 to 64 letters, digits, '-', '_' or '.', the first of them a "
              "letter, a digit or '_'",
              {.code = "invalid_value", .parameter = "suffix"});
}

// In the words of the API, before anything is validated. The result's name is not one of its
// base's: who makes it must be one who may use it.
void check_full(const Caller& caller, const TuningJob& job) {
  if (job.hyperparameters.fast)
    throw Error(Fault::invalid_argument,
                "technique full trains all weights exactly: 'precision' may not be fast",
                {.code = "invalid_value", .parameter = "hyperparameters.precision"});
  if (!caller.may_use(job.result_name))
    throw Error(Fault::invalid_argument,
                fmt::format("this key may not use a model that is called {}: choose another suffix",
                            job.result_name),
                {.code = "invalid_value", .parameter = "suffix"});
}

// Everything that decides the result; two jobs that say the same are one.
std::string fingerprint_of(const TuningJob& job, const std::optional<std::int64_t>& seed) {
  Json all = Json::array(
      {job.model_digest, job.training_digest, job.validation_digest, job.suffix, job.metadata});
  const auto add = [&](const auto& value) { all.push_back(value ? Json(*value) : Json()); };
  add(seed);
  add(job.hyperparameters.batch_size);
  add(job.hyperparameters.learning_rate_multiplier);
  add(job.hyperparameters.epochs);
  all.push_back(job.hyperparameters.technique);
  all.push_back(job.hyperparameters.fast);
  base::Sha256 digest;
  digest.update(all.dump(-1, ' ', false, Json::error_handler_t::replace));
  return digest.finish().hex();
}

unsigned threads_of(const TuningJobsOptions& options) {
  if (options.threads != 0) return options.threads;
  return (base::ThreadPool::default_threads() + 1) / 2;
}

bool is_model(Platform& platform, const std::string& name) {
  const auto models = platform.list_models();
  return std::ranges::find(models, name, &ModelRecord::name) != models.end();
}

// Whether something that was tuned stands under this name: a classifier, or an adapter.
bool is_tuned(Platform& platform, const std::string& name) {
  const auto aliases = platform.list_aliases();
  return TunedClassifiers(platform.home()).find(name).has_value() || is_model(platform, name) ||
         std::any_of(aliases.begin(), aliases.end(),
                     [&](const auto& each) { return each.name == name; });
}

// A job's result is called MODEL:SUFFIX; one without ':' is a model of its own, and a classifier of
// that name is somebody else's.
bool is_own_model(const std::string& name) { return name.find(':') == std::string::npos; }

// Takes away what a training under this name has left that did not end. Who does holds the name.
void forget(Platform& platform, const std::string& name) {
  std::error_code ignored;
  for (const auto& each : left_of_tuning(platform.home(), name))
    std::filesystem::remove_all(each, ignored);
}

// The same of what it has made, finished or not.
void discard(Platform& platform, const std::string& name) {
  forget(platform, name);
  // Another that was imported under its name meanwhile is nothing of it.
  const auto models = platform.list_models();
  const auto found = std::ranges::find(models, name, &ModelRecord::name);
  if (found != models.end() && found->source == kTunedSource) platform.remove_model(name);
  if (is_own_model(name)) return;
  std::error_code ignored;
  std::filesystem::remove_all(TunedClassifiers(platform.home()).place(name), ignored);
}

// Of a name that a record has, for work on it. Throws already_exists.
std::shared_ptr<TuningHold> hold_for_job(Platform& platform, const std::string& name) {
  auto hold = std::make_shared<TuningHold>(platform.home(), name);
  hold->leave_nothing();
  return hold;
}

// Null where another has it.
std::shared_ptr<TuningHold> hold_if_free(Platform& platform, const std::string& name) {
  try {
    return hold_for_job(platform, name);
  } catch (const Error& error) {
    if (error.fault() != Fault::already_exists) throw;
  }
  return nullptr;
}

JobWork work_of(Platform& platform) {
  return {.check =
              [&platform](const DataCheckRequest& request, const ProgressSink& progress) {
                return platform.check_data(request, progress);
              },
          .tune = [&platform](
                      const TuneRequest& request,
                      const tune::TuningEvents& events) { return platform.tune(request, events); },
          .digest =
              [&platform](const std::string& model) {
                const ResolvedModel resolved = platform.resolve(model);
                return resolved.record ? resolved.record->digest.text() : std::string();
              },
          .hold = [&platform](const std::string& name) { return hold_for_job(platform, name); },
          .discard = [&platform](const std::string& name) { discard(platform, name); },
          .forget = [&platform](const std::string& name) { forget(platform, name); }};
}

}  // namespace

TuningJobs::TuningJobs(Platform& platform, const TuningJobsOptions& options)
    : platform_(platform),
      options_(options),
      chain_(base::system_clock()),
      database_(store::open_sqlite(platform.home() / "malina.db", store::Access::read_write)),
      files_(platform.home(), *database_, chain_, options.tenant_files),
      records_((files_.sweep(), *database_), chain_),
      runner_(records_, files_, work_of(platform),
              {.threads = threads_of(options), .home = platform.home(), .memory = options.memory}) {
}

TuningJobs::~TuningJobs() = default;

DataFile TuningJobs::commit(DataFiles::Upload& upload, const Caller& caller,
                            std::string_view purpose, std::string_view request_id,
                            std::string_view repetition) {
  return files_.commit(upload, actor(caller), purpose, request_id, repetition);
}

DataFile TuningJobs::file(const Caller& caller, std::string_view id) {
  return files_.get(caller.tenant, id);
}

Page<DataFile> TuningJobs::files(const Caller& caller, std::string_view purpose,
                                 const PageRequest& page) {
  return files_.list(caller.tenant, purpose, page);
}

void TuningJobs::remove_file(const Caller& caller, std::string_view id,
                             std::string_view request_id) {
  files_.remove(actor(caller), id, request_id, [&] { records_.check_unused(id); });
}

// What a job names is wrong in the request, and nothing that is missing under its address.
DataFile TuningJobs::data_of(const Caller& caller, const std::string& id, const char* parameter) {
  auto file = files_.find(caller.tenant, id);
  if (!file || file->purpose != kPurposeTuning)
    throw Error(Fault::invalid_argument,
                fmt::format("'{}' must be the id of a file with the purpose '{}'; there is no '{}'",
                            parameter, kPurposeTuning, id.substr(0, AuditEntry::kLongestText)),
                {.code = "invalid_file", .parameter = parameter});
  return *std::move(file);
}

// Within a transaction.
void TuningJobs::check_room(const Caller& caller) {
  if (options_.tenant_jobs == 0) return;
  const std::size_t open = records_.open_jobs(caller.tenant);
  if (open < options_.tenant_jobs) return;
  throw Error(Fault::exhausted,
              fmt::format("{} fine-tuning jobs of this tenant are not over, and there may be {}: "
                          "wait for one, or cancel one",
                          open, options_.tenant_jobs),
              {.code = "too_many_jobs", .retry_after = std::chrono::seconds(60)});
}

// Within a transaction: until its end the hold keeps others from beginning under this name.
void TuningJobs::take_name(const std::string& name, std::shared_ptr<TuningHold>& hold) {
  const auto refuse = [&](std::string_view why) {
    throw Error(Fault::already_exists, fmt::format("{}: choose another suffix", why),
                {.code = "name_taken", .parameter = "suffix", .retry_helps = false});
  };
  hold.reset();  // of an attempt before
  const std::string taken = fmt::format("there is a model {} already", name);
  if (open_job_called(*database_, name)) refuse(taken);
  const std::string other = fmt::format("another tuning has the name {}", name);
  std::shared_ptr<TuningHold> own;
  try {
    own = std::make_shared<TuningHold>(platform_.home(), name);
  } catch (const Error& error) {
    if (error.fault() == Fault::already_exists) refuse(other);  // who has it is not the caller's
    throw;
  }
  if (own->continues()) refuse(other);  // and leaves its file as it was
  own->leave_nothing();
  if (is_tuned(platform_, name)) refuse(taken);
  hold = std::move(own);
}

TuningJob TuningJobs::create(const Caller& caller, const JobRequest& request,
                             std::string_view request_id, const Repetition& repetition) {
  // Also where its file or its model are there no more.
  const std::int64_t now = std::chrono::system_clock::to_time_t(chain_.clock().wall());
  if (const auto id = created_before(*database_, actor(caller).id, repetition, now))
    if (auto job = records_.find(*id); job && job->tenant == caller.tenant) return *std::move(job);
  check_asked_suffix(request.suffix);
  const ResolvedModel base = platform_.resolve_for(caller, request.model);
  if (base.adapter)
    throw Error(Fault::invalid_argument,
                fmt::format("'{}' is an adapter: only a whole model can be tuned", request.model),
                {.code = "invalid_value", .parameter = "model"});
  TuningJob job;
  job.id = "ftjob-" + govern::random_letters(24);
  job.asked_model = request.model;
  job.model = base.record->name;
  job.model_digest = base.record->digest.hex();
  job.suffix = request.suffix;
  job.hyperparameters = request.hyperparameters;
  const std::string suffix = request.suffix.empty() ? job.id.substr(6, 12) : request.suffix;
  job.result_name = is_full(job) ? full_name(base, suffix) : job.model + ":" + suffix;
  if (const std::string_view fault = name_fault(job.result_name); !fault.empty())
    throw Error(Fault::invalid_argument,
                fmt::format("the name '{}' {}: choose another suffix", job.result_name, fault),
                {.code = "invalid_value", .parameter = "suffix"});
  job.metadata = request.metadata;
  const auto own_seed = [&] {
    return static_cast<std::int64_t>(std::hash<std::string>()(job.id) % kSeeds);
  };
  if (is_full(job)) check_full(caller, job);
  job.seed = request.seed ? *request.seed : own_seed();
  const DataFile training = data_of(caller, request.training_file, "training_file");
  job.training_file = training.id;
  job.training_digest = training.digest;
  if (!request.validation_file.empty()) {
    const DataFile validation = data_of(caller, request.validation_file, "validation_file");
    job.validation_file = validation.id;
    job.validation_digest = validation.digest;
  }
  job.fingerprint = fingerprint_of(job, request.seed);
  std::shared_ptr<TuningHold> hold;  // until the record has the name
  job = records_.create(
      std::move(job), actor(caller), request_id,
      [&, name = job.result_name] {
        // Within the transaction in which files are deleted too: they are still there.
        data_of(caller, request.training_file, "training_file");
        if (!request.validation_file.empty())
          data_of(caller, request.validation_file, "validation_file");
        check_room(caller);
        take_name(name, hold);
      },
      repetition);
  hold.reset();
  runner_.wake();
  return job;
}

TuningJob TuningJobs::job(const Caller& caller, std::string_view id) {
  return records_.get(caller.tenant, id);
}

Page<TuningJob> TuningJobs::jobs(const Caller& caller, const Json& metadata,
                                 const PageRequest& page) {
  return records_.list(caller.tenant, metadata, page);
}

Page<JobEvent> TuningJobs::events(const Caller& caller, std::string_view id,
                                  const PageRequest& page) {
  return records_.history().events(job(caller, id).id, page);
}

Page<JobCheckpoint> TuningJobs::checkpoints(const Caller& caller, std::string_view id,
                                            const PageRequest& page) {
  return records_.history().checkpoints(job(caller, id).id, page);
}

TuningJob TuningJobs::cancel(const Caller& caller, std::string_view id,
                             std::string_view request_id) {
  const TuningJob before = records_.get(caller.tenant, id);
  // Nobody begins under its name between the record and the end of what it has left. Whoever works
  // on it holds the name, and clears away itself.
  auto hold = is_over(before.status) ? nullptr : hold_if_free(platform_, before.result_name);
  TuningJob job = records_.cancel(actor(caller), id, request_id);
  if (runner_.interrupt(id) || !job.started) return job;
  if (!hold) hold = hold_if_free(platform_, job.result_name);  // nobody works on it any more
  if (hold) discard(platform_, job.result_name);
  return job;
}

TuningJob TuningJobs::pause(const Caller& caller, std::string_view id,
                            std::string_view request_id) {
  TuningJob job = records_.pause(actor(caller), id, request_id);
  runner_.interrupt(id);
  return job;
}

TuningJob TuningJobs::resume(const Caller& caller, std::string_view id,
                             std::string_view request_id) {
  TuningJob job = records_.resume(actor(caller), id, request_id);
  runner_.wake();
  return job;
}

}  // namespace malina::platform
