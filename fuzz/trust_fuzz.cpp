// What a caller shows as a key, and the lines of signed checkpoints. A key opens only as it was
// issued; a checkpoint's signature fits only as it was signed.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/temporary_directory.h"
#include "finding.h"
#include "govern/audit_checkpoint.h"
#include "govern/key_store.h"
#include "govern/key_token.h"

namespace {

using namespace malina;
using namespace malina::govern;
using fuzz::require;

struct World {
  base::TemporaryDirectory folder;
  base::ManualClock clock;
  std::unique_ptr<store::Database> database =
      store::open_sqlite(folder.path() / "malina.db", store::Access::read_write);
  AuditChain audit{clock};
  KeyStore keys{*database, Pepper(std::string(32, 'p')), audit};
  const std::string token = keys.create({.name = "app"}, {"local:fuzz", ""}).token;
  // Of a fixed key, so that the corpus has lines that it signed.
  std::array<unsigned char, 32> seed{1, 2, 3};
  AuditSigner signer{seed};
};

// "{ID}" and "{SECRET}" stand for those of a key that there is.
std::string with_key(std::string_view text, const std::string& token) {
  std::string result(text);
  const std::size_t dot = token.find('.');
  for (const auto& [place, value] :
       {std::pair<std::string_view, std::string>{"{ID}", token.substr(0, dot)},
        {"{SECRET}", token.substr(dot + 1)}})
    if (const std::size_t at = result.find(place); at != std::string::npos)
      result.replace(at, place.size(), value);
  return result;
}

void check_token(World& world, std::string_view text) {
  const std::string presented = with_key(text, world.token);
  if (const auto token = parse_key_token(presented))
    require(std::string(token->id) + "." + std::string(token->secret) == presented);
  require(world.keys.authenticate(presented).has_value() == (presented == world.token));
}

void check_checkpoint(World& world, std::string_view line) {
  const auto checkpoint = parse_checkpoint(line);
  if (!checkpoint) return;
  const auto again = parse_checkpoint(checkpoint->line());
  require(again && again->line() == checkpoint->line());
  if (!checkpoint->signature_fits() || checkpoint->key != world.signer.public_key()) return;
  // Ed25519 is deterministic: what the signer signs is this.
  require(world.signer.sign(checkpoint->head, checkpoint->wall_us).line() == checkpoint->line());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_token(world, bytes);
  check_checkpoint(world, bytes);
  (void)parse_public_key(bytes);
  (void)parse_hash(bytes);
  return 0;
}
