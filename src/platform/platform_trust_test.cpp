// A request's way past keys, quotas and the audit, and aliases beside it.
#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "platform/platform.h"

namespace malina::platform {
namespace {

using std::filesystem::path;

const path kTiny = path(MALINA_SOURCE_DIR) / "tests/golden/tiny";
const Actor kTester{"local:tester", ""};

// Waits for what begin() and end() report.
template <typename Call>
void wait_for(Call call) {
  std::promise<std::exception_ptr> promise;
  call([&](std::exception_ptr failure) { promise.set_value(std::move(failure)); });
  if (auto failure = promise.get_future().get()) std::rethrow_exception(std::move(failure));
}

std::string message_of(const std::function<void()>& call, base::Fault fault) {
  try {
    call();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), fault) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

class PlatformTrustTest : public testing::Test {
 protected:
  Caller caller(NewKey key = {.name = "app"}) {
    return *platform_.authenticate(platform_.create_key(key, kTester).token);
  }
  static RequestFacts facts(std::string id, std::int64_t tokens = 100) {
    return {.action = "chat.completions",
            .model = "prod",
            .digest = std::string(64, 'a'),
            .request_id = std::move(id),
            .tokens = tokens};
  }
  // The audit's records of requests: "id outcome status prompt+completion".
  static std::vector<std::string> requests(Platform& platform) {
    std::vector<std::string> lines;
    for (const AuditRecord& record : platform.audit(0, 1000))
      if (!record.entry.request.empty())
        lines.push_back(record.entry.request + " " + record.entry.outcome + " " +
                        std::to_string(record.entry.status) + " " +
                        std::to_string(record.entry.prompt_tokens) + "+" +
                        std::to_string(record.entry.completion_tokens));
    return lines;
  }

