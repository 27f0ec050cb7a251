// malina audit: who did what, and whether the record of it is whole.
#include "platform/audit.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "app/command.h"
#include "app/interrupt.h"
#include "app/number_checks.h"
#include "app/progress_bar.h"
#include "base/error.h"

namespace malina::app {

namespace {

using platform::AuditRecord;
using platform::AuditVerification;

struct VerifyOptions {
  std::string database, checkpoints, public_key;
  bool json = false;
};

std::int64_t seconds(std::int64_t microseconds) { return microseconds / 1'000'000; }

Json verification_json(const AuditVerification& result) {
  const auto& report = result.report;
  const auto file = [](const std::filesystem::path& path) {
    return path.empty() ? Json() : Json(path.string());
  };
  Json fault;
  if (report.fault)
    fault = {{"sequence", report.fault->sequence},
             {"kind", name(report.fault->kind)},
             {"reason", report.fault->reason}};
  return {{"database", file(result.database)},
          {"checkpoints_file", file(result.checkpoints)},
          {"public_key_file", file(result.public_key)},
          {"intact", !report.fault.has_value()},
          {"records", report.records},
          {"hash", report.head.hash.hex()},
          {"checkpoints", report.checkpoints},
          {"signed_records", report.signed_records},
          {"signed_at",
           report.signed_at_us > 0 ? Json(utc_time(seconds(report.signed_at_us))) : Json()},
          {"fault", std::move(fault)}};
}

void print_verification(const AuditVerification& result, Console& console) {
  const auto& report = result.report;
  console.print("{}: {} records are as they were written\n", printable(result.database.string()),
                grouped(static_cast<std::uint64_t>(report.records)));
  if (report.fault) return;
  if (report.signed_records == 0)
    console.write("no checkpoint was found: that the end is there is not proven\n");
  else
    console.print("record {} and all before it were signed at {}{}\n", report.signed_records,
                  utc_time(seconds(report.signed_at_us)),
                  result.public_key.empty() ? ", by a key that was not given" : "");
}

void verify(const VerifyOptions& options, Session& session) {
  const auto given = [](const std::string& text) {
    return text.empty() ? std::nullopt : std::optional<std::filesystem::path>(text);
  };
  AuditVerification result;
  {
    ProgressBar bar(session.console());
    result = session.platform().verify_audit(
        {given(options.database), given(options.checkpoints), given(options.public_key)},
        [sink = bar.sink()](std::int64_t records, std::int64_t total) {
          sink({.step = "verifying",
                .done_bytes = static_cast<std::uint64_t>(records),
                .total_bytes = static_cast<std::uint64_t>(total),
                .kept_bytes = 0,
                .unit = "records"});
        });
  }
  if (options.json)
    session.console().json(verification_json(result));
  else
    print_verification(result, session.console());
  if (const auto& fault = result.report.fault)
    throw base::Error(base::Fault::corrupt_file,
                      fmt::format("the audit is not as it was written, from record {}: {} ({})",
                                  fault->sequence, fault->reason, name(fault->kind)));
}

Action setup_verify(CLI::App& cli) {
  auto options = std::make_shared<VerifyOptions>();
  cli.add_option("--database", options->database,
                 "A copy of malina.db; by default the home folder's own")
      ->type_name("FILE");
  cli.add_option("--checkpoints", options->checkpoints,
                 "What was signed; by default audit.checkpoints beside the database")
      ->type_name("FILE");
  cli.add_option("--public-key", options->public_key,
                 "Whose signatures; by default audit.pub beside the database")
      ->type_name("FILE");
  cli.add_flag("--json", options->json, "Print the result as JSON");
  return [options](Session& session) { verify(*options, session); };
}

struct TailOptions {
  std::int64_t records = 10;
  bool follow = false, json = false;
};

void print_record(const AuditRecord& record, bool json, Console& console) {
  if (json) {
    // As it is stored: whoever checks the chain needs these bytes.
    console.print("{{\"record\":{},\"hash\":\"{}\"}}\n", record.json, record.hash);
    return;
  }
  const auto& entry = record.entry;
  std::string line = fmt::format("{} {} {} {}", utc_time(seconds(record.wall_us)), record.sequence,
                                 printable(entry.actor.id), printable(entry.action));
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) line += fmt::format(" {}={}", name, printable(value));
  };
  add("subject", entry.subject);
  add("model", entry.model);
  add("sha256", entry.digest.substr(0, 12));
  add("request", entry.request);
  if (entry.status != 0) add("status", std::to_string(entry.status));
  if (entry.prompt_tokens + entry.completion_tokens > 0)
    add("tokens", fmt::format("{}+{}", entry.prompt_tokens, entry.completion_tokens));
  if (entry.count != 1) add("count", std::to_string(entry.count));
  console.print("{} {}\n", line, printable(entry.outcome));
}

void tail(const TailOptions& options, Session& session) {
  constexpr std::int64_t kPiece = 1000;
  constexpr auto kPause = std::chrono::milliseconds(200);
  auto& platform = session.platform();
  Console& console = session.console();
  std::int64_t after = std::max<std::int64_t>(platform.audit_length() - options.records, 0);
  const InterruptScope interrupt;
  while (!InterruptScope::requested()) {
    const auto records = platform.audit(after, kPiece);
    for (const AuditRecord& record : records) {
      print_record(record, options.json, console);
      after = record.sequence;
    }
    if (!records.empty()) console.flush();
    if (static_cast<std::int64_t>(records.size()) == kPiece) continue;
    if (!options.follow) return;
    std::this_thread::sleep_for(kPause);
  }
}

Action setup_tail(CLI::App& cli) {
  auto options = std::make_shared<TailOptions>();
  cli.add_option("-n,--records", options->records, "How many of the last records")
      ->type_name("N")
      ->check(whole_number(0, 1ULL << 62))
      ->default_str("10");
  cli.add_flag("-f,--follow", options->follow, "Go on with what is recorded, until Ctrl-C");
  cli.add_flag("--json", options->json, "Print each as a line of JSON, with its hash");
  return [options](Session& session) { tail(*options, session); };
}

constexpr std::array kVerbs{
    Verb{.name = "verify",
         .summary = "Check that no record was changed, dropped or cut off",
         .details =
             "Works on a copy, on any machine. Each record holds the hash of the one before it, "
             "and each minute\nthe last one is signed (Ed25519): into the database, and as a line "
             "of audit.checkpoints in the home\nfolder. Keep that file and audit.pub where who "
             "runs the server cannot write, and give them here:\nthen a chain that was computed "
             "anew is found too. The first bad record is named, and the exit code\nis 5.",
         .examples = "  malina audit verify\n"
                     "  malina audit verify --database copy.db --checkpoints kept.checkpoints "
                     "--public-key kept.pub\n",
         .setup = setup_verify},
    Verb{.name = "tail",
         .summary = "Show the last records",
         .details = "Who asked for what, with which model, how much, and how it ended; never what "
                    "was said.",
         .examples = "  malina audit tail\n"
                     "  malina audit tail -n 100 --json\n"
                     "  malina audit tail --follow\n",
         .setup = setup_tail}};

Action setup(CLI::App& cli) { return add_verbs(cli, kVerbs); }

}  // namespace

extern const Command audit{
    .name = "audit",
    .summary = "Show the record of who did what, and check that it is whole",
    .details =
        "Requests to the server, and changes of keys and aliases, are recorded in a chain of "
        "hashes. No\nprompt and no answer is in it.",
    .examples =
        "  malina audit tail\n"
        "  malina audit verify\n",
    .setup = setup};

}  // namespace malina::app
