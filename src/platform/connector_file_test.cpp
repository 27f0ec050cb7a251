#include "platform/connector_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::platform {
namespace {

using namespace std::chrono_literals;

class ConnectorFileTest : public ::testing::Test {
 protected:
  std::vector<Upstream> read(const std::string& text) {
    return parse_upstreams(text, "f", folder_.path());
  }
  std::string error(const std::string& text) {
    try {
      read(text);
    } catch (const base::Error& problem) {
      return problem.what();
    }
    ADD_FAILURE() << "taken: " << text;
    return "";
  }
  void write(const std::string& name, const std::string& text, mode_t mode) {
    std::ofstream(folder_.path() / name) << text;
    chmod((folder_.path() / name).c_str(), mode);
  }

  base::TemporaryDirectory folder_;
};

const std::string kPlain = "[a]\nurl = \"https://h.example/v1/\"\nmodel = \"m\"\n";

TEST_F(ConnectorFileTest, EachTableIsAnUpstream) {
  write("k", "sk-1\n", 0600);
  const auto all = read(kPlain +
                        "[b]\nurl = \"http://127.0.0.1:99\"\nmodel = \"x\"\nkey_file = \"k\"\n"
                        "timeout = \"1m\"\nmax_answer = \"2KiB\"\nlogprobs = false\n");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "a");
  EXPECT_EQ(all[0].url.text(), "https://h.example/v1/chat/completions");
  EXPECT_EQ(all[0].key, "");
  EXPECT_EQ(all[0].time_limit, 30s);
  EXPECT_EQ(all[0].most_bytes, 1u << 20);
  EXPECT_TRUE(all[0].log_probabilities);
  EXPECT_EQ(all[1].url.text(), "http://127.0.0.1:99/chat/completions");
  EXPECT_EQ(all[1].key, "sk-1");
  EXPECT_EQ(all[1].time_limit, 60s);
  EXPECT_EQ(all[1].most_bytes, 2048u);
  EXPECT_FALSE(all[1].log_probabilities);
}

TEST_F(ConnectorFileTest, WhatIsWrongIsNamedWithItsLine) {
  const auto with = [](const std::string& line) { return kPlain + line; };
  EXPECT_EQ(error(""), "f:1: there is no upstream in it: one begins with a line such as [big]");
  EXPECT_EQ(error("\nurl = \"x\"").rfind("f:2: 'url' stands outside of a table", 0), 0u);
  EXPECT_EQ(error("[A]\n").rfind("f:1: [A] is no name of an upstream", 0), 0u);
  EXPECT_EQ(error("[a]\nmodel = \"m\"\n"), "f:1: [a] has no url");
  EXPECT_EQ(error("[a]\nurl = \"https://h\"\n"), "f:1: [a] has no model");
  EXPECT_EQ(error(with("modle = \"x\"")),
            "f:4: there is no setting 'modle' of an upstream; did you mean 'model'?");
  EXPECT_EQ(error("[a]\nurl = 5\nmodel = \"m\"").rfind("f:2: url = 5 is no text", 0), 0u);
  for (const char* url : {"http://h.example/v1", "ftp://h/", "https://u:p@h/", "h.example",
                          "https://h/v1?x=1", "https://h/v1#x", "https://", "http://10.0.0.1"})
    EXPECT_EQ(error("[a]\nmodel = \"m\"\nurl = \"" + std::string(url) + "\"").rfind("f:3: url = ", 0),
              0u)
        << url;
  for (const char* line :
       {"timeout = 30", "timeout = \"0s\"", "timeout = \"11m\"", "max_answer = 5",
        "max_answer = \"1B\"", "max_answer = \"1GiB\"", "logprobs = \"true\"", "logprobs = 1",
        "model = \"\"", "key_file = true"})
    EXPECT_EQ(error(with(line)).rfind("f:", 0), 0u) << line;
  EXPECT_NE(error("[a\n").find("this is not TOML"), std::string::npos);
}

TEST_F(ConnectorFileTest, AKeyIsItsOwnersAlone) {
  write("open", "sk-secret\n", 0644);
  write("empty", "\n", 0600);
  write("two", "sk-secret more\n", 0600);
  for (const char* file : {"open", "empty", "two", "missing"}) {
    const std::string problem = error(kPlain + "key_file = \"" + file + "\"");
    EXPECT_EQ(problem.rfind("f:4: ", 0), 0u) << problem;
    EXPECT_NE(problem.find(file), std::string::npos) << problem;
    EXPECT_EQ(problem.find("secret more"), std::string::npos);
    EXPECT_EQ(problem.find("sk-"), std::string::npos) << problem;
  }
}

TEST_F(ConnectorFileTest, AFileThatEverybodyMayWriteIsNotRead) {
  write("u.toml", kPlain, 0666);
  EXPECT_THROW(read_upstreams(folder_.path() / "u.toml"), base::Error);
  write("u.toml", kPlain, 0644);
  EXPECT_EQ(read_upstreams(folder_.path() / "u.toml").size(), 1u);
  EXPECT_THROW(read_upstreams(folder_.path() / "none.toml"), base::Error);
}

}  // namespace
}  // namespace malina::platform
