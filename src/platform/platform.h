// The product's verbs. Commands and endpoints call these and only translate: every rule, record and
// piece of model work is behind this door. Results are plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/adapter_export.h"
#include "platform/audit.h"
#include "platform/caller.h"
#include "platform/conversion.h"
#include "platform/decision_file.h"
#include "platform/family_report.h"
#include "platform/generation.h"
#include "platform/governed_request.h"
#include "platform/inspection.h"
#include "platform/keys.h"
#include "platform/language_model.h"
#include "platform/machine_report.h"
#include "platform/model_store.h"
#include "platform/progress.h"
#include "platform/pull.h"
#include "platform/quantization.h"
#include "platform/speed.h"
#include "platform/trusted_records.h"

namespace malina::tune {
struct TuningEvents;
struct DataReport;
struct SplitReport;
struct SplitRequest;
}  // namespace malina::tune

namespace malina::platform {

struct DataCheckRequest;
struct ModelFile;
struct TuneRequest;  // tuning.h, as the next two
struct TuneOutcome;
class LoadedClassifier;
class TuningHold;

struct TokenizeOptions {
  bool bos = false;      // the model's BOS first, if it has one
  bool special = false;  // control tokens are read from the text
};

struct TokenizedText {
  std::vector<std::int32_t> ids;
  std::vector<std::string> pieces;  // the vocabulary's spellings; bytes, not always UTF-8
};

// Built once, in main. Safe on many threads. Failures are base::Error.
class Platform {
 public:
  // `offline_reason` (platform/settings.h) closes pull_model where it is not empty.
  explicit Platform(std::filesystem::path home, std::string offline_reason = "");
  ~Platform();

  // The store (model_store.h), and the one way into it from the network (pull.h).
  ImportOutcome import_model(const ImportRequest& request, const ProgressSink& progress = {});
  PullOutcome pull_model(const PullRequest& request, const PullChooser& choose,
                         const ProgressSink& progress = {});
  std::vector<ModelRecord> list_models();
  Removal remove_model(std::string_view name);
  Verification verify_model(std::string_view name, const ProgressSink& progress = {});

  // `model` is a name or a path. The vocabulary of the last one stays loaded.
  TokenizedText tokenize(std::string_view model, std::string_view text,
                         const TokenizeOptions& options = {});
  // The bytes of tokens; of control tokens nothing, or with `special` their names. Throws
  // invalid_argument where an id is not in the vocabulary.
  std::string detokenize(std::string_view model, std::span<const std::int32_t> ids,
                         bool special = false);

  Inspection inspect(std::string_view model, const InspectOptions& options = {},
                     const ProgressSink& progress = {});
  MachineReport machine() const;
  std::vector<FamilyReport> families() const;

  // Loads a model to answer with; the caller keeps it, no longer than this. All models share the
  // threads of the first one. Throws as LanguageModel does.
  std::unique_ptr<LanguageModel> load(std::string_view model, const RunOptions& options,
                                      const ProgressSink& progress = {});
  // Asks a loaded model about every row of a table (decision_file.h). `name`: as it was loaded, for
  // the digest.
  DecisionFileReport decide_file(LanguageModel& model, std::string_view name,
                                 DecisionFileRequest request, const ProgressSink& progress = {});
  // The same by a tuned classifier, whose question is the only one of the request.
  DecisionFileReport decide_file(LoadedClassifier& classifier, DecisionFileRequest request,
                                 const ProgressSink& progress = {});
  // Writes a copy of a model with its matrices in another encoding (quantization.h).
  QuantizeReport quantize(std::string_view model, const QuantizeRequest& request,
                          const ProgressSink& progress = {});
  // Writes a Hugging Face directory as a GGUF file, or a GGUF file as a directory (conversion.h).
  ConvertReport convert(std::string_view model, const ConvertRequest& request,
                        const ProgressSink& progress = {});
  // A classifier from labelled texts (tuning.h).
  TuneOutcome tune(const TuneRequest& request, const tune::TuningEvents& events,
                   const ProgressSink& progress = {});
  // A tuned classifier by its name or directory, with its base; nullptr where there is none. Throws
  // not_found where its base is not in the store.
  std::unique_ptr<LoadedClassifier> load_classifier(std::string_view name, unsigned threads = 0,
                                                    const ProgressSink& progress = {});
  // Adapters (adapter_export.h): `adapter` is a name in the store, or a path and then `base` a name
  // or a path of the model that it is for.
  AdapterExport export_adapter(std::string_view adapter, std::string_view base,
                               const std::filesystem::path& output);
  MergeReport merge_adapter(std::string_view adapter, std::string_view base,
                            const MergeRequest& request, const ProgressSink& progress = {});
  SpeedTestResult speed_test(std::string_view model, const SpeedTestOptions& options);

