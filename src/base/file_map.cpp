#include "base/file_map.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <mutex>

#include "base/error.h"

namespace malina::base {

// Where a live map is. A record is claimed by setting `taken`, and counts from when `end` is set.
struct MapRecord {
  std::atomic<bool> taken = false;
  std::atomic<std::uintptr_t> begin = 0;
  std::atomic<std::uintptr_t> end = 0;
  std::atomic<bool> damaged = false;
};

namespace {

// The list is the process's own, as signal dispositions are. It only grows, block by block, so that
// the handler can walk it without a lock while other threads map and unmap.
struct MapBlock {
  std::array<MapRecord, 64> records;
  std::atomic<MapBlock*> next = nullptr;
};

constinit MapBlock first_block;
std::uintptr_t page_bytes = 4096;
struct sigaction previous_action;

static_assert(std::atomic<std::uintptr_t>::is_always_lock_free);
static_assert(std::atomic<MapBlock*>::is_always_lock_free);

MapRecord* find_record(std::uintptr_t address) {
  for (MapBlock* block = &first_block; block != nullptr;
       block = block->next.load(std::memory_order_acquire))
    for (MapRecord& record : block->records) {
      const std::uintptr_t end = record.end.load(std::memory_order_acquire);
      if (address < end && address >= record.begin.load(std::memory_order_acquire)) return &record;
    }
  return nullptr;
}

// Only calls that are safe in a signal handler: atomics and plain system calls.
void handle_bus_error(int signal, siginfo_t* information, void* context) {
  const int saved_error = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(information->si_addr);
  // A positive si_code comes from the kernel; others (kill) carry no address.
  MapRecord* record = information->si_code > 0 ? find_record(address) : nullptr;
  if (record != nullptr) {
    record->damaged.store(true, std::memory_order_release);
    void* page = reinterpret_cast<void*>(address & ~(page_bytes - 1));
    // The system call itself: sanitizers replace mmap() by one that is not for signal handlers.
    const long mapped = ::syscall(SYS_mmap, page, page_bytes, PROT_READ,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0L);
    errno = saved_error;
    if (mapped != -1) return;
  }
  errno = saved_error;
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction(signal, information, context);
  } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(signal);
  } else {
    // Returning repeats the access, which then ends the process as it would have without us.
    ::signal(SIGBUS, SIG_DFL);
    if (information->si_code <= 0) ::raise(SIGBUS);
  }
}

void install_handler() {
  static std::once_flag installed;
  std::call_once(installed, [] {
    page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action{};
    action.sa_sigaction = handle_bus_error;
    // SA_NODEFER: a second thread's or a nested fault must find the handler, not a blocked signal.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    if (::sigaction(SIGBUS, &action, &previous_action) != 0)
      throw system_error("cannot install the handler of bus errors");
  });
}

MapRecord* claim_record() {
  for (MapBlock* block = &first_block;;) {
    for (MapRecord& record : block->records) {
      bool expected = false;
      if (record.taken.compare_exchange_strong(expected, true, std::memory_order_acq_rel)) {
        record.damaged.store(false, std::memory_order_relaxed);
        return &record;
      }
    }
    MapBlock* next = block->next.load(std::memory_order_acquire);
    if (next == nullptr) {
      auto* fresh = new MapBlock;  // lives as long as the process
      if (block->next.compare_exchange_strong(next, fresh, std::memory_order_acq_rel))
        next = fresh;
      else
        delete fresh;  // another thread was first; `next` is now its block
    }
    block = next;
  }
}

void publish(MapRecord& record, const void* begin, std::size_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  record.begin.store(address, std::memory_order_release);
  record.end.store(address + bytes, std::memory_order_release);
}

void release(MapRecord& record) {
  record.end.store(0, std::memory_order_release);
  record.begin.store(0, std::memory_order_release);
  record.taken.store(false, std::memory_order_release);
}

}  // namespace

FileMap::FileMap(File file) : file_(std::move(file)) {
  const std::uint64_t size = file_.size();
  if (size == 0) return;
  if (size > std::numeric_limits<std::ptrdiff_t>::max())
    throw Error(Fault::out_of_memory, file_.name() + " is too large to be mapped");
  install_handler();
  record_ = claim_record();
  void* memory =
      ::mmap(nullptr, static_cast<std::size_t>(size), PROT_READ, MAP_SHARED, file_.descriptor(), 0);
  if (memory == MAP_FAILED) {
    const int code = errno;
    release(*record_);
    errno = code;
    throw system_error("cannot map " + file_.name());
  }
  publish(*record_, memory, static_cast<std::size_t>(size));
  bytes_ = {static_cast<const std::byte*>(memory), static_cast<std::size_t>(size)};
}

FileMap::~FileMap() {
  if (record_ == nullptr) return;
  // Released first: once unmapped, the kernel may give the same addresses to another map, and a
  // fault there must not be booked to this one.
  release(*record_);
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

bool FileMap::damaged() const {
  return record_ != nullptr && record_->damaged.load(std::memory_order_acquire);
}

void FileMap::check() const {
  // The size is asked too: what is cut off within the last page reads as zeros without any fault.
  const std::uint64_t size = file_.size();
  if (size < bytes_.size())
    throw Error(Fault::corrupt_file,
                fmt::format("{} was cut short while being read: it had {} bytes and now has {}",
                            file_.name(), bytes_.size(), size));
  if (damaged())
    throw Error(Fault::io, file_.name() +
                               " could not be read: the disk failed, or the file was "
                               "cut short and written again");
}

}  // namespace malina::base
