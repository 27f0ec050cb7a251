#include "platform/settings.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/quantity.h"
#include "base/temporary_directory.h"
#include "platform/setting_value.h"
#include "platform/settings_file.h"

namespace malina::platform {
namespace {

using namespace std::chrono_literals;
using std::filesystem::path;

class SettingsTest : public ::testing::Test {
 protected:
  path write(const std::string& text, const std::string& name = "malina.toml") {
    const path file = folder_.path() / name;
    std::ofstream(file) << text;
    return file;
  }

  LoadedSettings load(const std::string& text, Environment environment = {},
                      std::vector<SettingsRequest::Option> options = {}) {
    environment.try_emplace("HOME", folder_.path().string());
    return load_settings({.file = write(text),
                          .environment = std::move(environment),
                          .options = std::move(options)});
  }

  std::string error(const SettingsRequest& request, base::Fault fault) {
    try {
      load_settings(request);
    } catch (const base::Error& problem) {
      EXPECT_EQ(problem.fault(), fault) << problem.what();
      return problem.what();
    }
    ADD_FAILURE() << "no error";
    return "";
  }

  std::string error(const std::string& text, Environment environment = {}) {
    environment.try_emplace("HOME", folder_.path().string());
    return error({.file = write(text), .environment = std::move(environment), .options = {}},
                 base::Fault::invalid_argument);
  }

  static const Setting& setting(std::string_view key) {
    for (const Setting& each : setting_table())
      if (setting_key(each) == key) return each;
    throw std::logic_error("no such setting");
  }

