#include "govern/audit_checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text_file.h"
#include "govern/private_file.h"
#include "govern/random_bytes.h"

namespace malina::govern {

namespace {

using base::Error;
using base::Fault;
using std::filesystem::path;

constexpr std::string_view kPurpose = "malina audit checkpoint 1\n";  // signs nothing else

template <std::size_t size>
std::string hex_of(const std::array<unsigned char, size>& bytes) {
  std::string text(2 * size + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
  text.pop_back();
  return text;
}

template <std::size_t size>
std::optional<std::array<unsigned char, size>> bytes_of(std::string_view hex) {
  std::array<unsigned char, size> bytes{};
  std::size_t read = 0;
  if (hex.size() != 2 * size ||
      sodium_hex2bin(bytes.data(), size, hex.data(), hex.size(), nullptr, &read, nullptr) != 0)
    return std::nullopt;
  return read == size ? std::optional(bytes) : std::nullopt;
}

// What is signed, after the purpose.
std::string statement(const AuditCheckpoint& checkpoint) {
  return fmt::format(R"({{"sequence":{},"hash":"{}","wall_us":{},"key":"{}")",
                     checkpoint.head.sequence, checkpoint.head.hash.hex(), checkpoint.wall_us,
                     hex_of(checkpoint.key));
}

const unsigned char* bytes(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// A line that a crash cut short has no end: it goes first, so that the next one is a line.
void append_line(const path& file, const std::string& line) {
  constexpr mode_t kPrivate = S_IRUSR | S_IWUSR;
  const int created = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kPrivate);
  if (created >= 0) ::fchmod(created, kPrivate);  // whatever the umask
  const int descriptor = created >= 0 ? created : ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) throw base::system_error("cannot open " + file.string());
  const auto check = [&](bool good) {
    if (good) return;
    const Error error = base::system_error("cannot write " + file.string());
    ::close(descriptor);
    throw error;
  };
  off_t end = ::lseek(descriptor, 0, SEEK_END);
  check(end >= 0);
  char last = '\n';
  while (end > 0 && ::pread(descriptor, &last, 1, end - 1) == 1 && last != '\n') --end;
  check(::ftruncate(descriptor, end) == 0);
  const auto written = ::pwrite(descriptor, line.data(), line.size(), end);
  check(written == static_cast<ssize_t>(line.size()) && ::fsync(descriptor) == 0);
  ::close(descriptor);
}

std::string shown(const path& file, std::size_t number) {
  return fmt::format("{}: line {} is no checkpoint of an audit", file.string(), number);
}

}  // namespace

std::string public_key_text(const PublicKey& key) { return hex_of(key); }

std::optional<PublicKey> parse_public_key(std::string_view hex) {
  while (hex.ends_with('\n')) hex.remove_suffix(1);
  return bytes_of<32>(hex);
}

std::string AuditCheckpoint::line() const {
  return statement(*this) + ",\"signature\":\"" + hex_of(signature) + "\"}";
}

bool AuditCheckpoint::signature_fits() const {
  start_sodium();
  const std::string text = std::string(kPurpose) + statement(*this);
  return crypto_sign_verify_detached(signature.data(), bytes(text), text.size(), key.data()) == 0;
}

std::optional<AuditCheckpoint> parse_checkpoint(std::string_view line) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto text = [&](const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto number = [&](const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_number_integer() ? found->get<std::int64_t>() : -1;
  };
  const auto hash = base::Digest::parse(text("hash"));
  const auto key = bytes_of<32>(text("key"));
  const auto signature = bytes_of<64>(text("signature"));
  if (!hash || !key || !signature || number("sequence") < 1) return std::nullopt;
  AuditCheckpoint checkpoint{.head = {number("sequence"), *hash},
                             .wall_us = number("wall_us"),
                             .key = *key,
                             .signature = *signature};
  if (checkpoint.line() != line) return std::nullopt;  // one spelling, as it was signed
  return checkpoint;
}

AuditSigner::AuditSigner(const std::array<unsigned char, 32>& seed) {
  start_sodium();
  static_assert(std::tuple_size_v<decltype(secret_)> == crypto_sign_SECRETKEYBYTES);
  crypto_sign_seed_keypair(public_.data(), secret_.data(), seed.data());
}

AuditSigner::~AuditSigner() { sodium_memzero(secret_.data(), secret_.size()); }

AuditCheckpoint AuditSigner::sign(const AuditHead& head, std::int64_t wall_us) const {
  AuditCheckpoint checkpoint{.head = head, .wall_us = wall_us, .key = public_, .signature = {}};
  const std::string text = std::string(kPurpose) + statement(checkpoint);
  crypto_sign_detached(checkpoint.signature.data(), nullptr, bytes(text), text.size(),
                       secret_.data());
  return checkpoint;
}

AuditSigner AuditSigner::load(const path& home) {
  start_sodium();
  const path file = home / "audit.key", public_file = home / "audit.pub";
  std::error_code ignored;
  auto content = read_private_file(file);
  if (!content && std::filesystem::exists(public_file, ignored))
    throw Error(Fault::not_found,
                fmt::format("{} is missing, which signs the audit: put it back from a backup, or "
                            "move {} away to begin with a new one",
                            file.string(), public_file.string()));
  if (!content) {
    std::array<unsigned char, 32> seed{};
    randombytes_buf(seed.data(), seed.size());
    try {
      write_private_file(file, hex_of(seed) + "\n", base::AtomicFile::Existing::refuse);
    } catch (const Error& error) {
      if (error.fault() != Fault::already_exists) throw;  // another process was first
    }
    sodium_memzero(seed.data(), seed.size());
    content = read_private_file(file);
  }
  while (content && content->ends_with('\n')) content->pop_back();
  const auto seed = content ? bytes_of<32>(*content) : std::nullopt;
  if (!seed)
    throw Error(Fault::corrupt_file, file.string() + " is no key: it has 64 hexadecimal digits");
  AuditSigner signer(*seed);
  if (!std::filesystem::exists(public_file, ignored)) {
    write_private_file(public_file, public_key_text(signer.public_) + "\n",
                       base::AtomicFile::Existing::replace);
  }
  return signer;
}

bool add_checkpoint(store::Database& database, const AuditSigner& signer, const base::Clock& clock,
                    const path& file) {
  const AuditHead head = AuditChain::head(database);
  if (head.sequence == 0 ||
      !database.query("SELECT sequence FROM audit_checkpoints WHERE sequence = ?1", {head.sequence})
           .empty())
    return false;
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(clock.wall().time_since_epoch());
  const std::string line = signer.sign(head, now.count()).line();
  database.execute("INSERT INTO audit_checkpoints (sequence, line) VALUES (?1, ?2)",
                   {head.sequence, line});
  append_line(file, line + "\n");
  return true;
}

std::vector<AuditCheckpoint> read_checkpoints(const path& file) {
  const std::string text = base::read_text(file);
  std::vector<AuditCheckpoint> checkpoints;
  std::size_t number = 0;
  for (std::size_t start = 0, end = 0; (end = text.find('\n', start)) != std::string::npos;
       start = end + 1) {
    const auto checkpoint = parse_checkpoint(std::string_view(text).substr(start, end - start));
    ++number;
    if (!checkpoint) throw Error(Fault::corrupt_file, shown(file, number));
    checkpoints.push_back(*checkpoint);
  }
  return checkpoints;
}

std::vector<AuditCheckpoint> read_checkpoints(store::Database& database) {
  std::vector<AuditCheckpoint> checkpoints;
  for (const store::Row& row :
       database.query("SELECT CAST(sequence AS TEXT), COALESCE(CAST(line AS TEXT), '') "
                      "FROM audit_checkpoints ORDER BY sequence")) {
    const auto checkpoint = parse_checkpoint(row.text(1));
    if (!checkpoint || std::to_string(checkpoint->head.sequence) != row.text(0))
      throw Error(Fault::corrupt_file,
                  fmt::format("the audit's checkpoint {} in the database is not what was written",
                              row.text(0)));
    checkpoints.push_back(*checkpoint);
  }
  return checkpoints;
}

}  // namespace malina::govern
