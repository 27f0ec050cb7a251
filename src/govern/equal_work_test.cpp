// Whether a key that is refused costs the same work whatever is wrong with it: what is hashed and
// compared is counted, since times differ by chance. The linker puts these functions before
// libsodium's own (--wrap, in CMakeLists.txt).
#include <gtest/gtest.h>
#include <sodium.h>

#include <string>
#include <vector>

#include "base/temporary_directory.h"
#include "govern/key_store.h"

namespace {

struct Work {
  int hashes = 0, comparisons = 0;
  unsigned long long hashed_bytes = 0, compared_bytes = 0;
  bool operator==(const Work&) const = default;
};
thread_local Work work;  // other tests of this program hash on threads of their own

void PrintTo(const Work& of, std::ostream* stream) {
  *stream << of.hashes << " hashes of " << of.hashed_bytes << " bytes, " << of.comparisons
          << " comparisons of " << of.compared_bytes;
}

}  // namespace

extern "C" {
int __real_crypto_auth_hmacsha256_update(crypto_auth_hmacsha256_state* state,
                                         const unsigned char* bytes, unsigned long long size);
int __wrap_crypto_auth_hmacsha256_update(crypto_auth_hmacsha256_state* state,
                                         const unsigned char* bytes, unsigned long long size) {
  work.hashed_bytes += size;
  return __real_crypto_auth_hmacsha256_update(state, bytes, size);
}
int __real_crypto_auth_hmacsha256_final(crypto_auth_hmacsha256_state* state, unsigned char* hash);
int __wrap_crypto_auth_hmacsha256_final(crypto_auth_hmacsha256_state* state, unsigned char* hash) {
  ++work.hashes;
  return __real_crypto_auth_hmacsha256_final(state, hash);
}
int __real_sodium_memcmp(const void* a, const void* b, std::size_t size);
int __wrap_sodium_memcmp(const void* a, const void* b, std::size_t size) {
  ++work.comparisons;
  work.compared_bytes += size;
  return __real_sodium_memcmp(a, b, size);
}
}

namespace malina::govern {
namespace {

using namespace std::chrono_literals;

const Actor kTester{"local:tester", ""};

class EqualWorkTest : public testing::Test {
 protected:
  Work refusal(const std::string& token) {
    work = {};
    EXPECT_FALSE(keys_.authenticate(token)) << token;
    return work;
  }

  base::TemporaryDirectory folder_;
  base::ManualClock clock_;
  std::unique_ptr<store::Database> database_ =
      store::open_sqlite(folder_.path() / "malina.db", store::Access::read_write);
  AuditChain audit_{clock_};
  KeyStore keys_{*database_, Pepper(std::string(32, 'p')), audit_};
};

TEST_F(EqualWorkTest, EveryRefusalHashesAndComparesAlike) {
  const std::string good = keys_.create({.name = "app"}, kTester).token;
  const std::string other = keys_.create({.name = "other"}, kTester).token;
  const auto revoked = keys_.create({.name = "revoked"}, kTester);
  keys_.revoke(revoked.record.principal.key_id, kTester);
  const auto rotated = keys_.create({.name = "rotated"}, kTester);
  keys_.rotate(rotated.record.principal.key_id, 0s, kTester);
  const std::string brief = keys_.create({.name = "brief", .lifetime = 60s}, kTester).token;
  clock_.advance(61s);

  const std::string id = good.substr(0, good.find('.')), secret = good.substr(good.find('.') + 1);
  std::string wrong = good;
  wrong.back() = wrong.back() == 'A' ? 'B' : 'A';
  const Work expected = refusal(wrong);
  EXPECT_EQ(expected.hashes, 2) << "of what is in memory, and of what is in the database now";
  EXPECT_EQ(expected.comparisons, 4) << "with two secrets each";
  EXPECT_EQ(refusal("mk_aaaaaaaaaaaaaaaa." + secret), expected) << "an id that nobody has";
  EXPECT_EQ(refusal(other.substr(0, other.find('.')) + "." + secret), expected)
      << "another's secret";
  EXPECT_EQ(refusal(revoked.token), expected) << "revoked";
  EXPECT_EQ(refusal(rotated.token), expected) << "replaced";
  EXPECT_EQ(refusal(brief), expected) << "expired";
  for (const std::string& malformed :
       {std::string(), std::string("x"), id, id + ".", "." + secret, good + "A",
        "Mk" + good.substr(2), std::string(10'000, 'a'), std::string("mk_0000000000000000.x"),
        std::string(1, '\0') + good})
    EXPECT_EQ(refusal(malformed), expected) << malformed.substr(0, 80);
  EXPECT_TRUE(keys_.authenticate(good)) << "and what is right opens";
}

}  // namespace
}  // namespace malina::govern