  base::TemporaryDirectory folder_;
  Platform platform_{folder_.path() / "home"};
};

using Lines = std::vector<std::string>;

TEST_F(PlatformTrustTest, RequestIsRecordedBeforeAndAfter) {
  const Caller caller = this->caller();
  auto admission = platform_.admit(caller, facts("r1"));
  ASSERT_TRUE(admission.request);
  EXPECT_EQ(requests(platform_), Lines{});
  wait_for([&](auto done) { admission.request->begin(done); });
  EXPECT_EQ(requests(platform_), Lines{"r1 intent 0 0+0"});
  wait_for([&](auto done) {
    admission.request->end({.prompt_tokens = 7, .completion_tokens = 9}, done);
  });
  EXPECT_EQ(requests(platform_), (Lines{"r1 intent 0 0+0", "r1 done 200 7+9"}));
  const AuditRecord record = platform_.audit(0, 1000).back();
  EXPECT_EQ(record.entry.actor.id, caller.key_id);
  EXPECT_EQ(record.entry.actor.tenant, "default");
  EXPECT_EQ(record.entry.model, "prod");
  EXPECT_EQ(record.entry.digest, std::string(64, 'a'));
  EXPECT_FALSE(platform_.verify_audit().report.fault);
}

TEST_F(PlatformTrustTest, RequestThatGoesAwayIsRecordedAsAbandoned) {
  const Caller caller = this->caller({.name = "app", .limits = {.concurrent_streams = 1}});
  {
    auto admission = platform_.admit(caller, facts("r1"));
    wait_for([&](auto done) { admission.request->begin(done); });
    EXPECT_EQ(platform_.admit(caller, facts("r2")).verdict.refusal, QuotaRefusal::streams);
  }
  auto admission = platform_.admit(caller, facts("r3"));
  ASSERT_TRUE(admission.request) << "its place is free again";
  wait_for([&](auto done) { admission.request->begin(done); });
  EXPECT_EQ(requests(platform_),
            (Lines{"r1 intent 0 0+0", "r1 abandoned 0 0+0", "r3 intent 0 0+0"}));
}

TEST_F(PlatformTrustTest, QuotaIsRefusedWithItsReasonAndSurvivesARestart) {
  const Caller caller = this->caller(
      {.name = "app", .limits = {.requests_per_minute = 2, .tokens_per_minute = 1000}});
  // A home has one server at a time: this one ends before the next begins.
  std::optional<Platform> first(std::in_place, folder_.path() / "home");
  for (const char* id : {"r1", "r2"}) {
    auto admission = first->admit(caller, facts(id, 400));
    ASSERT_TRUE(admission.request);
    wait_for([&](auto done) { admission.request->begin(done); });
    wait_for([&](auto done) {
      admission.request->end({.prompt_tokens = 100, .completion_tokens = 50}, done);
    });
  }
  const auto refused = first->admit(caller, facts("r3"));
  EXPECT_FALSE(refused.request);
  EXPECT_EQ(refused.verdict.refusal, QuotaRefusal::requests);
  EXPECT_GT(refused.verdict.retry_after.count(), 10'000);
  EXPECT_EQ(refused.verdict.requests.limit, 2);
  EXPECT_EQ(first->admit(caller, facts("r4", 1001)).verdict.refusal, QuotaRefusal::too_large);
  first.reset();
  Platform restarted(folder_.path() / "home");
  EXPECT_EQ(restarted.admit(caller, facts("r5")).verdict.refusal, QuotaRefusal::requests);
  EXPECT_NEAR(static_cast<double>(restarted.quota(caller).tokens.remaining), 700, 150);
}

TEST_F(PlatformTrustTest, RevocationByAnotherProcessEndsACallerWithinASecond) {
  const Caller caller = this->caller();
  EXPECT_TRUE(platform_.live(caller));
  Platform command(folder_.path() / "home");
  command.revoke_key(caller.key_id, kTester);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_FALSE(platform_.live(caller));
  EXPECT_FALSE(platform_.caller_of_key(caller.key_id));
}

TEST_F(PlatformTrustTest, FirstStartMakesAnAdminKey) {
  const auto issued = platform_.ensure_admin_key();
  ASSERT_TRUE(issued);
  EXPECT_EQ(platform_.admin_key(), issued->token);
  EXPECT_TRUE(platform_.authenticate(issued->token)->may(Permission::admin));
  EXPECT_FALSE(Platform(folder_.path() / "home").ensure_admin_key());
}

TEST_F(PlatformTrustTest, WhatAKeyMayNotUseDoesNotExistForIt) {
  platform_.import_model({.file = kTiny / "q4_0.gguf", .name = "secret-one"});
  platform_.import_model({.file = kTiny / "q8_0.gguf", .name = "open-one"});
  platform_.set_alias("open-alias", "secret-one", kTester);
  const Caller caller = this->caller({.name = "app", .models = {"open-*"}});
  EXPECT_EQ(platform_.resolve_for(caller, "open-one").record->name, "open-one");
  EXPECT_EQ(platform_.resolve_for(caller, "open-alias").record->name, "secret-one")
      << "by the alias it may";
  const auto words = [&](const std::string& model) {
    std::string message =
        message_of([&] { platform_.resolve_for(caller, model); }, base::Fault::not_found);
    const std::size_t at = message.find(model);
    return at == std::string::npos ? message : message.erase(at, model.size());
  };
  EXPECT_EQ(words("secret-one"), words("secret-two")) << "there, and not there: the same words";
  EXPECT_EQ(words("open-two"), words("secret-one"));
  EXPECT_EQ(words((kTiny / "q4_0.gguf").string()), words("secret-one")) << "a path is no name";
}

TEST_F(PlatformTrustTest, AliasMovesWhileItsModelIsInUse) {
  platform_.import_model({.file = kTiny / "q4_0.gguf", .name = "first"});
  platform_.import_model({.file = kTiny / "q8_0.gguf", .name = "second"});
  platform_.set_alias("prod", "first", kTester);
  const std::string digest = platform_.inspect("prod").digest.value();
  Platform command(folder_.path() / "home");
  command.set_alias("prod", "second", kTester);
  EXPECT_NE(platform_.inspect("prod").digest.value(), digest);
  command.roll_back_alias("prod", std::nullopt, kTester);
  EXPECT_EQ(platform_.inspect("prod").digest.value(), digest);
  Lines actions;
  for (const AuditRecord& record : platform_.audit(0, 100))
    actions.push_back(record.entry.action + " " + record.entry.subject + " " + record.entry.model);
  EXPECT_EQ(actions,
            (Lines{"alias.set prod first", "alias.set prod second", "alias.rollback prod first"}));
}

}  // namespace
}  // namespace malina::platform
