// HttpClient against real servers: what it sends, what it takes for an answer, whom it trusts, and
// what people are told when there is none.

#include "server/http_client/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/support/http_receiver.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"

namespace meridian {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using Request = HttpReceiver::Request;

constexpr absl::Duration kLong = absl::Seconds(30);

class HttpClientTest : public testing::Test {
 protected:
  void SetUp() override {
    auto loop = EventLoop::Create("http-test");
    ASSERT_TRUE(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
    Open("");
  }
  void Open(const std::string& ca_file) {
    client_.reset();
    auto client = HttpClient::Create(*loop_, ca_file);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }
  absl::StatusOr<HttpAnswer> Send(HttpCall call) {
    absl::Notification there;
    absl::StatusOr<HttpAnswer> result = absl::UnknownError("");
    client_->Send(std::move(call), [&](absl::StatusOr<HttpAnswer> answer) {
      EXPECT_FALSE(there.HasBeenNotified()) << "told twice";
      result = std::move(answer);
      there.Notify();
    });
    there.WaitForNotification();
    return result;
  }
  absl::StatusOr<HttpAnswer> Send(const std::string& url, std::string body = "",
                                  absl::Duration timeout = kLong) {
    return Send({.url = *ParseHttpUrl(url), .body = std::move(body), .timeout = timeout});
  }
  std::string Problem(const std::string& url, absl::Duration timeout = kLong) {
    const absl::StatusOr<HttpAnswer> answer = Send(url, "{}", timeout);
    EXPECT_FALSE(answer.ok()) << answer->code;
    return std::string(answer.status().message());
  }

  const TempDir dir_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<HttpClient> client_;
};

TEST_F(HttpClientTest, APostHasItsBodyAndItsHeaders) {
  const HttpReceiver receiver([](const Request&) { return HttpReceiver::Reply(200, "thanks"); });
  const absl::StatusOr<HttpAnswer> answer =
      Send(absl::StrCat("http://", receiver.address(), "/hook?a=b"), "{\"x\": 1}");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->code, 200);
  EXPECT_EQ(answer->body, "thanks");
  const std::vector<Request> requests = receiver.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].body, "{\"x\": 1}");
  EXPECT_THAT(requests[0].head, StartsWith("POST /hook?a=b HTTP/1.1\r\n"));
  EXPECT_THAT(requests[0].head, HasSubstr(absl::StrCat("Host: ", receiver.address(), "\r\n")));
  EXPECT_THAT(requests[0].head, HasSubstr("Content-Type: application/json\r\n"));
}

TEST_F(HttpClientTest, WithoutABodyItIsAGet) {
  const HttpReceiver receiver([](const Request&) { return HttpReceiver::Reply(200, "{}"); });
  ASSERT_TRUE(Send(absl::StrCat("http://", receiver.address())).ok());
  EXPECT_THAT(receiver.requests()[0].head, StartsWith("GET / HTTP/1.1\r\n"));
}

TEST_F(HttpClientTest, WhatIsAskedForSomebodyElseSaysSo) {
  const HttpReceiver receiver([](const Request&) { return HttpReceiver::Reply(200, "{}"); });
  const HttpUrl url = *ParseHttpUrl(absl::StrCat("http://", receiver.address()));
  ASSERT_TRUE(Send({.url = url}).ok());
  ASSERT_TRUE(Send({.url = url, .forwarded = true}).ok());
  EXPECT_THAT(receiver.requests()[0].head, Not(HasSubstr("Meridian-Forwarded")));
  EXPECT_THAT(receiver.requests()[1].head, HasSubstr("Meridian-Forwarded: 1\r\n"));
}

TEST_F(HttpClientTest, WhateverTheCodeIsItIsTheAnswerAndRedirectsAreNotFollowed) {
  const HttpReceiver elsewhere([](const Request&) { return HttpReceiver::Reply(200); });
  for (const int code : {204, 301, 307, 400, 404, 429, 500, 503}) {
    const HttpReceiver receiver([&](const Request&) {
      return HttpReceiver::Reply(code, "",
                                 absl::StrCat("Location: http://", elsewhere.address(), "/\r\n"));
    });
    const absl::StatusOr<HttpAnswer> answer =
        Send(absl::StrCat("http://", receiver.address()), "{}");
    ASSERT_TRUE(answer.ok()) << code << answer.status();
    EXPECT_EQ(answer->code, code);
    EXPECT_EQ(receiver.requests().size(), 1u);
  }
  EXPECT_EQ(elsewhere.requests().size(), 0u);
}

