#include "platform/model_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "platform/descriptor.h"

namespace malina::platform {
namespace {

using std::filesystem::path;

const path kTiny = path(MALINA_SOURCE_DIR) / "tests/golden/tiny";

std::string read(const path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

class ModelStoreTest : public testing::Test {
 protected:
  // A model file of its own, which the test may spoil.
  path user_file(const std::string& from = "q4_0.gguf", const std::string& to = "user.gguf") const {
    std::filesystem::copy_file(kTiny / from, folder_.path() / to,
                               std::filesystem::copy_options::overwrite_existing);
    return folder_.path() / to;
  }
  static ImportRequest request(const path& file, const std::string& name, bool link = false) {
    return {.file = file, .name = name, .link = link};
  }

  static std::uint64_t inode(const path& file) { return file_facts(file).inode; }

  // What the folders of the store hold, each model or piece of work by its folder's name.
  std::set<std::string> placed() const { return entries(home() / "models/sha256"); }
  std::set<std::string> unfinished() const { return entries(home() / "models/unfinished"); }
  static std::set<std::string> entries(const path& folder) {
    std::set<std::string> names;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(folder, none))
      names.insert(entry.path().filename().string());
    return names;
  }
  std::vector<std::string> names() {
    std::vector<std::string> result;
    for (const auto& model : store().list()) result.push_back(model.name);
    return result;
  }

  path home() const { return folder_.path() / "home"; }
  // A new one each time, as a new process would have it.
  ModelStore store() const { return ModelStore(home()); }

  base::TemporaryDirectory folder_;
};

template <typename Call>
base::Error error_of(Call call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return base::Error(base::Fault::internal, "");
}

void spoil(const path& file) {
  std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(-1, std::ios::end);
  stream.put('\x7F');
}

TEST_F(ModelStoreTest, TakesWhatIsGivenWithoutACopy) {
  const path file = user_file();
  ImportRequest given = request(file, "given");
  given.give = true;
  given.source = "https://example.org/q4_0.gguf";
  const auto outcome = store().import_model(given);
  EXPECT_EQ(outcome.model.source, "https://example.org/q4_0.gguf");
  const path stored = outcome.model.files.at(0).path;
  EXPECT_EQ(inode(stored), inode(file));
  std::filesystem::remove(file);
  EXPECT_TRUE(store().verify("given").intact());
  EXPECT_EQ(std::filesystem::status(stored).permissions() & std::filesystem::perms::owner_write,
            std::filesystem::perms::none);
}

TEST_F(ModelStoreTest, ImportsUnderTheDigestAndFindsByName) {
  const path file = user_file();
  const auto outcome = store().import_model(request(file, "tiny"));
  EXPECT_FALSE(outcome.already_there);
  const auto resolved = store().resolve("tiny");
  ASSERT_TRUE(resolved.record);
  EXPECT_EQ(read(resolved.file), read(file));
  EXPECT_EQ(resolved.file, home() / "models/sha256" / outcome.model.digest.hex() / "model.gguf");
  const auto models = store().list();
  ASSERT_EQ(models.size(), 1U);
  EXPECT_EQ(models[0].family, "llama");
  EXPECT_EQ(models[0].source, file.string());
  EXPECT_EQ(models[0].size_bytes, std::filesystem::file_size(file));
  EXPECT_GT(models[0].imported_at, 1'700'000'000);
  EXPECT_EQ(unfinished(), std::set<std::string>{});
  struct stat status{};
  stat(resolved.file.c_str(), &status);
  EXPECT_EQ(status.st_mode & 0222U, 0U) << "nobody writes to a stored model";
}

TEST_F(ModelStoreTest, NothingIsCreatedByLooking) {
  EXPECT_TRUE(store().list().empty());
  EXPECT_EQ(error_of([&] { store().resolve("tiny"); }).fault(), base::Fault::not_found);
  EXPECT_EQ(error_of([&] { store().remove("tiny"); }).fault(), base::Fault::not_found);
  EXPECT_EQ(error_of([&] { store().verify("tiny"); }).fault(), base::Fault::not_found);
  EXPECT_FALSE(std::filesystem::exists(home()));
}

TEST_F(ModelStoreTest, ImportingAgainDoesNothing) {
  store().import_model(request(user_file(), "tiny"));
  EXPECT_TRUE(store().import_model(request(user_file(), "tiny")).already_there);
  EXPECT_EQ(placed().size(), 1U);
}

TEST_F(ModelStoreTest, NamesOfOneDigestShareItsFiles) {
  store().import_model(request(user_file(), "a"));
  std::vector<std::string> steps;
  store().import_model(request(user_file(), "b:tag"),
                       [&](const Progress& progress) { steps.emplace_back(progress.step); });
  for (const auto& step : steps) EXPECT_EQ(step, "digesting") << "no copy is made";
  EXPECT_EQ(placed().size(), 1U);
  EXPECT_FALSE(store().remove("a").files_deleted);
  EXPECT_NO_THROW(store().resolve("b:tag"));
  EXPECT_TRUE(store().remove("b:tag").files_deleted);
  EXPECT_EQ(placed(), std::set<std::string>{});
  EXPECT_EQ(unfinished(), std::set<std::string>{});
}

TEST_F(ModelStoreTest, NameOfAnotherModelIsTaken) {
  store().import_model(request(user_file("q4_0.gguf"), "tiny"));
  const auto error =
      error_of([&] { store().import_model(request(user_file("q8_0.gguf"), "tiny")); });
  EXPECT_EQ(error.fault(), base::Fault::already_exists);
  EXPECT_NE(std::string(error.what()).find("--name"), std::string::npos);
  // The same size and other bytes: found out by the digest.
  const path same_size = user_file("q4_0.gguf");
  spoil(same_size);
  EXPECT_EQ(error_of([&] { store().import_model(request(same_size, "tiny")); }).fault(),
            base::Fault::already_exists);
  EXPECT_EQ(placed().size(), 1U);
  EXPECT_EQ(unfinished(), std::set<std::string>{});
}

TEST_F(ModelStoreTest, TouchedFileIsRefusedUntilVerified) {
  store().import_model(request(user_file(), "tiny"));
  store().import_model(request(user_file(), "alias"));
  const path file = store().resolve("tiny").file;
  std::filesystem::last_write_time(
      file, std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  const auto error = error_of([&] { store().resolve("tiny"); });
  EXPECT_EQ(error.fault(), base::Fault::corrupt_file);
  EXPECT_NE(std::string(error.what()).find("malina verify tiny"), std::string::npos);
  const auto result = store().verify("tiny");
  EXPECT_TRUE(result.intact());
  EXPECT_EQ(result.files.at(0).state, FileCheck::State::touched);
  EXPECT_NO_THROW(store().resolve("tiny"));
  EXPECT_NO_THROW(store().resolve("alias")) << "it shares the file";
  EXPECT_EQ(store().verify("tiny").files.at(0).state, FileCheck::State::intact);
}

TEST_F(ModelStoreTest, ChangedFileIsFoundAndImportRepairsIt) {
  store().import_model(request(user_file(), "tiny"));
  store().import_model(request(user_file(), "alias"));
  const path file = store().resolve("tiny").file;
  const auto time = std::filesystem::last_write_time(file);
  spoil(file);
  std::filesystem::last_write_time(file, time);
  EXPECT_NO_THROW(store().resolve("tiny")) << "size, time and inode are as they were";
  const auto result = store().verify("tiny");
  EXPECT_FALSE(result.intact());
  EXPECT_EQ(result.files.at(0).state, FileCheck::State::changed);
  EXPECT_NE(result.files.at(0).found_digest, result.files.at(0).recorded.digest);

  std::filesystem::last_write_time(file, time + std::chrono::hours(1));
  EXPECT_FALSE(store().import_model(request(user_file(), "tiny")).already_there);
  EXPECT_TRUE(store().verify("tiny").intact());
  EXPECT_TRUE(store().verify("alias").intact());
  EXPECT_NO_THROW(store().resolve("alias"));
}

TEST_F(ModelStoreTest, MissingFileIsSaidAndImportRepairsIt) {
  store().import_model(request(user_file(), "tiny"));
  std::filesystem::remove_all(home() / "models/sha256");
  EXPECT_EQ(error_of([&] { store().resolve("tiny"); }).fault(), base::Fault::not_found);
  EXPECT_EQ(store().verify("tiny").files.at(0).state, FileCheck::State::missing);
  store().import_model(request(user_file(), "tiny"));
  EXPECT_TRUE(store().verify("tiny").intact());
}

TEST_F(ModelStoreTest, LinkedModelStaysWithItsUser) {
  const path file = user_file();
  const auto outcome = store().import_model(request(file, "tiny", true));
  EXPECT_TRUE(outcome.model.linked);
  EXPECT_EQ(store().resolve("tiny").file, std::filesystem::canonical(file));
  EXPECT_EQ(placed(), std::set<std::string>{});
  EXPECT_FALSE(store().remove("tiny").files_deleted);
  EXPECT_TRUE(std::filesystem::exists(file));
  store().import_model(request(file, "tiny", true));
  std::filesystem::remove(file);
  EXPECT_EQ(error_of([&] { store().resolve("tiny"); }).fault(), base::Fault::not_found);
}

TEST_F(ModelStoreTest, WhatIsNoModelIsRefusedAndLeavesNothing) {
  const path file = user_file();
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  EXPECT_EQ(error_of([&] { store().import_model(request(file, "tiny")); }).fault(),
            base::Fault::corrupt_file);
  std::ofstream(file) << "this is a text about models";
  EXPECT_EQ(error_of([&] { store().import_model(request(file, "tiny")); }).fault(),
            base::Fault::corrupt_file);
  EXPECT_EQ(error_of([&] { store().import_model(request(folder_.path(), "tiny")); }).fault(),
            base::Fault::invalid_argument);
  EXPECT_EQ(error_of([&] { store().import_model(request("/dev/null", "tiny")); }).fault(),
            base::Fault::invalid_argument);
  EXPECT_EQ(error_of([&] { store().import_model(request(user_file(), "../x")); }).fault(),
            base::Fault::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(home())) << "all that is found before anything is made";
}

TEST_F(ModelStoreTest, CancelledImportLeavesNothing) {
  const auto stop = [](const Progress&) {
    throw base::Error(base::Fault::cancelled, "stopped on request");
  };
  EXPECT_EQ(error_of([&] { store().import_model(request(user_file(), "tiny"), stop); }).fault(),
            base::Fault::cancelled);
  EXPECT_EQ(placed(), std::set<std::string>{});
  EXPECT_EQ(unfinished(), std::set<std::string>{});
  EXPECT_TRUE(names().empty());
}

TEST_F(ModelStoreTest, FileThatChangesDuringImportIsRefused) {
  const path file = user_file();
  const auto change = [&](const Progress&) {
    std::filesystem::last_write_time(
        file, std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  };
  EXPECT_EQ(error_of([&] { store().import_model(request(file, "tiny"), change); }).fault(),
            base::Fault::io);
  EXPECT_EQ(placed(), std::set<std::string>{});
  EXPECT_TRUE(names().empty());
}

// A limit on the size of files stands for a disk without room.
TEST_F(ModelStoreTest, WriteThatFailsLeavesNothing) {
  store().import_model(request(user_file("q8_0.gguf"), "before"));
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, SIG_IGN);
  const path file = user_file("all_kv_heads.gguf");
  const rlimit small{std::filesystem::file_size(file) * 2 / 3, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto error = error_of([&] { store().import_model(request(file, "tiny")); });
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_EQ(error.fault(), base::Fault::io) << error.what();
  EXPECT_EQ(placed().size(), 1U);
  EXPECT_EQ(names(), std::vector<std::string>{"before"});
  EXPECT_EQ(unfinished(), std::set<std::string>{});
}

// What a maker leaves that was killed between placing and recording.
TEST_F(ModelStoreTest, WorkOfADeadMakerIsUndone) {
  const auto model = store().import_model(request(user_file(), "kept")).model;
  const std::string unrecorded(64, 'a');
  std::filesystem::create_directories(home() / "models/sha256" / unrecorded);
  std::ofstream(home() / "models/sha256" / unrecorded / "model.gguf") << "half";
  const std::string unmarked(64, 'b');
  std::filesystem::create_directories(home() / "models/sha256" / unmarked);
  for (const std::string& digest : {unrecorded, model.digest.hex()}) {
    const path work = home() / "models/unfinished" / digest.substr(0, 6);
    std::filesystem::create_directories(work);
    std::ofstream(work / "lock");
    std::ofstream(work / ("of-" + digest));
  }
  EXPECT_EQ(names(), std::vector<std::string>{"kept"});
  EXPECT_EQ(unfinished(), std::set<std::string>{});
  EXPECT_EQ(placed(), (std::set<std::string>{model.digest.hex(), unmarked}))
      << "recorded files stay, and so does what no unfinished work names";
  EXPECT_TRUE(store().verify("kept").intact());
}

TEST_F(ModelStoreTest, WorkOfALivingMakerIsLeftAlone) {
  store().import_model(request(user_file(), "kept"));
  const path work = home() / "models/unfinished/AAAAAA";
  std::filesystem::create_directories(work);
  const Descriptor lock = Descriptor::open(work / "lock", O_RDWR | O_CREAT);
  ASSERT_EQ(flock(lock.number(), LOCK_EX), 0);
  EXPECT_EQ(names(), std::vector<std::string>{"kept"});
  EXPECT_EQ(unfinished(), std::set<std::string>{"AAAAAA"});
}

TEST_F(ModelStoreTest, ReplacedFilesComeBackWhereTheirReplacementDidNotArrive) {
  const auto model = store().import_model(request(user_file(), "kept")).model;
  const path work = home() / "models/unfinished/AAAAAA";
  std::filesystem::create_directories(work);
  std::ofstream(work / ("of-" + model.digest.hex()));
  std::filesystem::rename(home() / "models/sha256" / model.digest.hex(), work / "replaced");
  EXPECT_NO_THROW(store().resolve("kept"));
  EXPECT_EQ(unfinished(), std::set<std::string>{});
}

TEST_F(ModelStoreTest, ManyAtOnceAgree) {
  constexpr int kThreads = 4;
  const path file = user_file();
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      const std::string own = "own-" + std::to_string(i);
      for (int round = 0; round < 5; ++round) {
        ModelStore mine = store();
        mine.import_model(request(file, "shared"));
        mine.import_model(request(file, own));
        EXPECT_TRUE(mine.verify(own).intact());
        mine.remove(own);
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(names(), std::vector<std::string>{"shared"});
  EXPECT_TRUE(store().verify("shared").intact());
  EXPECT_EQ(placed().size(), 1U);
  EXPECT_EQ(unfinished(), std::set<std::string>{});
  // Importing and removing the same bytes against each other: at the end there is all or nothing.
  threads.clear();
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 5; ++round) {
        store().import_model(request(file, "contested"));
        try {
          store().remove("contested");
        } catch (const base::Error& error) {
          EXPECT_EQ(error.fault(), base::Fault::not_found);
        }
      }
    });
  for (auto& thread : threads) thread.join();
  store().remove("shared");
  EXPECT_EQ(names(), std::vector<std::string>{});
  EXPECT_EQ(placed(), std::set<std::string>{});
}

TEST_F(ModelStoreTest, ResolvesPathsAndNames) {
  store().import_model(request(user_file(), "tiny"));
  EXPECT_FALSE(store().resolve(user_file().string()).record);
  EXPECT_EQ(error_of([&] { store().resolve("./none.gguf"); }).fault(), base::Fault::not_found);
  EXPECT_EQ(error_of([&] { store().resolve("/dev/null"); }).fault(), base::Fault::invalid_argument);
  const std::string message = error_of([&] { store().resolve("tinny"); }).what();
  EXPECT_NE(message.find("did you mean 'tiny'"), std::string::npos) << message;
}

}  // namespace
}  // namespace malina::platform
