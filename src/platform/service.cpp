#include "platform/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <utility>

#include "base/error.h"
#include "base/machine.h"
#include "base/quote.h"
#include "platform/platform.h"
#include "platform/tuned_names.h"
#include "platform/tuning.h"
#include "platform/unix_socket.h"
#include "platform/upstream.h"

namespace malina::platform {

using base::Error;
using base::Fault;

namespace {

constexpr std::size_t kParallel = 16;  // whole contexts of a model, where memory allows

PoolOptions pool_options(const ServerSettings& settings, std::uint64_t memory) {
  PoolOptions options;
  options.memory_bytes = memory;
  options.keep_alive = std::chrono::duration_cast<std::chrono::seconds>(settings.keep_alive);
  options.run.context = settings.context;
  options.run.parallel = settings.parallel != 0 ? settings.parallel : kParallel;
  options.run.most_waiting = settings.max_queue;
  options.run.threads = settings.threads;
  options.run.exact = settings.exact;
  options.run.kv_type = settings.kv_type;
  return options;
}

TunedAnswers::Options tuned_options(const ServerSettings& settings,
                                    const std::filesystem::path& home) {
  return {.keep_alive = std::chrono::duration_cast<std::chrono::seconds>(settings.keep_alive),
          .most_waiting = settings.max_queue,
          .checked = TunedClassifiers(home).checked()};
}

Error no_key() {
  return Error(Fault::unauthenticated,
               "the API key is missing, unknown, expired or revoked; give one as 'Authorization: "
               "Bearer ID.SECRET' (malina key create)");
}

Error quota_used_up(const QuotaVerdict& verdict) {
  const auto seconds = std::clamp<std::chrono::seconds>(
      std::chrono::ceil<std::chrono::seconds>(verdict.retry_after), std::chrono::seconds(1),
      std::chrono::seconds(60));  // official clients refuse to wait for longer
  switch (verdict.refusal) {
    case QuotaRefusal::requests:
      return Error(Fault::exhausted,
                   fmt::format("this key may make {} requests a minute", verdict.requests.limit),
                   {.code = "rate_limit_exceeded", .retry_after = seconds});
    case QuotaRefusal::tokens:
      return Error(Fault::exhausted,
                   fmt::format("this key may use {} tokens a minute", verdict.tokens.limit),
                   {.code = "rate_limit_exceeded", .retry_after = seconds});
    case QuotaRefusal::too_large:
      return Error(
          Fault::exhausted,
          fmt::format("the request may need more tokens than the {} that this key has for a "
                      "minute; ask for fewer (max_tokens)",
                      verdict.tokens.limit),
          {.code = "insufficient_quota"});
    default:
      return Error(Fault::exhausted, "this key has as many answers under way as it may have",
                   {.code = "rate_limit_exceeded", .retry_after = seconds});
  }
}

// The cause names files of this machine: the log's business, no client's.
Error not_recorded(const RecordingState& state) {
  const bool full = state.recording == Recording::disk_full;
  const char* why =
      full ? "the disk is full, so nothing can be recorded, and what cannot be recorded is not "
             "done; it goes on by itself when there is room"
           : "nothing can be recorded now, and what cannot be recorded is not done";
  return Error(Fault::overloaded,
               state.recording == Recording::read_only
                   ? "writing to the disk failed: nothing is recorded, and so nothing is done, "
                     "until the server is started again"
                   : why,
               {.code = full ? "disk_full" : "read_only",
                .retry_after = std::chrono::seconds(10),
                .cause = state.cause});
}

// Waits for a record to be durable. What cannot be recorded must not be done. The failure is handed
// over, so that the writer's thread has nothing of it left to free (store/writer.cpp says why).
template <class Start>
void wait_for_record(Start start) {
  std::promise<std::exception_ptr> done;
  start([&](std::exception_ptr failure) { done.set_value(std::move(failure)); });
  try {
    if (auto failure = done.get_future().get()) std::rethrow_exception(std::move(failure));
  } catch (const Error& error) {
    if (error.fault() == Fault::overloaded) throw;
    throw not_recorded(govern::told_by(std::current_exception()).value_or(RecordingState{}));
  }
}

ListedModel listed(const ModelRecord& record) {
  return {.name = record.name,
          .created = record.imported_at,
          .family = record.family,
          .encoding = record.encoding,
          .size_bytes = record.size_bytes,
          .digest = record.digest.text(),
          .alias_of = {}};
}

ListedModel listed(const TunedRecord& record) {
  return {.name = record.name,
          .created = record.created,
          .family = "",
          .encoding = "",
          .size_bytes = record.size_bytes,
          .digest = record.digest,
          .alias_of = {},
          .kind = record.kind,
          .base = record.base};
}

}  // namespace

Service::Service(Platform& platform, const ServerSettings& settings)
    : platform_(platform),
      settings_(settings),
      memory_bytes_(memory_budget(settings, base::read_machine())),
      body_bytes_(body_budget(settings, memory_bytes_)),
      processor_(settings.threads),
      pool_(processor_, pool_options(settings, memory_bytes_ - body_bytes_)),
      tuned_answers_(processor_, pool_, tuned_options(settings, platform.home())),
      refusals_(base::system_clock(), [this](AuditEntry entry) {
        platform_.record(std::move(entry), [](std::exception_ptr) {});  // lost on a full disk
      }) {
  platform_.open_records();
  if (!settings_.trust_loopback.empty() && !loopback_caller())
    throw Error(Fault::invalid_argument,
                fmt::format("--trust-loopback: there is no valid key '{}' (malina key list)",
                            settings_.trust_loopback));
  if (!settings_.upstreams.empty()) check_socket_path(connector());
  for (const std::string& name : settings_.models) pool_.acquire(platform_.resolve(name));
  jobs_ = std::make_unique<TuningJobs>(
      platform_,
      TuningJobsOptions{
          .threads = settings_.job_threads,
          .tenant_files = settings_.tenant_files,
          .tenant_jobs = settings_.tenant_jobs,
          .memory = {.bytes = pool_.memory_bytes(),
                     .reserve = [this](std::uint64_t bytes) { return pool_.reserve(bytes); },
                     .give_back = [this](std::uint64_t bytes) { pool_.give_back(bytes); }}});
}

Service::~Service() = default;

Caller Service::authenticate(std::string_view token) {
  auto caller = platform_.authenticate(token);
  if (!caller) throw no_key();
  return *std::move(caller);
}

std::optional<Caller> Service::loopback_caller() {
  if (settings_.trust_loopback.empty()) return std::nullopt;
  return platform_.caller_of_key(settings_.trust_loopback);
}

void Service::check_still_valid(const Caller& caller) {
  // A caller that was mapped to a key has shown no secret of it.
  if (caller.secret_generation == 0 ? !platform_.caller_of_key(caller.key_id)
                                    : !platform_.live(caller))
    throw no_key();
}

std::vector<ListedModel> Service::models(const Caller& caller) {
  std::vector<ListedModel> result;
  const std::vector<ModelRecord> records = platform_.list_models();
  for (const ModelRecord& record : records)
    if (caller.may_use(record.name)) result.push_back(listed(record));
  for (const Alias& alias : platform_.list_aliases()) {
    if (!caller.may_use(alias.name)) continue;
    const auto stands_for = std::ranges::find(records, alias.digest, &ModelRecord::digest);
    if (stands_for == records.end()) continue;
    ListedModel& model = result.emplace_back(listed(*stands_for));
    model.name = alias.name;
    model.alias_of = stands_for->name;
  }
  for (const TunedRecord& record : list_tuned(platform_))
    if (caller.may_use(record.name)) result.push_back(listed(record));
  std::ranges::sort(result, {}, &ListedModel::name);
  return result;
}

std::optional<TunedRecord> Service::tuned(const Caller& caller, std::string_view name) {
  return tuned_for(platform_, caller, name);
}

ListedModel Service::model(const Caller& caller, std::string_view name) {
  if (const auto record = tuned(caller, name)) return listed(*record);
  const ResolvedModel resolved = platform_.resolve_for(caller, name);
  ListedModel model = listed(*resolved.record);
  model.name = name;
  if (resolved.record->name != name) model.alias_of = resolved.record->name;
  return model;
}

void Service::check_upstream(const Caller& caller, std::string_view name) {
  if (!caller.may(Permission::upstream))
    throw Error(Fault::denied,
                "this key may not have texts sent off this machine: that needs the permission "
                "'upstream'",
                {.code = "missing_permission"});
  const std::string target = std::string(kUpstreamPrefix) + std::string(name);
  if (std::ranges::find(settings_.upstreams, name) == settings_.upstreams.end() ||
      !caller.may_use(target))
    throw Error(Fault::invalid_argument,
                fmt::format("there is no upstream {} that this key may use: --upstreams of the "
                            "server lists those that an administrator allowed",
                            base::in_quotes(name)),
                {.code = "upstream_not_allowed"});
}

std::filesystem::path Service::connector() const {
  return connector_socket(settings_, platform_.home());
}

Inspection Service::inspect(const Caller& caller, std::string_view name) {
  InspectOptions options;
  options.digest = false;
  return inspect_model(platform_.resolve_for(caller, name), options, {});
}

std::optional<ModelPool::Lease> Service::lease(const Caller& caller, std::string_view model) {
  if (is_only_tuned(platform_, caller, model))
    throw Error(
        Fault::invalid_argument,
        fmt::format("'{}' is a tuned classifier, which answers its own question alone: POST "
                    "/v1/decisions without questions",
                    model),
        {.parameter = "model"});
  return pool_.acquire(platform_.resolve_for(caller, model));
}

std::unique_ptr<GovernedRequest> Service::begin(const Caller& caller, const RequestFacts& facts) {
  Admission admission = platform_.admit(caller, facts);
  if (!admission.request) throw QuotaError(quota_used_up(admission.verdict), admission.verdict);
  wait_for_record([&](auto done) { admission.request->begin(std::move(done)); });
  return std::move(admission.request);
}

void Service::end(GovernedRequest& request, const RequestOutcome& outcome) {
  wait_for_record([&](auto done) { request.end(outcome, std::move(done)); });
}

void Service::check_recording() {
  const RecordingState state = platform_.recording();
  if (state.recording != Recording::works) throw not_recorded(state);
}

}  // namespace malina::platform