TEST_F(HttpClientTest, AnswersInChunksAndToTheEndOfTheConnectionAreWhole) {
  const std::string large(300'000, 'v');
  for (const std::string& bytes :
       {absl::StrCat("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                     absl::Hex(large.size()), "\r\n", large, "\r\n0\r\n\r\n"),
        absl::StrCat("HTTP/1.0 200 OK\r\n\r\n", large), HttpReceiver::Reply(200, large)}) {
    const HttpReceiver receiver([&](const Request&) { return bytes; });
    const absl::StatusOr<HttpAnswer> answer = Send(absl::StrCat("http://", receiver.address()));
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->body == large, true) << answer->body.size();
  }
}

TEST_F(HttpClientTest, NobodyThere) {
  uint16_t port = 0;
  {
    const HttpReceiver gone([](const Request&) { return ""; });
    port = gone.port();
  }
  EXPECT_THAT(Problem(absl::StrCat("http://127.0.0.1:", port)),
              HasSubstr(absl::StrCat("no connection to 127.0.0.1:", port)));
}

TEST_F(HttpClientTest, AReceiverThatIsSilentCostsTheTimeoutAndNoMore) {
  const HttpReceiver receiver([](const Request&) { return ""; });
  const absl::Time begun = absl::Now();
  EXPECT_THAT(Problem(absl::StrCat("http://", receiver.address()), absl::Milliseconds(300)),
              HasSubstr("no answer"));
  EXPECT_GE(absl::Now() - begun, absl::Milliseconds(290));
  EXPECT_LT(absl::Now() - begun, absl::Seconds(10));
}

TEST_F(HttpClientTest, ASilentOneHoldsUpNobodyElse) {
  const HttpReceiver silent([](const Request&) { return ""; });
  const HttpReceiver receiver([](const Request&) { return HttpReceiver::Reply(200); });
  absl::Notification given_up;
  client_->Send({.url = *ParseHttpUrl(absl::StrCat("http://", silent.address())), .timeout = kLong},
                [&](const absl::StatusOr<HttpAnswer>& answer) {
                  EXPECT_FALSE(answer.ok());
                  given_up.Notify();
                });
  EXPECT_TRUE(Send(absl::StrCat("http://", receiver.address())).ok());
  EXPECT_FALSE(given_up.HasBeenNotified());
  client_.reset();  // Fails what is under way.
  EXPECT_TRUE(given_up.HasBeenNotified());
}

TEST_F(HttpClientTest, WhatIsNoHttpIsNoAnswer) {
  for (const std::string& bytes :
       {std::string("-ERR unknown command\r\n\r\n"), std::string("HTTP/1.1 abc\r\n\r\n"),
        std::string("\0\0\0\0", 4),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
        absl::StrCat("HTTP/1.1 200 OK\r\nX: ", std::string(1 << 20, 'x'), "\r\n\r\n")}) {
    const HttpReceiver receiver([&](const Request&) { return bytes; });
    EXPECT_NE(Problem(absl::StrCat("http://", receiver.address())), "") << bytes.substr(0, 60);
  }
}

TEST_F(HttpClientTest, AnAnswerBeyondItsLimitIsNoneAndIsNotKept) {
  const HttpReceiver receiver(
      [](const Request&) { return HttpReceiver::Reply(200, std::string(100'000, 'v')); });
  const HttpUrl url = *ParseHttpUrl(absl::StrCat("http://", receiver.address()));
  EXPECT_FALSE(Send({.url = url, .timeout = kLong, .max_answer_bytes = 99'999}).ok());
  EXPECT_TRUE(Send({.url = url, .timeout = kLong, .max_answer_bytes = 100'000}).ok());
}

class HttpsClientTest : public HttpClientTest {
 protected:
  TestAuthority authority_{dir_.path(), "ca"};
  TestCertificate certificate_ = authority_.Issue("server", "DNS:receiver.test,IP:127.0.0.1");
};

TEST_F(HttpsClientTest, AServerOfTheAuthorityIsTold) {
  const HttpReceiver receiver([](const Request&) { return HttpReceiver::Reply(200, "thanks"); },
                              &certificate_);
  Open(authority_.ca_file());
  const std::string body(200'000, 'b');
  const absl::StatusOr<HttpAnswer> answer =
      Send(absl::StrCat("https://", receiver.address(), "/hook"), body);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->body, "thanks");
  EXPECT_EQ(receiver.requests()[0].body == body, true);
}

TEST_F(HttpsClientTest, WhoIsNotTrustedIsToldNothing) {
  const HttpReceiver receiver([](const Request&) { return HttpReceiver::Reply(200); },
                              &certificate_);
  EXPECT_THAT(Problem(absl::StrCat("https://", receiver.address())),
              HasSubstr("not trusted by the system's authorities"));
  const TestAuthority other(dir_.path(), "other");
  Open(other.ca_file());
  EXPECT_THAT(Problem(absl::StrCat("https://", receiver.address())),
              HasSubstr("not trusted by " + other.ca_file()));
  Open(authority_.ca_file());
  EXPECT_THAT(Problem(absl::StrCat("https://localhost:", receiver.port())),
              HasSubstr("is not for 'localhost'"));
  EXPECT_EQ(receiver.requests().size(), 0u);
}

TEST_F(HttpsClientTest, AServerWithoutTlsIsNamed) {
  const HttpReceiver receiver([](const Request&) { return HttpReceiver::Reply(400); });
  Open(authority_.ca_file());
  EXPECT_THAT(Problem(absl::StrCat("https://", receiver.address()), absl::Seconds(2)),
              testing::Not(HasSubstr("redis")));
}

TEST_F(HttpsClientTest, AnAuthorityThatCannotBeReadIsSaidAtOnce) {
  const auto client = HttpClient::Create(*loop_, "/nowhere/ca.pem");
  EXPECT_EQ(client.status().message(),
            "TLS: the CA file '/nowhere/ca.pem' cannot be used: No such file or directory");
}

}  // namespace
}  // namespace meridian
