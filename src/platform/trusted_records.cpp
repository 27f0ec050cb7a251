#include "platform/trusted_records.h"

#include "base/error.h"
#include "platform/job_records.h"
#include "platform/model_folder.h"

namespace malina::platform {

TrustedRecords::TrustedRecords(std::filesystem::path home, const base::Clock& clock)
    : home_(std::filesystem::absolute(std::move(home)).lexically_normal()), chain_(clock) {}
TrustedRecords::~TrustedRecords() = default;

bool TrustedRecords::exist() const {
  std::error_code ignored;
  return std::filesystem::exists(home_ / "malina.db", ignored);
}

store::Database& TrustedRecords::database() {
  if (!database_) {
    ModelFolder(home_).create();
    database_ = store::open_sqlite(home_ / "malina.db", store::Access::read_write);
  }
  return *database_;
}

store::Database& TrustedRecords::readable() {
  if (database_) return *database_;
  if (reader_) return *reader_;
  try {
    return database();
  } catch (const base::Error& error) {
    if (error.fault() != base::Fault::io) throw;
  }
  reader_ = store::open_sqlite(home_ / "malina.db", store::Access::read_only);
  return *reader_;
}

std::vector<govern::KeyRecord> TrustedRecords::list_keys() {
  const std::scoped_lock lock(opening_);
  if (keys_) return keys_->list();
  store::Database& database = readable();
  if (govern::KeyStore::empty(database)) return {};
  return govern::KeyStore(database, govern::load_pepper(home_, govern::MissingPepper::refuse),
                          chain_)
      .list();
}

govern::KeyStore& TrustedRecords::keys() {
  const std::scoped_lock lock(opening_);
  if (!keys_) {
    store::Database& database = this->database();
    const auto missing = govern::KeyStore::empty(database) ? govern::MissingPepper::create
                                                           : govern::MissingPepper::refuse;
    keys_ =
        std::make_unique<govern::KeyStore>(database, govern::load_pepper(home_, missing), chain_);
  }
  return *keys_;
}

govern::RecordKeeper& TrustedRecords::keeper() {
  const std::scoped_lock lock(opening_);
  if (!keeper_) {
    ModelFolder(home_).create();
    if (!serving_) serving_.emplace(home_);
    keeper_ = std::make_unique<govern::RecordKeeper>(
        home_, store::open_sqlite(home_ / "malina.db", store::Access::read_write), chain_);
  }
  return *keeper_;
}

std::vector<AuditRecord> TrustedRecords::audit(std::int64_t after, std::int64_t most) {
  const std::scoped_lock lock(opening_);
  return read_audit(readable(), after, most);
}

std::int64_t TrustedRecords::audit_length() {
  const std::scoped_lock lock(opening_);
  return govern::AuditChain::head(readable()).sequence;
}

std::optional<std::string> TrustedRecords::open_job_called(std::string_view result_name) {
  if (!exist()) return std::nullopt;
  const std::scoped_lock lock(opening_);
  return platform::open_job_called(readable(), result_name);
}

void TrustedRecords::sign_audit() noexcept {
  try {
    const std::scoped_lock lock(opening_);
    const auto signer = govern::AuditSigner::load(home_);
    database().transaction([&] {
      govern::add_checkpoint(database(), signer, chain_.clock(), home_ / "audit.checkpoints");
    });
  } catch (...) {
  }
}

govern::RecordingState TrustedRecords::recording() {
  {
    const std::scoped_lock lock(opening_);
    if (!keeper_) return {};
  }
  return keeper_->recording();  // once made, it stays; what waits for the disk holds no lock
}

}  // namespace malina::platform
