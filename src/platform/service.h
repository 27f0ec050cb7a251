// The platform as a server uses it: models in memory, and verbs that each know who asks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "platform/caller.h"
#include "platform/governed_request.h"
#include "platform/inspection.h"
#include "platform/model_pool.h"
#include "platform/processor.h"
#include "platform/refusal_audit.h"
#include "platform/server_settings.h"
#include "platform/tuned_answers.h"
#include "platform/tuning_jobs.h"

namespace malina::platform {

class Platform;

struct ListedModel {
  std::string name;
  std::int64_t created = 0;  // seconds since 1970-01-01 UTC
  std::string family, encoding;
  std::uint64_t size_bytes = 0;
  std::string digest;    // "sha256:..."
  std::string alias_of;  // the model that an alias stands for now; "" for a model
  std::string kind =
      {};  // "classifier" or "tagger": answers its own question alone; "" for a model
  std::string base = {};  // of such a one, where it needs one
};

// A key has used up what it may. Fault::exhausted.
class QuotaError : public base::Error {
 public:
  QuotaError(const base::Error& error, const QuotaVerdict& verdict)
      : base::Error(error), verdict_(verdict) {}
  const QuotaVerdict& verdict() const { return verdict_; }

 private:
  QuotaVerdict verdict_;
};

// Safe on many threads. Failures are base::Error.
class Service {
 public:
  // The platform must outlive it. Opens what is needed to record, and begins to load
  // settings.models: throws where that fails, and not_found for a model that there is not.
  Service(Platform& platform, const ServerSettings& settings);
  ~Service();

  // The caller that shows this key. Throws unauthenticated, with the same words for every cause.
  Caller authenticate(std::string_view token);
  // Whom keyless calls from this machine count as; nullopt: nobody.
  std::optional<Caller> loopback_caller();
  // Throws unauthenticated where the key has been revoked since: for answers that take long.
  void check_still_valid(const Caller& caller);

  std::vector<ListedModel> models(const Caller& caller);  // and aliases, by name
  // Throws not_found, also for a model that the caller may not use.
  ListedModel model(const Caller& caller, std::string_view name);

  // A tuned classifier or tagger of this name that the caller may use; nullopt where there is none.
  // Throws not_found where its base is not in the store.
  std::optional<TunedRecord> tuned(const Caller& caller, std::string_view name);

  // Throws denied where the key may not have texts sent to upstreams, invalid_argument, naming it,
  // where there is no such one that the server is set up with and the key may use.
  void check_upstream(const Caller& caller, std::string_view name);
  // Where the connector listens that is the way to them.
  std::filesystem::path connector() const;

  Inspection inspect(const Caller& caller, std::string_view name);

  // The model, ready; nullopt while it is loading (ask again). Throws not_found and what loading
  // threw.
  std::optional<ModelPool::Lease> lease(const Caller& caller, std::string_view model);
  // Reserves the quota and records the intent, durably: blocks for a commit. Throws exhausted,
  // overloaded (nothing can be recorded now).
  std::unique_ptr<GovernedRequest> begin(const Caller& caller, const RequestFacts& facts);
  // Records the outcome, durably: blocks for a commit.
  void end(GovernedRequest& request, const RequestOutcome& outcome);

  // Keeps count of a request that was refused, for the audit (refusal_audit.h); returns at once.
  void refused(const Refusal& refusal) { refusals_.note(refusal); }
  void flush_refusals() { refusals_.flush(); }  // now and then

  ModelPool& pool() { return pool_; }
  TuningJobs& jobs() { return *jobs_; }
  TunedAnswers& tuned_answers() { return tuned_answers_; }
  const ServerSettings& settings() const { return settings_; }
  // What bodies of requests may take; the models have the rest of the memory.
  std::uint64_t body_bytes() const { return body_bytes_; }
  // Throws overloaded where nothing can be recorded now, and so nothing done: code disk_full, which
  // goes by itself, or read_only. May wait for the disk.
  void check_recording();

 private:
  Platform& platform_;
  const ServerSettings settings_;
  const std::uint64_t memory_bytes_, body_bytes_;
  Processor processor_;
  ModelPool pool_;
  TunedAnswers tuned_answers_;
  RefusalAudit refusals_;
  std::unique_ptr<TuningJobs> jobs_;  // last: a job ends before what it uses
};

}  // namespace malina::platform