  // The gate before training, and parts of a data set (platform/data_sets.h).
  tune::DataReport check_data(const DataCheckRequest& request, const ProgressSink& progress = {});
  tune::SplitReport split_data(const tune::SplitRequest& request,
                               const ProgressSink& progress = {});

  // Keys (govern/key_store.h). A token is "ID.SECRET", as its holder presents it; nullopt for one
  // that is malformed, unknown, wrong, revoked or expired, which all look the same.
  std::optional<Caller> authenticate(std::string_view token);
  // Whether that still holds: for open streams, which ask each second.
  bool live(const Caller& caller);
  // The caller that has the key `id`, without its secret: for callers that are mapped to a key.
  std::optional<Caller> caller_of_key(std::string_view id);
  IssuedKey create_key(const NewKey& key, const Actor& by);
  IssuedKey rotate_key(std::string_view id, std::chrono::seconds overlap, const Actor& by);
  KeyRecord revoke_key(std::string_view id, const Actor& by);
  std::vector<KeyRecord> list_keys();
  // Where nobody ever had a key with the permission `admin`: makes one, writes it to
  // HOME/admin.key (mode 0600) and returns it, to be shown once.
  std::optional<IssuedKey> ensure_admin_key();
  // The key in HOME/admin.key, with which this machine's own commands ask a server.
  std::optional<std::string> admin_key() const;

  // What a name, an alias or a path stands for (model_store.h).
  ResolvedModel resolve(std::string_view model) { return store_.resolve(model); }
  // What a caller asks for, by the name or alias `model`: throws not_found, with the same words,
  // where there is none and where the caller may not use it. A path is no name here.
  ResolvedModel resolve_for(const Caller& caller, std::string_view model);
  // The quota's verdict. An admitted request is audited: begin(), then end().
  Admission admit(const Caller& caller, RequestFacts facts);
  QuotaVerdict quota(const Caller& caller);  // as it stands
  // One more record, of what is no admitted request: a start, a refusal. `done` as of
  // GovernedRequest.
  void record(AuditEntry entry, GovernedRequest::Done done);
  // Opens what admit() needs, so that a server that cannot record does not start. Throws
  // already_exists where another process serves this home.
  void open_records();
  // Whether something can be recorded now (govern/recording.h). May wait for the disk.
  RecordingState recording();

  // Aliases (model_store.h). Each move is recorded in the audit.
  Alias set_alias(std::string_view name, std::string_view model, const Actor& by);
  Alias roll_back_alias(std::string_view name, std::optional<std::int64_t> to, const Actor& by);
  Alias remove_alias(std::string_view name, const Actor& by);
  std::vector<Alias> list_aliases();
  std::vector<AliasMove> alias_history(std::string_view name);

  // The audit (audit.h).
  AuditVerification verify_audit(
      const AuditFiles& files = {},
      const std::function<void(std::int64_t records, std::int64_t total)>& progress = {});
  std::vector<AuditRecord> audit(std::int64_t after, std::int64_t most);
  std::int64_t audit_length();

  const std::filesystem::path& home() const { return store_.home(); }

 private:
  void add_targets(DecisionFileRequest& request);
  AliasRecording alias_recording(const Actor& by);
  void check_name_of_tuned(const std::string& name, bool writes);
  std::unique_ptr<TuningHold> hold_tuned(const TuneRequest& request, bool writes,
                                         const ResolvedModel* base);
  std::shared_ptr<const ModelFile> model_file(std::string_view model);
  Processor& processor(unsigned threads);
  AdapterSource adapter_source(std::string_view adapter, std::string_view base);
  std::shared_ptr<const ModelFile> file_of(const ResolvedModel& resolved);

  ModelStore store_;
  const std::string offline_reason_;
  TrustedRecords records_;
  std::mutex mutex_;
  std::string last_identity_;  // the digest of a stored model, or a path
  std::unique_ptr<Processor> processor_;
  std::shared_ptr<const ModelFile> last_file_;
};

}  // namespace malina::platform
