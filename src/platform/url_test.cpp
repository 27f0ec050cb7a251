#include "platform/url.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "platform/url_policy.h"

namespace malina::platform {
namespace {

TEST(Url, IsTakenApart) {
  const Url url = parse_url("HTTPS://Example.ORG:8443/a/b.gguf?c=d#e");
  EXPECT_EQ(url.scheme, "https");
  EXPECT_EQ(url.host, "example.org");
  EXPECT_EQ(url.port, 8443);
  EXPECT_EQ(url.target, "/a/b.gguf?c=d");
  EXPECT_EQ(url.text(), "https://example.org:8443/a/b.gguf?c=d");
  EXPECT_EQ(url.shown(), "https://example.org:8443/a/b.gguf");
  EXPECT_EQ(parse_url("https://example.org").text(), "https://example.org/");
  EXPECT_EQ(parse_url("https://example.org?x").text(), "https://example.org/?x");
  EXPECT_EQ(parse_url("http://[::1]:80/").text(), "http://[::1]/");
}

TEST(Url, RefusesWhatCouldBeReadInTwoWays) {
  for (const char* text : {"",
                           "x",
                           "//example.org/x",
                           "ftp://example.org/",
                           "https:/example.org",
                           "https:///x",
                           "https://a@b/",
                           "https://a:b@c/",
                           "https://example.org\\@evil.org/",
                           "https://exa mple.org/",
                           "https://example.org/\n",
                           "https://example.org:/",
                           "https://example.org:99999/",
                           "https://example.org:8a/",
                           "https://2130706433/",
                           "https://127.1/",
                           "https://0x7f.0.0.1/",
                           "https://0177.0.0.1/",
                           "https://1.2.3.256/",
                           "https://a..b/",
                           "https://.a/",
                           "https://a./",
                           "https://%61.org/",
                           "https://ex\xc3\xa4mple.org/",
                           "https://[::1/",
                           "https://[x]/",
                           "https://[]/",
                           "https://::1/",
                           "https://a,b/",
                           "file:///etc/passwd"})
    EXPECT_THROW(parse_url(text), base::Error) << text;
  EXPECT_THROW(parse_url("https://example.org/" + std::string(10'000, 'a')), base::Error);
}

TEST(Url, AnErrorShowsNoPassword) {
  try {
    parse_url("https://user:secret@example.org/x?token=secret");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos) << error.what();
  }
}

TEST(Url, ResolvesWhatARedirectMeans) {
  const Url base = parse_url("https://example.org:8443/a/b/c?d");
  const auto resolved = [&](std::string_view text) { return resolve_url(base, text).text(); };
  EXPECT_EQ(resolved("https://other.org/x"), "https://other.org/x");
  EXPECT_EQ(resolved("//other.org/x"), "https://other.org/x");
  EXPECT_EQ(resolved("/x?y"), "https://example.org:8443/x?y");
  EXPECT_EQ(resolved("x"), "https://example.org:8443/a/b/x");
  EXPECT_EQ(resolved("?y"), "https://example.org:8443/a/b/c?y");
  EXPECT_EQ(resolved("/x#y"), "https://example.org:8443/x");
  EXPECT_EQ(resolved("/x?to=https://other.org/"),
            "https://example.org:8443/x?to=https://other.org/");
  for (const char* text : {"file:///etc/passwd", "data:x", "javascript:x", "/a b", "/a\x01", "//"})
    EXPECT_THROW(resolved(text), base::Error) << text;
}

TEST(Url, KnowsThisMachine) {
  for (const char* text :
       {"http://localhost/", "http://127.0.0.1/", "http://127.9.9.9/", "http://[::1]/"})
    EXPECT_TRUE(parse_url(text).is_loopback()) << text;
  for (const char* text : {"http://127.0.0.1.example.org/", "http://localhost.example.org/",
                           "http://128.0.0.1/", "http://[::2]/"})
    EXPECT_FALSE(parse_url(text).is_loopback()) << text;
}

TEST(Url, EncodesAPathAsOnePiece) {
  EXPECT_EQ(percent_encoded("a b/c?d#e%"), "a%20b%2Fc%3Fd%23e%25");
  EXPECT_EQ(percent_encoded("a b/c", true), "a%20b/c");
  EXPECT_EQ(percent_encoded("\xc3\xa4~-._"), "%C3%A4~-._");
}

bool starts(const char* url) {
  try {
    UrlPolicy(parse_url(url), {}).check_start();
    return true;
  } catch (const base::Error&) {
    return false;
  }
}

bool follows(const char* from, const char* to, const std::vector<std::string>& allowed = {}) {
  try {
    UrlPolicy(parse_url(from), allowed).check_redirect(parse_url(from), parse_url(to));
    return true;
  } catch (const base::Error&) {
    return false;
  }
}

TEST(UrlPolicy, StartsWithHttpsOrOnThisMachine) {
  EXPECT_TRUE(starts("https://example.org/"));
  EXPECT_TRUE(starts("https://10.0.0.1/"));
  EXPECT_TRUE(starts("http://127.0.0.1:8000/"));
  EXPECT_FALSE(starts("http://example.org/"));
  EXPECT_FALSE(starts("http://10.0.0.1/"));
}

TEST(UrlPolicy, FollowsToTheHostsOwnAndToAllowedOnes) {
  EXPECT_TRUE(follows("https://example.org/a", "https://example.org/b"));
  EXPECT_TRUE(follows("https://example.org/a", "https://cdn.example.org/b"));
  EXPECT_TRUE(follows("https://huggingface.co/a", "https://cdn-lfs-us-1.hf.co/b"));
  EXPECT_TRUE(follows("https://huggingface.co/a", "https://cas-bridge.xethub.hf.co/b"));
  EXPECT_FALSE(follows("https://example.org/a", "https://cdn-lfs.hf.co/b"));
  EXPECT_FALSE(follows("https://example.org/a", "https://other.org/b"));
  EXPECT_FALSE(follows("https://example.org/a", "https://example.org.evil.org/b"));
  EXPECT_FALSE(follows("https://example.org/a", "https://evilexample.org/b"));
  EXPECT_FALSE(follows("https://huggingface.co/a", "https://evilhf.co/b"));
  EXPECT_FALSE(follows("https://example.org/a", "https://example.org:8443/b"));
  EXPECT_FALSE(follows("https://example.org/a", "https://cdn.example.org:8443/b"));
  EXPECT_TRUE(follows("https://example.org/a", "https://other.org/b", {"other.org"}));
  EXPECT_FALSE(follows("https://example.org/a", "https://other.org:8443/b", {"other.org"}));
  EXPECT_TRUE(follows("https://example.org/a", "https://other.org:8443/b", {"other.org:8443"}));
  EXPECT_FALSE(follows("https://example.org/a", "https://sub.other.org/b", {"other.org"}));
}

TEST(UrlPolicy, NeverFollowsOutOfEncryption) {
  EXPECT_FALSE(follows("https://example.org/a", "http://example.org/a"));
  EXPECT_FALSE(follows("https://example.org/a", "http://other.org/a", {"other.org"}));
  EXPECT_FALSE(follows("https://example.org/a", "http://127.0.0.1/a", {"127.0.0.1"}));
  EXPECT_TRUE(follows("http://127.0.0.1:1/a", "http://127.0.0.1:1/b"));
  EXPECT_TRUE(follows("http://127.0.0.1:1/a", "https://example.org/b", {"example.org"}));
  EXPECT_FALSE(follows("http://127.0.0.1:1/a", "http://example.org/b", {"example.org"}));
}

TEST(UrlPolicy, IsNotLedIntoTheHouse) {
  for (const char* inside : {"https://127.0.0.1/", "https://localhost/", "https://[::1]/",
                             "https://10.0.0.1/", "https://192.168.1.1/",
                             "https://169.254.169.254/", "https://[fe80::1]/", "https://8.8.8.8/"})
    EXPECT_FALSE(follows("https://example.org/a", inside)) << inside;
  EXPECT_TRUE(follows("https://example.org/a", "https://10.0.0.1/", {"10.0.0.1"}));
  EXPECT_FALSE(follows("http://127.0.0.1:1/a", "http://127.0.0.1:2/a"));
}

TEST(UrlPolicy, RefusesWhatIsNoHost) {
  for (const char* entry :
       {"", "a/b", "a/", "https://a", "a:b", "a@b", "*", "*.a", "a?b", "a b", "a#"})
    EXPECT_THROW(UrlPolicy(parse_url("https://example.org/"), {entry}), base::Error) << entry;
}

}  // namespace
}  // namespace malina::platform
