#include "platform/data_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <set>

#include "base/ascii.h"
#include "base/error.h"
#include "base/file.h"
#include "base/quantity.h"
#include "govern/random_bytes.h"
#include "platform/repetition.h"

namespace malina::platform {

using base::Error;
using base::Fault;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kColumns =
    "id, sequence, tenant, name, extension, purpose, digest, size_bytes, created_at, created_by";

DataFile file_of(const store::Row& row) {
  return {.id = row.text(0),
          .sequence = row.integer(1),
          .tenant = row.text(2),
          .name = row.text(3),
          .extension = row.text(4),
          .purpose = row.text(5),
          .digest = row.text(6),
          .size_bytes = static_cast<std::uint64_t>(row.integer(7)),
          .created_at = row.integer(8),
          .created_by = row.text(9)};
}

// Those by which tune/data tells formats; no other text from outside becomes part of a path.
std::string extension_of(std::string_view name) {
  const std::string extension = base::ascii_lower(fs::path(name).extension().string());
  for (const char* known : {".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson"})
    if (extension == known) return extension;
  return "";
}

Error no_file(std::string_view id) {
  return Error(Fault::not_found,
               fmt::format("there is no file '{}'", id.substr(0, govern::AuditEntry::kLongestText)),
               {.code = "file_not_found"});
}

}  // namespace

DataFiles::Upload::Upload(fs::path folder, std::string_view name) {
  file_.id = "file-" + govern::random_letters(24);
  file_.name = std::string(name);
  file_.extension = extension_of(name);
  content_ = std::make_unique<base::AtomicFile>(folder / (file_.id + file_.extension),
                                                base::AtomicFile::Existing::refuse);
}

void DataFiles::Upload::write(std::string_view piece) {
  content_->write(piece);
  digest_.update(piece);
  bytes_ += piece.size();
}

DataFiles::DataFiles(fs::path home, store::Database& database, const govern::AuditChain& chain,
                     std::uint64_t most_bytes)
    : folder_(std::move(home) / "files"),
      database_(database),
      chain_(chain),
      most_bytes_(most_bytes) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (!error) fs::permissions(folder_, fs::perms::owner_all, error);
  if (error)
    throw Error(Fault::io, fmt::format("cannot create {}: {}", folder_.string(), error.message()));
}

void DataFiles::sweep() {
  std::set<std::string> known;
  for (const store::Row& row : database_.query("SELECT id, extension FROM data_files"))
    known.insert(row.text(0) + row.text(1));
  std::error_code ignored;
  std::vector<fs::path> left;
  for (const auto& entry : fs::directory_iterator(folder_, ignored))
    if (!known.contains(entry.path().filename().string())) left.push_back(entry.path());
  for (const fs::path& path : left) fs::remove(path, ignored);
}

fs::path DataFiles::path(const DataFile& file) const {
  return folder_ / (file.id + file.extension);
}

// The bytes first: a record without bytes would be a file that was lost.
DataFile DataFiles::commit(Upload& upload, const Actor& by, std::string_view purpose,
                           std::string_view request_id, std::string_view repetition) {
  DataFile file = std::move(upload.file_);
  file.tenant = by.tenant;
  file.purpose = std::string(purpose);
  file.digest = upload.digest_.finish().hex();
  file.size_bytes = upload.bytes_;
  file.created_by = by.id;
  const Repetition again{
      .name = std::string(repetition),
      .digest = fmt::format("file {} {} {}", file.digest, file.purpose, file.name)};
  std::optional<DataFile> before;
  upload.content_->commit();
  try {
    database_.transaction([&] {
      const std::int64_t now = std::chrono::system_clock::to_time_t(chain_.clock().wall());
      if (const auto id = created_before(database_, by.id, again, now))
        before = find(by.tenant, *id);
      if (before) return;
      const auto held = database_.query(
          "SELECT COALESCE(SUM(size_bytes), 0) FROM data_files WHERE tenant = ?1", {file.tenant});
      if (static_cast<std::uint64_t>(held[0].integer(0)) + file.size_bytes > most_bytes_)
        throw Error(Fault::exhausted,
                    fmt::format("the files of this key's tenant may take {} together "
                                "(--tenant-files): delete some first",
                                base::size_text(most_bytes_)),
                    {.code = "insufficient_quota", .retry_helps = false});
      const auto last = database_.query("SELECT COALESCE(MAX(sequence), 0) FROM data_files");
      file.sequence = last[0].integer(0) + 1;
      file.created_at = now;
      database_.execute(
          fmt::format(
              "INSERT INTO data_files ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
              kColumns),
          {file.id, file.sequence, file.tenant, file.name, file.extension, file.purpose,
           file.digest, static_cast<std::int64_t>(file.size_bytes), file.created_at,
           file.created_by});
      chain_.append(database_, {.actor = by,
                                .action = "file.create",
                                .subject = file.id,
                                .digest = file.digest,
                                .request = std::string(request_id),
                                .outcome = "done"});
      remember_created(database_, by.id, again, file.id, now);
    });
  } catch (...) {
    std::error_code ignored;
    fs::remove(path(file), ignored);
    throw;
  }
  if (!before) return file;
  std::error_code ignored;
  fs::remove(path(file), ignored);  // the same bytes are there already
  return *std::move(before);
}

std::optional<DataFile> DataFiles::find(std::string_view tenant, std::string_view id) {
  const auto rows = database_.query(
      fmt::format("SELECT {} FROM data_files WHERE id = ?1 AND tenant = ?2", kColumns),
      {std::string(id), std::string(tenant)});
  return rows.empty() ? std::nullopt : std::optional(file_of(rows[0]));
}

DataFile DataFiles::get(std::string_view tenant, std::string_view id) {
  auto file = find(tenant, id);
  if (!file) throw no_file(id);
  return *std::move(file);
}

Page<DataFile> DataFiles::list(std::string_view tenant, std::string_view purpose,
                               const PageRequest& page) {
  std::int64_t from = page.ascending ? 0 : INT64_MAX;
  if (!page.after.empty()) {
    const auto known = find(tenant, page.after);
    if (!known) throw wrong_after(page.after, "a file");
    from = known->sequence;
  }
  const auto rows = database_.query(
      fmt::format("SELECT {} FROM data_files WHERE tenant = ?1 AND (?2 = '' OR purpose = ?2) AND "
                  "sequence {} ?3 ORDER BY sequence {} LIMIT ?4",
                  kColumns, page.ascending ? ">" : "<", page.ascending ? "ASC" : "DESC"),
      {std::string(tenant), std::string(purpose), from, static_cast<std::int64_t>(page.limit) + 1});
  return page_of<DataFile>(rows, page.limit, file_of);
}

// The record first: bytes without a record are swept at the next start.
void DataFiles::remove(const Actor& by, std::string_view id, std::string_view request_id,
                       const std::function<void()>& check) {
  DataFile file;
  database_.transaction([&] {
    file = get(by.tenant, id);
    check();
    database_.execute("DELETE FROM data_files WHERE id = ?1", {file.id});
    chain_.append(database_, {.actor = by,
                              .action = "file.delete",
                              .subject = file.id,
                              .digest = file.digest,
                              .request = std::string(request_id),
                              .outcome = "done"});
  });
  std::error_code ignored;
  fs::remove(path(file), ignored);
}

}  // namespace malina::platform
