// The verbs of Platform that concern trust: keys, requests, aliases, audit.
#include <fmt/format.h>

#include "base/error.h"
#include "platform/model_name.h"
#include "platform/platform.h"

namespace malina::platform {

std::optional<Caller> Platform::authenticate(std::string_view token) {
  return records_.keys().authenticate(token);
}

bool Platform::live(const Caller& caller) {
  return records_.keys().live(caller.key_id, caller.secret_generation);
}

std::optional<Caller> Platform::caller_of_key(std::string_view id) {
  return records_.keys().by_id(id);
}

IssuedKey Platform::create_key(const NewKey& key, const Actor& by) {
  IssuedKey issued = records_.keys().create(key, by);
  records_.sign_audit();
  return issued;
}

IssuedKey Platform::rotate_key(std::string_view id, std::chrono::seconds overlap, const Actor& by) {
  IssuedKey issued = records_.keys().rotate(id, overlap, by);
  records_.sign_audit();
  return issued;
}

KeyRecord Platform::revoke_key(std::string_view id, const Actor& by) {
  KeyRecord record = records_.keys().revoke(id, by);
  records_.sign_audit();
  return record;
}

std::vector<KeyRecord> Platform::list_keys() {
  return records_.exist() ? records_.list_keys() : std::vector<KeyRecord>();
}

std::optional<IssuedKey> Platform::ensure_admin_key() {
  auto issued = records_.keys().ensure_admin_key(home(), local_actor());
  if (issued) records_.sign_audit();
  return issued;
}

std::optional<std::string> Platform::admin_key() const { return govern::read_admin_key(home()); }

ResolvedModel Platform::resolve_for(const Caller& caller, std::string_view model) {
  const auto refused = [&] {
    return base::Error(base::Fault::not_found,
                       fmt::format("the model '{}' does not exist, or this key may not use it",
                                   model.substr(0, AuditEntry::kLongestText)));
  };
  if (!name_fault(model).empty() || !caller.may_use(model)) throw refused();
  try {
    ResolvedModel resolved = store_.resolve(model);
    if (resolved.record) return resolved;
  } catch (const base::Error& error) {
    if (error.fault() != base::Fault::not_found) throw;
  }
  throw refused();
}

Admission Platform::admit(const Caller& caller, RequestFacts facts) {
  govern::RecordKeeper& keeper = records_.keeper();
  auto [verdict, hold] = keeper.quotas().admit(caller, facts.tokens);
  if (!hold) return {verdict, nullptr};
  return {verdict, std::make_unique<GovernedRequest>(keeper, caller, std::move(facts), verdict,
                                                     std::move(*hold))};
}

void Platform::record(AuditEntry entry, GovernedRequest::Done done) {
  records_.keeper().audit().record(std::move(entry), std::move(done));
}

QuotaVerdict Platform::quota(const Caller& caller) {
  return records_.keeper().quotas().state(caller);
}

void Platform::open_records() {
  records_.keeper();
  records_.keys();
}

RecordingState Platform::recording() { return records_.recording(); }

AliasRecording Platform::alias_recording(const Actor& by) {
  return [this, by](store::Database& database, const Alias& alias, const AliasMove& move) {
    records_.audit_chain().append(database, {.actor = by,
                                             .action = "alias." + move.action,
                                             .subject = alias.name,
                                             .model = move.model,
                                             .digest = move.digest ? move.digest->hex() : "",
                                             .outcome = "done"});
  };
}

Alias Platform::set_alias(std::string_view name, std::string_view model, const Actor& by) {
  Alias alias = store_.set_alias(name, model, by.id, alias_recording(by));
  records_.sign_audit();
  return alias;
}

Alias Platform::roll_back_alias(std::string_view name, std::optional<std::int64_t> to,
                                const Actor& by) {
  Alias alias = store_.roll_back_alias(name, to, by.id, alias_recording(by));
  records_.sign_audit();
  return alias;
}

Alias Platform::remove_alias(std::string_view name, const Actor& by) {
  Alias alias = store_.remove_alias(name, by.id, alias_recording(by));
  records_.sign_audit();
  return alias;
}

std::vector<Alias> Platform::list_aliases() { return store_.list_aliases(); }

std::vector<AliasMove> Platform::alias_history(std::string_view name) {
  return store_.alias_history(name);
}

AuditVerification Platform::verify_audit(
    const AuditFiles& files, const std::function<void(std::int64_t, std::int64_t)>& progress) {
  return verify_audit_files(home(), files, progress);
}

std::vector<AuditRecord> Platform::audit(std::int64_t after, std::int64_t most) {
  return records_.exist() ? records_.audit(after, most) : std::vector<AuditRecord>();
}

std::int64_t Platform::audit_length() { return records_.exist() ? records_.audit_length() : 0; }

}  // namespace malina::platform