  base::TemporaryDirectory folder_;
};

TEST_F(SettingsTest, NothingSaidIsTheDefault) {
  const LoadedSettings loaded = load("");
  EXPECT_EQ(loaded.values.home, folder_.path() / ".local/share/malina");
  EXPECT_FALSE(loaded.values.offline);
  EXPECT_EQ(loaded.values.serve.host, "127.0.0.1");
  EXPECT_EQ(loaded.values.serve.port, 8080);
  EXPECT_EQ(loaded.values.serve.keep_alive, 5min);
  EXPECT_EQ(loaded.values.serve.max_body, 32U << 20);
  for (const SettingOrigin& origin : loaded.origins) EXPECT_EQ(origin.origin, Origin::built_in);
  EXPECT_TRUE(loaded.warnings.empty());
}

TEST_F(SettingsTest, OptionBeforeEnvironmentBeforeFileBeforeDefault) {
  const std::string file = "[serve]\nport = 1\nmax_queue = 2\nconnections = 3\n";
  const Environment environment{{"MALINA_PORT", "4"}, {"MALINA_MAX_QUEUE", "5"}};
  const LoadedSettings loaded = load(file, environment, {{&setting("serve.port"), {"6"}}});
  EXPECT_EQ(loaded.values.serve.port, 6);
  EXPECT_EQ(loaded.values.serve.max_queue, 5U);
  EXPECT_EQ(loaded.values.serve.connections, 3U);
  EXPECT_EQ(loaded.origin("serve.port").where, "--port");
  EXPECT_EQ(loaded.origin("serve.max_queue").where, "MALINA_MAX_QUEUE");
  EXPECT_EQ(loaded.origin("serve.connections").where, loaded.file.string() + ":4");
  EXPECT_EQ(loaded.origin("serve.connections").origin, Origin::file);
  EXPECT_EQ(loaded.origin("serve.drain").origin, Origin::built_in);
}

TEST_F(SettingsTest, EveryTypeIsReadFromTheFile) {
  const LoadedSettings loaded = load(R"(
home = "store"
offline = true
[serve]
host = "localhost"
tls_certificate = "certificate.pem"
tls_key = "/etc/key.pem"
models = ["a", "b:v2"]
memory = "1.5GiB"
max_body = 4096
context = "auto"
exact = true
kv_type = "q8_0"
keep_alive = "forever"
drain = 90
load_wait = "1m30s"
allowed_hosts = ["Models.Example.org", "[fd00::1]"]
)");
  const ServerSettings& serve = loaded.values.serve;
  EXPECT_EQ(loaded.values.home, folder_.path() / "store") << "relative to the file's folder";
  EXPECT_TRUE(loaded.values.offline);
  EXPECT_EQ(serve.host, "127.0.0.1");
  EXPECT_EQ(serve.tls_certificate, folder_.path() / "certificate.pem");
  EXPECT_EQ(serve.tls_key, "/etc/key.pem");
  EXPECT_EQ(serve.models, (std::vector<std::string>{"a", "b:v2"}));
  EXPECT_EQ(serve.memory, 3ULL << 29);
  EXPECT_EQ(serve.max_body, 4096U);
  EXPECT_EQ(serve.context, 0U);
  EXPECT_TRUE(serve.exact);
  EXPECT_EQ(serve.kv_type, "q8_0");
  EXPECT_EQ(serve.keep_alive, base::kLongestDuration);
  EXPECT_EQ(serve.drain, 90s);
  EXPECT_EQ(serve.load_wait, 90s);
  EXPECT_EQ(serve.allowed_hosts, (std::vector<std::string>{"models.example.org", "fd00::1"}));
}

TEST_F(SettingsTest, ListsOfVariablesAndOptionsHaveCommas) {
  const LoadedSettings loaded = load("", {{"MALINA_MODELS", "a, b"}},
                                     {{&setting("serve.allowed_hosts"), {"x.org,y.org", "z.org"}}});
  EXPECT_EQ(loaded.values.serve.models, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(loaded.values.serve.allowed_hosts,
            (std::vector<std::string>{"x.org", "y.org", "z.org"}));
  EXPECT_EQ(error("", {{"MALINA_MODELS", "a,,b"}}),
            "MALINA_MODELS = 'a,,b' has an entry '' that is empty");
}

TEST_F(SettingsTest, AnEmptyVariableCountsAsAbsent) {
  EXPECT_EQ(load("", {{"MALINA_PORT", ""}}).values.serve.port, 8080);
}

TEST_F(SettingsTest, TildeIsTheUsersOwnFolder) {
  EXPECT_EQ(load("home = \"~/models\"").values.home, folder_.path() / "models");
  EXPECT_EQ(load("", {{"MALINA_HOME", "~"}}).values.home, folder_.path() / "");
}

TEST_F(SettingsTest, OfflineOfAVariableIsAnythingButZeroAndFalse) {
  for (const char* value : {"1", "yes", "no", "x"})
    EXPECT_TRUE(load("", {{"MALINA_OFFLINE", value}}).values.offline) << value;
  for (const char* value : {"0", "false", "False"})
    EXPECT_FALSE(load("offline = true", {{"MALINA_OFFLINE", value}}).values.offline) << value;
  const LoadedSettings loaded = load("offline = true", {{"MALINA_OFFLINE", ""}});
  EXPECT_EQ(offline_reason(loaded), loaded.file.string() + ":1 sets offline");
  EXPECT_EQ(offline_reason(load("", {{"MALINA_OFFLINE", "1"}})), "MALINA_OFFLINE is set");
  EXPECT_EQ(offline_reason(load("offline = false")), "");
}

TEST_F(SettingsTest, GeneralOnlyTakesNoVariablesOfTables) {
  const path file = write("[serve]\nport = 1\n");
  const LoadedSettings loaded =
      load_settings({.file = file,
                     .environment = {{"MALINA_HOME", "/m"}, {"MALINA_PORT", "no number"}},
                     .general_only = true,
                     .options = {}});
  EXPECT_EQ(loaded.values.home, "/m");
  EXPECT_EQ(loaded.values.serve.port, 1);
}

TEST_F(SettingsTest, AWrongValueNamesWhereAndWhatIsAllowed) {
  const std::string file = (folder_.path() / "malina.toml").string();
  EXPECT_EQ(error("[serve]\n\nkeep_alive = \"5 minutes\"\n"),
            file +
                ":3: serve.keep_alive = '5 minutes' is not a duration from 0s to 36500d (30s, "
                "5m, 1h30m, or a number of seconds), or forever");
  EXPECT_EQ(error("", {{"MALINA_MEMORY", "8G"}}),
            "MALINA_MEMORY = '8G' is not a size from 0 to 1024TiB (8GiB, 500MB, or a number of "
            "bytes), or auto");
  const Setting& port = setting("serve.port");
  EXPECT_EQ(error({.file = "/dev/null",
                   .environment = {{"MALINA_HOME", "/m"}},
                   .options = {{&port, {"65536"}}}},
                  base::Fault::invalid_argument),
            "--port '65536' is not a whole number from 0 to 65535");
}

TEST_F(SettingsTest, AnUnknownKeyHasANearOne) {
  const std::string file = (folder_.path() / "malina.toml").string();
  EXPECT_EQ(error("[serve]\nkeepalive = 3"),
            file + ":2: there is no setting 'keepalive' in [serve]; did you mean 'keep_alive'?");
  EXPECT_EQ(error("\nport = 80"),
            file + ":2: there is no setting 'port' outside of a table; it belongs into [serve]");
  EXPECT_EQ(error("[serve]\noffline = true"),
            file + ":2: there is no setting 'offline' in [serve]; it belongs above all tables");
  EXPECT_EQ(error("[server]\nport = 1"),
            file + ":1: there is no table [server]; did you mean 'serve'?");
}

TEST_F(SettingsTest, WhatKubernetesSetsIsNamed) {
  EXPECT_NE(error("", {{"MALINA_PORT", "tcp://10.0.0.1:8080"}}).find("enableServiceLinks"),
            std::string::npos);
}

TEST_F(SettingsTest, MistypedVariablesAreWarnedOf) {
  const LoadedSettings loaded = load("", {{"MALINA_KEEPALIVE", "1h"},
                                          {"MALINA_ISA", "avx2"},
                                          {"MALINA_SERVICE_HOST", "10.0.0.1"},
                                          {"MALINA_TEST_MODEL", "x"}});
  EXPECT_EQ(loaded.warnings,
            std::vector<std::string>{
                "MALINA_KEEPALIVE is set and is no setting; did you mean MALINA_KEEP_ALIVE?"});
}

TEST_F(SettingsTest, BeyondThisMachineItTakesTlsOrAWord) {
  EXPECT_NE(error("[serve]\nhost = \"0.0.0.0\"").find("allow_plaintext"), std::string::npos);
  EXPECT_NE(error("", {{"MALINA_HOST", "::"}}).find("serve.host (MALINA_HOST) = ::"),
            std::string::npos);
  EXPECT_NO_THROW(load("[serve]\nhost = \"0.0.0.0\"\nallow_plaintext = true"));
  EXPECT_NO_THROW(load("[serve]\nhost = \"::\"\ntls_certificate = \"c\"\ntls_key = \"k\""));
  for (const char* host : {"127.0.0.2", "::1", "[::1]", "::ffff:127.0.0.1", "localhost"})
    EXPECT_NO_THROW(load("", {{"MALINA_HOST", host}})) << host;
}

TEST_F(SettingsTest, CertificateAndKeyGoTogether) {
  EXPECT_NE(error("[serve]\ntls_key = \"k\"").find("without tls_certificate"), std::string::npos);
  EXPECT_NE(error("[serve]\ntls_certificate = \"c\"").find("without tls_key"), std::string::npos);
}

TEST_F(SettingsTest, AKeyThatEverybodyMayReadIsWarnedOf) {
  const path key = write("secret", "key.pem");
  const std::string text = "[serve]\ntls_certificate = \"c\"\ntls_key = \"key.pem\"";
  chmod(key.c_str(), 0644);
  ASSERT_EQ(load(text).warnings.size(), 1U);
  chmod(key.c_str(), 0640);
  EXPECT_TRUE(load(text).warnings.empty());
}

TEST_F(SettingsTest, AFileThatEverybodyMayWriteIsRefused) {
  const path file = write("");
  chmod(file.c_str(), 0666);
  const SettingsRequest request{
      .file = file, .environment = {{"MALINA_HOME", "/m"}}, .options = {}};
  EXPECT_NE(error(request, base::Fault::invalid_argument).find("0666"), std::string::npos);
  chmod(file.c_str(), 0664);
  EXPECT_NO_THROW(load_settings(request));
}

TEST_F(SettingsTest, WhichFileIsRead) {
  const Environment environment{{"HOME", "/h"}, {"MALINA_CONFIG", "/c.toml"}};
  EXPECT_EQ(configuration_file({.file = "/f.toml", .environment = environment, .options = {}}),
            "/f.toml");
  EXPECT_EQ(configuration_file({.file = {}, .environment = environment, .options = {}}), "/c.toml");
  EXPECT_EQ(configuration_file(
                {.file = {}, .environment = {{"MALINA_CONFIG", "/dev/null"}}, .options = {}}),
            "");
  EXPECT_EQ(standard_files({{"HOME", "/h"}}),
            (std::vector<path>{"/h/.config/malina/malina.toml", "/etc/malina/malina.toml"}));
  EXPECT_EQ(standard_files({{"HOME", "/h"}, {"XDG_CONFIG_HOME", "/x"}}).front(),
            "/x/malina/malina.toml");
  EXPECT_EQ(standard_files({{"HOME", "/h"}, {"XDG_CONFIG_HOME", "relative"}}).front(),
            "/h/.config/malina/malina.toml");
  std::filesystem::create_directories(folder_.path() / ".config/malina");
  const path own = write("", ".config/malina/malina.toml");
  EXPECT_EQ(configuration_file(
                {.file = {}, .environment = {{"HOME", folder_.path().string()}}, .options = {}}),
            own);
}

// Under su HOME often is still the other user's.
TEST_F(SettingsTest, AFolderOfSomebodyElseHasNoFileForThisUser) {
  std::filesystem::create_directories(folder_.path() / ".config/malina");
  write("[serve]", ".config/malina/malina.toml");
  const SettingsRequest request{
      .file = {}, .environment = {{"HOME", folder_.path().string()}}, .options = {}};
  const path own = configuration_file(request);
  EXPECT_EQ(own, folder_.path() / ".config/malina/malina.toml");
  chmod((folder_.path() / ".config").c_str(), 0);
  const pid_t child = fork();
  ASSERT_NE(child, -1);
  if (child == 0) {
    if (geteuid() == 0 && setuid(65534) != 0) _exit(2);  // root looks into every folder
    try {
      _exit(configuration_file(request) == own ? 3 : 0);
    } catch (...) {
      _exit(4);
    }
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  chmod((folder_.path() / ".config").c_str(), 0755);
}

TEST_F(SettingsTest, AFileThatWasAskedForMustBeThere) {
  const path missing = folder_.path() / "missing.toml";
  const std::string message =
      error({.file = missing, .environment = {{"MALINA_HOME", "/m"}}, .options = {}},
            base::Fault::not_found);
  EXPECT_NE(message.find(missing.string()), std::string::npos);
}

TEST_F(SettingsTest, TheSampleReadsAndHasTheDefaults) {
  std::string text;
  std::istringstream lines(sample_configuration());
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 100U) << line;
    // "#name = value" is a setting, "# words" a comment.
    const bool commented_out = line.starts_with('#') && line.size() > 1 && line[1] != ' ';
    text += (commented_out ? line.substr(1) : line) + "\n";
  }
  std::set<std::string> named;
  LoadedSettings sample = load("");
  for (const FileSetting& entry : parse_settings(text, "sample")) {
    named.insert(setting_key(*entry.setting));
    const std::string before = value_text(*entry.setting, sample.values);
    EXPECT_EQ(assign(*entry.setting, entry.values, sample.values), "");
    if (entry.setting->name != "home") {
      EXPECT_EQ(value_text(*entry.setting, sample.values), before);
    }
  }
  EXPECT_EQ(named.size(), setting_table().size());
  EXPECT_EQ(load(text).values.home, folder_.path() / ".local/share/malina");
  EXPECT_TRUE(parse_settings(sample_configuration(), "sample").empty()) << "all commented out";
}

TEST_F(SettingsTest, TheTableIsSound) {
  std::set<std::string> keys, variables;
  std::set<const void*> places;
  Settings settings;
  for (const Setting& each : setting_table()) {
    EXPECT_TRUE(keys.insert(setting_key(each)).second) << each.name;
    EXPECT_TRUE(variables.insert(environment_variable(each)).second) << each.name;
    const SettingPlace place = each.place(settings);
    EXPECT_TRUE(
        places.insert(std::visit([](auto* p) { return static_cast<const void*>(p); }, place))
            .second)
        << each.name;
    // What is shown reads back, in the type that the table says.
    const std::string shown = value_text(each, settings);
    if (each.type == SettingType::list || each.name == "home") continue;
    EXPECT_EQ(assign(each, std::vector{shown}, settings), "") << each.name;
    EXPECT_EQ(value_text(each, settings), shown) << each.name;
    EXPECT_FALSE(each.help.ends_with('.')) << each.name;
  }
}

TEST_F(SettingsTest, AValueThatIsRefusedChangesNothing) {
  for (const Setting& each : setting_table()) {
    if (each.type == SettingType::path) continue;
    Settings settings;
    const std::string before = value_text(each, settings);
    EXPECT_NE(assign(each, std::vector<std::string>{"\x01"}, settings), "") << each.name;
    EXPECT_EQ(value_text(each, settings), before) << each.name;
  }
}

TEST_F(SettingsTest, MemoryBudgetIsFourFifthsUnlessItIsSaid) {
  base::Machine machine;
  machine.memory_bytes = machine.available_bytes = 1000;
  EXPECT_EQ(memory_budget({}, machine), 800U);
  ServerSettings settings;
  settings.memory = 123;
  EXPECT_EQ(memory_budget(settings, machine), 123U);
}

// One file for each way of being wrong; what its error must have stands in its first line, after
// "# error: ", as LINE: PART OF THE MESSAGE.
TEST(BrokenSettings, EachIsAClearErrorWithFileAndLine) {
  std::size_t count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(MALINA_SOURCE_DIR "/tests/broken_settings")) {
    std::ifstream stream(entry.path(), std::ios::binary);
    std::string first;
    std::getline(stream, first);
    constexpr std::string_view kMark = "# error: ";
    ASSERT_TRUE(first.starts_with(kMark)) << entry.path();
    const std::string expected = entry.path().string() + ":" + first.substr(kMark.size());
    const std::size_t space = expected.rfind(": ");
    ++count;
    try {
      load_settings({.file = entry.path(), .environment = {{"MALINA_HOME", "/m"}}, .options = {}});
      ADD_FAILURE() << entry.path() << " was taken";
    } catch (const base::Error& error) {
      const std::string message = error.what();
      EXPECT_EQ(error.fault(), base::Fault::invalid_argument) << message;
      EXPECT_TRUE(message.starts_with(expected.substr(0, space + 1))) << message;
      EXPECT_NE(message.find(expected.substr(space + 2)), std::string::npos) << message;
      EXPECT_LT(message.size(), 600U) << message;
    }
  }
  EXPECT_GE(count, 40U);
}

// Tables are freed by recursion: a hundred thousand of them, one inside of the other, would be the
// end.
TEST(BrokenSettings, NestingIsLimited) {
  std::string text;
  for (int level = 0; level < 500'000; ++level) text += "a.";
  EXPECT_THROW(parse_settings(text + "b = 1", "text"), base::Error);
  EXPECT_THROW(parse_settings(text.substr(0, 2 * 4096) + "b = 1", "text"), base::Error);
}

// Whatever is cut off or changed, there is an error or there are settings.
TEST(BrokenSettings, NoCutAndNoByteIsFatal) {
  const std::string whole =
      "home = \"/m\"\noffline = false\n[serve]\nport = 80\nmodels = [\"a\", 'b']\nmemory = "
      "\"8GiB\"\nkeep_alive = 1_000\nlog_format = \"\"\"json\"\"\"\n";
  const auto settles = [](const std::string& text) {
    try {
      parse_settings(text, "text");
    } catch (const base::Error& error) {
      EXPECT_EQ(std::string(error.what()).rfind("text:", 0), 0U) << error.what();
    }
  };
  for (std::size_t i = 0; i < whole.size(); ++i) {
    settles(whole.substr(0, i));
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = whole;
      changed[i] = static_cast<char>(byte);
      settles(changed);
    }
  }
}

}  // namespace
}  // namespace malina::platform
