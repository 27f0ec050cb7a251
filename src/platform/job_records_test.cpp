// Files and jobs as records: whose they are, which steps a job may take, pages.
#include "platform/job_records.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/clock.h"
#include "base/error.h"
#include "base/temporary_directory.h"
#include "platform/audit.h"
#include "platform/data_files.h"

namespace malina::platform {
namespace {

const Actor kAnna{"mk_anna", "bakery"}, kBert{"mk_bert", "brewery"};

base::Fault fault_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error.fault();
  }
  ADD_FAILURE() << "nothing was thrown";
  return base::Fault::internal;
}

class JobRecordsTest : public testing::Test {
 protected:
  DataFile add_file(const Actor& by, std::string_view content, std::string_view name = "a.csv") {
    DataFiles::Upload upload = files_.begin(name);
    upload.write(content.substr(0, content.size() / 2));
    upload.write(content.substr(content.size() / 2));
    return files_.commit(upload, by, kPurposeTuning, "req_1");
  }
  TuningJob add_job(const Actor& by, const std::string& id, std::string fingerprint = "") {
    TuningJob job;
    job.id = id;
    job.model = job.asked_model = "tiny";
    job.training_file = "file-x";
    job.result_name = "tiny:" + id;
    job.fingerprint = fingerprint.empty() ? id : fingerprint;
    job.metadata["n"] = id;
    return records_.create(job, by, "req_2", [] {});
  }
  std::vector<std::string> names_in_folder() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path() / "files"))
      names.push_back(entry.path().filename());
    return names;
  }
  std::vector<std::string> messages(const TuningJob& job) {
    std::vector<std::string> result;
    for (const JobEvent& event : records_.history().events(job.id, {.limit = 1000}).items)
      result.push_back(event.message);
    return result;
  }

  base::TemporaryDirectory folder_;
  base::ManualClock clock_;
  govern::AuditChain chain_{clock_};
  std::unique_ptr<store::Database> database_ =
      store::open_sqlite(folder_.path() / "malina.db", store::Access::read_write);
  DataFiles files_{folder_.path(), *database_, chain_, 1000};
  JobRecords records_{*database_, chain_};
};

