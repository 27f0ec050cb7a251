// Files that callers of the server have uploaded: their bytes under HOME/files, their records in
// the database. A file belongs to a tenant; for all others it does not exist.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/digest.h"
#include "govern/audit_chain.h"
#include "platform/caller.h"
#include "platform/page.h"
#include "store/database.h"

namespace malina::platform {

struct DataFile {
  std::string id;  // "file-..."
  std::int64_t sequence = 0;
  std::string tenant, name, extension, purpose;
  std::string digest;  // hexadecimal
  std::uint64_t size_bytes = 0;
  std::int64_t created_at = 0;  // seconds since 1970-01-01 UTC
  std::string created_by;       // a key's id
};

inline constexpr std::string_view kPurposeTuning = "fine-tune";
inline constexpr std::string_view kPurposeResults = "fine-tune-results";

// Safe on many threads. Failures are base::Error: not_found (another tenant's too), io.
class DataFiles {
 public:
  // What is written of a file that is not yet whole. One owner, one thread at a time; without
  // commit() nothing of it stays.
  class Upload {
   public:
    Upload(std::filesystem::path folder, std::string_view name);
    void write(std::string_view piece);
    std::uint64_t bytes() const { return bytes_; }

   private:
    friend class DataFiles;
    DataFile file_;
    std::unique_ptr<base::AtomicFile> content_;
    base::Sha256 digest_;
    std::uint64_t bytes_ = 0;
  };

  // `most_bytes`: of a tenant's files together. Both outlive this.
  DataFiles(std::filesystem::path home, store::Database& database, const govern::AuditChain& chain,
            std::uint64_t most_bytes);

  // Removes what no record names: of uploads that a crash ended. For the one process that serves.
  void sweep();

  // `name`: as its sender calls it; its extension, where it tells a format, is kept.
  Upload begin(std::string_view name) const { return {folder_, name}; }
  // On the disk, recorded and in the audit, or nothing of it. Throws exhausted where the tenant's
  // files would take more than they may. `repetition`: the name under which it may come again; of
  // one that did, the file that was created then. Its digest is made here.
  DataFile commit(Upload& upload, const Actor& by, std::string_view purpose,
                  std::string_view request_id, std::string_view repetition = {});
  DataFile get(std::string_view tenant, std::string_view id);
  std::optional<DataFile> find(std::string_view tenant, std::string_view id);
  // `purpose` "": of all. Throws invalid_argument where `after` is none of the tenant's files.
  Page<DataFile> list(std::string_view tenant, std::string_view purpose, const PageRequest& page);
  // `check` is asked within the transaction and may throw, where the file is in use.
  void remove(const Actor& by, std::string_view id, std::string_view request_id,
              const std::function<void()>& check);
  std::filesystem::path path(const DataFile& file) const;

 private:
  const std::filesystem::path folder_;
  store::Database& database_;
  const govern::AuditChain& chain_;
  const std::uint64_t most_bytes_;
};

}  // namespace malina::platform
