// For tests: SQLite's way to the disk (a VFS), through which writes and syncs can be made to fail.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <stdexcept>
#include <string>

namespace malina::store {

// While one exists every database that is opened goes through it. One at a time.
class FaultyDisk {
 public:
  FaultyDisk() {
    real() = sqlite3_vfs_find(nullptr);
    current() = this;
    vfs_ = *real();
    vfs_.zName = "faulty";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real()->szOsFile;
    vfs_.xOpen = open;
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~FaultyDisk() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real(), 1);
    current() = nullptr;
  }
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  // The call after the next `n` fails, and with `for_good` all after it; -1: none does.
  void fail_write_after(int n, bool for_good = true) { writes_ = {n, for_good}; }
  void fail_sync_after(int n, bool for_good = false) { syncs_ = {n, for_good}; }
  // Only files whose names end so are meant ("-wal"); "" for all.
  void only(const std::string& ending) { ending_ = ending; }
  int syncs() const { return counted_syncs_; }

 private:
  struct File {
    sqlite3_file base;
    bool meant;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  struct Plan {
    int after = -1;
    bool for_good = false;
  };

  static sqlite3_vfs*& real() {
    static sqlite3_vfs* vfs = nullptr;
    return vfs;
  }
  static FaultyDisk*& current() {
    static FaultyDisk* disk = nullptr;
    return disk;
  }

  static bool fails(Plan& plan) {
    if (plan.after < 0) return false;
    if (plan.after > 0) {
      --plan.after;
      return false;
    }
    if (!plan.for_good) plan.after = -1;
    return true;
  }

  static File* file(sqlite3_file* base) { return reinterpret_cast<File*>(base); }
  static sqlite3_file* under(sqlite3_file* base) { return file(base)->real(); }

  static int open(sqlite3_vfs*, const char* name, sqlite3_file* base, int flags, int* out) {
    File* const opened = file(base);
    const std::string text = name == nullptr ? "" : name;
    opened->meant = current() != nullptr && text.ends_with(current()->ending_);
    const int result = real()->xOpen(real(), name, opened->real(), flags, out);
    static const sqlite3_io_methods methods = make_methods();
    opened->base.pMethods = opened->real()->pMethods == nullptr ? nullptr : &methods;
    return result;
  }

  static int write(sqlite3_file* base, const void* bytes, int count, sqlite3_int64 offset) {
    if (file(base)->meant && current() != nullptr && fails(current()->writes_)) return SQLITE_FULL;
    return under(base)->pMethods->xWrite(under(base), bytes, count, offset);
  }
  static int sync(sqlite3_file* base, int flags) {
    if (current() != nullptr) ++current()->counted_syncs_;
    if (file(base)->meant && current() != nullptr && fails(current()->syncs_))
      return SQLITE_IOERR_FSYNC;
    return under(base)->pMethods->xSync(under(base), flags);
  }

  // Version 2: shared memory for the log, but no memory-mapped reads, which would go past this.
  static sqlite3_io_methods make_methods() {
    sqlite3_io_methods m{};
    m.iVersion = 2;
    m.xClose = [](sqlite3_file* f) { return under(f)->pMethods->xClose(under(f)); };
    m.xRead = [](sqlite3_file* f, void* bytes, int count, sqlite3_int64 offset) {
      return under(f)->pMethods->xRead(under(f), bytes, count, offset);
    };
    m.xWrite = write;
    m.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
      return under(f)->pMethods->xTruncate(under(f), size);
    };
    m.xSync = sync;
    m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
      return under(f)->pMethods->xFileSize(under(f), size);
    };
    m.xLock = [](sqlite3_file* f, int level) { return under(f)->pMethods->xLock(under(f), level); };
    m.xUnlock = [](sqlite3_file* f, int level) {
      return under(f)->pMethods->xUnlock(under(f), level);
    };
    m.xCheckReservedLock = [](sqlite3_file* f, int* locked) {
      return under(f)->pMethods->xCheckReservedLock(under(f), locked);
    };
    m.xFileControl = [](sqlite3_file* f, int what, void* value) {
      return under(f)->pMethods->xFileControl(under(f), what, value);
    };
    m.xSectorSize = [](sqlite3_file* f) { return under(f)->pMethods->xSectorSize(under(f)); };
    m.xDeviceCharacteristics = [](sqlite3_file* f) {
      return under(f)->pMethods->xDeviceCharacteristics(under(f));
    };
    m.xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** memory) {
      return under(f)->pMethods->xShmMap(under(f), page, size, extend, memory);
    };
    m.xShmLock = [](sqlite3_file* f, int offset, int count, int flags) {
      return under(f)->pMethods->xShmLock(under(f), offset, count, flags);
    };
    m.xShmBarrier = [](sqlite3_file* f) { under(f)->pMethods->xShmBarrier(under(f)); };
    m.xShmUnmap = [](sqlite3_file* f, int remove) {
      return under(f)->pMethods->xShmUnmap(under(f), remove);
    };
    return m;
  }

  sqlite3_vfs vfs_{};
  Plan writes_, syncs_;
  std::string ending_;
  std::atomic<int> counted_syncs_ = 0;
};

}  // namespace malina::store
