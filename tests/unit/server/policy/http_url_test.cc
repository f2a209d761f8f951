#include "server/policy/http_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace meridian {
namespace {

using testing::HasSubstr;

struct Case {
  const char* text;
  bool tls;
  const char* host;
  uint16_t port;
  const char* target;
  const char* authority;
};

TEST(HttpUrlTest, Forms) {
  for (const Case& one : {
           Case{"http://receiver", false, "receiver", 80, "/", "receiver"},
           Case{"https://receiver/", true, "receiver", 443, "/", "receiver"},
           Case{"HTTP://Receiver:9093/a/b?c=d", false, "Receiver", 9093, "/a/b?c=d",
                "Receiver:9093"},
           Case{"https://127.0.0.1:443", true, "127.0.0.1", 443, "/", "127.0.0.1"},
           Case{"http://[::1]:8080?x", false, "::1", 8080, "/?x", "[::1]:8080"},
           Case{"http://[::1]", false, "::1", 80, "/", "[::1]"},
       }) {
    const absl::StatusOr<HttpUrl> url = ParseHttpUrl(one.text);
    ASSERT_TRUE(url.ok()) << one.text << url.status();
    EXPECT_EQ(url->tls, one.tls) << one.text;
    EXPECT_EQ(url->host, one.host) << one.text;
    EXPECT_EQ(url->port, one.port) << one.text;
    EXPECT_EQ(url->target, one.target) << one.text;
    EXPECT_EQ(url->authority(), one.authority) << one.text;
  }
}

TEST(HttpUrlTest, WhatIsNoneIsRefusedWithTheReason) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "another scheme"},
      {"receiver:9093", "another scheme"},
      {"ftp://receiver", "another scheme"},
      {"://receiver", "another scheme"},
      {"http://", "no host"},
      {"http:///path", "no host"},
      {"http://:80", "no host"},
      {"http://rec eiver", "no host"},
      {"http://receiver\r\nX: y", "no host"},
      {"http://receiver/a b", "percent-encoded"},
      {"http://receiver/\xc3\xa4", "percent-encoded"},
      {"http://receiver/\r\nX: y", "percent-encoded"},
      {"http://receiver/#part", "a fragment"},
      {"http://user:password@receiver", "credentials"},
      {"http://receiver:0", "1-65535"},
      {"http://receiver:65536", "1-65535"},
      {"http://receiver:", "1-65535"},
      {"http://receiver:80x", "1-65535"},
      {"http://::1", "no host"},
      {"http://[::1", "'[' without ']'"},
      {"http://[receiver]", "no IPv6 address"},
      {"http://[::1]80", "unexpected text"},
  };
  for (const auto& [text, reason] : cases) {
    const absl::StatusOr<HttpUrl> url = ParseHttpUrl(text);
    ASSERT_EQ(url.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(url.status().message()), HasSubstr(reason)) << text;
  }
  EXPECT_FALSE(ParseHttpUrl("http://receiver/" + std::string(2048, 'a')).ok());
}

TEST(HttpUrlTest, ThePathIsNotShown) {
  EXPECT_THAT(std::string(ParseHttpUrl("http://receiver:x/secret").status().message()),
              testing::Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace meridian