TEST_F(JobRecordsTest, AFileIsKeptWholeAndBelongsToItsTenant) {
  const DataFile file = add_file(kAnna, "text,label\na,b\n");
  std::ifstream stream(files_.path(file));
  const std::string content{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_EQ(content, "text,label\na,b\n");
  base::Sha256 digest;
  digest.update(content);
  EXPECT_EQ(file.digest, digest.finish().hex());
  EXPECT_EQ(files_.get("bakery", file.id).name, "a.csv");
  EXPECT_EQ(fault_of([&] { files_.get("brewery", file.id); }), base::Fault::not_found);
  EXPECT_TRUE(files_.list("brewery", "", {}).items.empty());
  EXPECT_EQ(fault_of([&] { files_.remove(kBert, file.id, "", [] {}); }), base::Fault::not_found);
  files_.remove(kAnna, file.id, "", [] {});
  EXPECT_EQ(fault_of([&] { files_.get("bakery", file.id); }), base::Fault::not_found);
  EXPECT_TRUE(names_in_folder().empty());
}

TEST_F(JobRecordsTest, NoNameFromOutsideIsPartOfAPath) {
  for (const char* name : {"../../x.csv", "/etc/passwd", "a.CSV", "b.exe", ".csv", "c.jsonl\n"}) {
    const DataFile file = add_file(kAnna, "x", name);
    EXPECT_EQ(file.name, name);
    EXPECT_EQ(files_.path(file).parent_path(), folder_.path() / "files");
    EXPECT_TRUE(std::filesystem::exists(files_.path(file)));
  }
}

TEST_F(JobRecordsTest, WhatWasNotCommittedIsGone) {
  {
    DataFiles::Upload upload = files_.begin("a.csv");
    upload.write("half");
    EXPECT_EQ(names_in_folder().size(), 1U);
  }
  EXPECT_TRUE(names_in_folder().empty());
  const DataFile file = add_file(kAnna, "x");
  std::ofstream(folder_.path() / "files" / "file-left.csv") << "of a process that is no more";
  files_.sweep();
  EXPECT_EQ(names_in_folder(), std::vector<std::string>{file.id + ".csv"});
}

TEST_F(JobRecordsTest, ATenantsFilesTakeNoMoreThanTheyMay) {
  add_file(kAnna, std::string(600, 'x'));
  EXPECT_EQ(fault_of([&] { add_file(kAnna, std::string(401, 'x')); }), base::Fault::exhausted);
  EXPECT_EQ(names_in_folder().size(), 1U);
  add_file(kBert, std::string(1000, 'x'));
  add_file(kAnna, std::string(400, 'x'));
}

TEST_F(JobRecordsTest, PagesMeetWithoutGaps) {
  std::vector<std::string> all;
  for (int i = 0; i < 7; ++i) all.push_back(add_file(kAnna, "x").id);
  add_file(kBert, "x");
  for (const bool ascending : {true, false}) {
    std::vector<std::string> seen;
    PageRequest request{.after = "", .limit = 3, .ascending = ascending};
    for (bool more = true; more; request.after = seen.back()) {
      const auto page = files_.list("bakery", "", request);
      for (const DataFile& file : page.items) seen.push_back(file.id);
      more = page.has_more;
      EXPECT_EQ(more, seen.size() < 7);
    }
    if (!ascending) std::reverse(seen.begin(), seen.end());
    EXPECT_EQ(seen, all);
  }
  EXPECT_EQ(fault_of([&] { files_.list("bakery", "", {.after = "file-none"}); }),
            base::Fault::invalid_argument);
  EXPECT_EQ(fault_of([&] { files_.list("brewery", "", {.after = all[0]}); }),
            base::Fault::invalid_argument);
}

TEST_F(JobRecordsTest, ANameStandsForWhatItCreatedForADay) {
  const auto send = [&](const Actor& by, std::string_view content) {
    DataFiles::Upload upload = files_.begin("a.csv");
    upload.write(content);
    return files_.commit(upload, by, kPurposeTuning, "", "name").id;
  };
  const std::string first = send(kAnna, "text");
  EXPECT_EQ(send(kAnna, "text"), first);
  EXPECT_EQ(names_in_folder().size(), 1U);
  EXPECT_EQ(fault_of([&] { send(kAnna, "other"); }), base::Fault::invalid_argument);
  EXPECT_EQ(names_in_folder().size(), 1U);
  EXPECT_NE(send({"other-key", kAnna.tenant}, "text"), first);
  clock_.advance(std::chrono::hours(25));
  EXPECT_NE(send(kAnna, "text"), first);
  const std::string gone = send(kAnna, "text");
  files_.remove(kAnna, gone, "", [] {});
  EXPECT_NE(send(kAnna, "text"), gone) << "what is there no more is created again";
}

TEST_F(JobRecordsTest, APauseThatCameTooLateHoldsNothingUp) {
  for (const bool resumed : {false, true}) {
    const TuningJob job = add_job(kAnna, resumed ? "ftjob-b" : "ftjob-a");
    records_.validated(job.id, {});
    records_.start(job.id);
    records_.pause(kAnna, job.id, "");
    if (resumed) records_.resume(kAnna, job.id, "");
    EXPECT_TRUE(records_.succeed(job.id, "", {}, std::nullopt));
    EXPECT_EQ(records_.find(job.id)->status, JobStatus::succeeded);
    EXPECT_FALSE(records_.oldest(JobStatus::queued)) << "it would be trained again";
  }
}

TEST_F(JobRecordsTest, AJobGoesItsWay) {
  const TuningJob job = add_job(kAnna, "ftjob-a");
  EXPECT_EQ(job.status, JobStatus::validating_files);
  EXPECT_FALSE(records_.start(job.id));
  EXPECT_TRUE(records_.validated(job.id, {}));
  EXPECT_FALSE(records_.validated(job.id, {}));
  EXPECT_EQ(records_.oldest(JobStatus::queued)->id, job.id);
  EXPECT_TRUE(records_.start(job.id));
  EXPECT_TRUE(records_.find(job.id)->started);
  EXPECT_TRUE(records_.progress(job.id, {10, 300, 12345}, {}));
  EXPECT_EQ(records_.find(job.id)->estimated_finish, 12345);
  EXPECT_TRUE(records_.succeed(job.id, "file-r", {}, JobCheckpoint{"", 0, "tiny:x", 8, {}}));
  const TuningJob done = records_.get("bakery", job.id);
  EXPECT_EQ(done.status, JobStatus::succeeded);
  EXPECT_EQ(done.trained_tokens, 300U);
  EXPECT_EQ(done.result_file, "file-r");
  EXPECT_EQ(done.estimated_finish, std::nullopt);
  EXPECT_TRUE(done.finished_at);
  EXPECT_EQ(records_.history().checkpoints(done.id, {}).items.at(0).step, 8U);
  EXPECT_FALSE(records_.fail(job.id, {"x", "y", ""}));
  EXPECT_EQ(fault_of([&] { records_.cancel(kAnna, job.id, ""); }), base::Fault::already_exists);
  EXPECT_EQ(fault_of([&] { records_.get("brewery", job.id); }), base::Fault::not_found);
  EXPECT_EQ(fault_of([&] { records_.pause(kBert, job.id, ""); }), base::Fault::not_found);
}

TEST_F(JobRecordsTest, PauseResumeAndAFullDisk) {
  const TuningJob job = add_job(kAnna, "ftjob-a");
  EXPECT_EQ(records_.pause(kAnna, job.id, "").status, JobStatus::paused);
  EXPECT_EQ(fault_of([&] { records_.pause(kAnna, job.id, ""); }), base::Fault::already_exists);
  EXPECT_FALSE(records_.validated(job.id, {}));
  EXPECT_EQ(records_.resume(kAnna, job.id, "").status, JobStatus::validating_files);
  EXPECT_EQ(fault_of([&] { records_.resume(kAnna, job.id, ""); }), base::Fault::already_exists);
  records_.validated(job.id, {});
  records_.start(job.id);
  EXPECT_TRUE(records_.wait_for_room(job.id));
  EXPECT_EQ(records_.find(job.id)->status, JobStatus::paused);
  EXPECT_TRUE(records_.any_waits_for_room());
  EXPECT_EQ(records_.room_again(), 1U);
  EXPECT_EQ(records_.find(job.id)->status, JobStatus::queued);
  EXPECT_FALSE(records_.any_waits_for_room());
  records_.start(job.id);
  EXPECT_EQ(records_.pause(kAnna, job.id, "").status, JobStatus::paused);
  EXPECT_FALSE(records_.any_waits_for_room());  // its owner paused it
  EXPECT_EQ(records_.room_again(), 0U);
  EXPECT_EQ(records_.resume(kAnna, job.id, "").status, JobStatus::queued);
}

TEST_F(JobRecordsTest, WhatRanWhenTheProcessEndedIsQueuedAgain) {
  const TuningJob running = add_job(kAnna, "ftjob-a"), paused = add_job(kAnna, "ftjob-b");
  for (const TuningJob& job : {running, paused}) {
    records_.validated(job.id, {});
    records_.start(job.id);
  }
  records_.pause(kAnna, paused.id, "");
  records_.recover();
  EXPECT_EQ(records_.find(running.id)->status, JobStatus::queued);
  EXPECT_EQ(records_.find(paused.id)->status, JobStatus::paused);
  EXPECT_NE(messages(running).front().find("snapshot"), std::string::npos);
}

TEST_F(JobRecordsTest, TheSameJobIsNotBegunTwice) {
  const TuningJob first = add_job(kAnna, "ftjob-a", "same");
  EXPECT_EQ(add_job(kAnna, "ftjob-b", "same").id, first.id);
  EXPECT_EQ(add_job(kBert, "ftjob-c", "same").id, "ftjob-c");
  records_.cancel(kAnna, first.id, "");
  EXPECT_EQ(add_job(kAnna, "ftjob-d", "same").id, "ftjob-d");
}

TEST_F(JobRecordsTest, AFileInUseIsNotDeleted) {
  const DataFile file = add_file(kAnna, "x");
  TuningJob job;
  job.id = "ftjob-a";
  job.training_file = "file-other";
  job.validation_file = file.id;
  records_.create(job, kAnna, "", [] {});
  const auto remove = [&] {
    files_.remove(kAnna, file.id, "", [&] { records_.check_unused(file.id); });
  };
  EXPECT_EQ(fault_of(remove), base::Fault::already_exists);
  EXPECT_TRUE(std::filesystem::exists(files_.path(file)));
  records_.cancel(kAnna, job.id, "");
  remove();
}

TEST_F(JobRecordsTest, JobsAreFoundByTheirMetadata) {
  for (const char* id : {"a", "b", "c"}) add_job(kAnna, id);
  nlohmann::ordered_json wanted = nlohmann::ordered_json::object();
  EXPECT_EQ(records_.list("bakery", wanted, {}).items.size(), 3U);
  wanted["n"] = "b";
  const auto found = records_.list("bakery", wanted, {});
  ASSERT_EQ(found.items.size(), 1U);
  EXPECT_EQ(found.items[0].id, "b");
  EXPECT_FALSE(found.has_more);
  wanted["m"] = "b";
  EXPECT_TRUE(records_.list("bakery", wanted, {}).items.empty());
}

TEST_F(JobRecordsTest, WhoDidWhatIsInTheAudit) {
  const DataFile file = add_file(kAnna, "x");
  TuningJob job = add_job(kAnna, "ftjob-a");
  records_.fail(job.id, {"invalid_training_file", "line 3: no label", "training_file"});
  std::vector<std::string> seen;
  for (const AuditRecord& record : read_audit(*database_, 0, 100))
    seen.push_back(record.entry.actor.id + " " + record.entry.action + " " + record.entry.subject +
                   " " + record.entry.outcome);
  EXPECT_EQ(seen, (std::vector<std::string>{"mk_anna file.create " + file.id + " done",
                                            "mk_anna tuning.job.create ftjob-a done",
                                            "mk_anna tuning.job ftjob-a failed"}));
  EXPECT_EQ(records_.find(job.id)->error->parameter, "training_file");
}

TEST(JobStatus, NothingFollowsAnEnd) {
  for (const JobStatus end : {JobStatus::succeeded, JobStatus::failed, JobStatus::cancelled})
    for (int to = 0; to <= static_cast<int>(JobStatus::cancelled); ++to)
      EXPECT_FALSE(may_become(end, static_cast<JobStatus>(to)));
  EXPECT_FALSE(may_become(JobStatus::paused, JobStatus::running));
  EXPECT_FALSE(may_become(JobStatus::validating_files, JobStatus::running));
  EXPECT_FALSE(may_become(JobStatus::validating_files, JobStatus::succeeded));
}

}  // namespace
}  // namespace malina::platform
