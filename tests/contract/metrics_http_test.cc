// MetricsHttp as clients see it, over loopback.

#include "server/dashboard/metrics_http.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "server/dashboard/page_http.h"

namespace meridian {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A connection to loopback; -1 when there is none.
int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

// Sends `bytes` and reads until the server closes, at most two seconds: connections that civetweb
// has not begun to read when it stops stay open until the process ends.
std::string Exchange(int port, std::string_view bytes) {
  const int fd = Connect(port);
  if (fd < 0) return "cannot connect";
  const timeval timeout = {.tv_sec = 2, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  if (send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) {
    close(fd);
    return "cannot send";
  }
  std::string answer;
  char buffer[4096];
  for (ssize_t got; (got = recv(fd, buffer, sizeof(buffer), 0)) > 0;) answer.append(buffer, got);
  close(fd);
  return answer;
}

class MetricsHttpTest : public testing::Test {
 protected:
  void SetUp() override {
    registry_.AddCounter("meridian_tests_total", "Tests.").Add(3);
    absl::StatusOr<std::unique_ptr<MetricsHttp>> http = Start("127.0.0.1:0");
    ASSERT_TRUE(http.ok()) << http.status();
    http_ = *std::move(http);
  }
  absl::StatusOr<std::unique_ptr<MetricsHttp>> Start(std::string address) {
    return MetricsHttp::Start(
        {.address = std::move(address),
         .readiness =
             [this] {
               return Readiness{ready_, ready_ ? "" : "no topology yet"};
             },
         .handlers = {[this](const HttpRequest& request) {
                        ++handled_;
                        return request.path == "/v1/echo"
                                   ? std::optional<HttpReply>(
                                         request.forwarded ? JsonReply({{"forwarded", true}})
                                                           : JsonReply({{"query", request.query}}))
                                   : std::nullopt;
                      },
                      AnswerPage},
         .threads = threads_},
        registry_);
  }
  std::string Request(std::string_view method, std::string_view path) {
    std::string bytes(method);
    bytes.append(" ").append(path).append(" HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return Exchange(http_->port(), bytes);
  }

  MetricRegistry registry_;
  std::atomic<bool> ready_{true};
  std::atomic<int> handled_{0};  // Requests that handlers were asked.
  int threads_ = 2;
  std::unique_ptr<MetricsHttp> http_;
};

TEST_F(MetricsHttpTest, ReportsTheRealPort) {
  EXPECT_GT(http_->port(), 0);
  EXPECT_EQ(http_->address(), absl::StrCat("127.0.0.1:", http_->port()));
}

TEST_F(MetricsHttpTest, MetricsAreTheTextOfTheRegistry) {
  const std::string answer = Request("GET", "/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(answer, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Security-Policy: default-src 'none'\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n" + registry_.PrometheusText()));
  EXPECT_THAT(answer, HasSubstr("\nmeridian_tests_total 3\n"));
}

TEST_F(MetricsHttpTest, ReadinessFollowsTheCallbackAndLivenessDoesNot) {
  EXPECT_THAT(Request("GET", "/readyz"), StartsWith("HTTP/1.1 200 OK\r\n"));
  ready_ = false;
  const std::string answer = Request("GET", "/readyz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nnot ready: no topology yet\n"));
  EXPECT_THAT(Request("GET", "/livez"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(MetricsHttpTest, HeadHasTheHeadersOfGetAndNoBody) {
  const std::string get = Request("GET", "/livez");
  const std::string head = Request("HEAD", "/livez");
  EXPECT_EQ(head, get.substr(0, get.find("\r\n\r\n") + 4));
}

TEST_F(MetricsHttpTest, OtherMethodsAndOtherPathsAreRefused) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    EXPECT_THAT(Request(method, "/metrics"), StartsWith("HTTP/1.1 405 ")) << method;
    EXPECT_THAT(Request(method, "/metrics"), HasSubstr("Allow: GET, HEAD\r\n")) << method;
  }
  for (const char* path : {"/metrics/", "/metricsx", "/../etc/passwd", "/etc/passwd",
                           "/%2e%2e/%2e%2e/etc/passwd", "/favicon.ico"}) {
    const std::string answer = Request("GET", path);
    EXPECT_THAT(answer, testing::AnyOf(StartsWith("HTTP/1.1 404 "), StartsWith("HTTP/1.1 400 ")))
        << path;
    EXPECT_THAT(answer, Not(HasSubstr("root:"))) << path;
  }
  EXPECT_THAT(Request("GET", "/livez?verbose=1"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(MetricsHttpTest, HandlersAnswerTheirPathsAndErrorsAreJson) {
  const std::string answer = Request("GET", "/v1/echo?a=%20b");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n{\"query\":\"a=%20b\"}\n"));
  EXPECT_THAT(Request("POST", "/v1/echo"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Request("POST", "/v1/echo"), HasSubstr("Allow: GET, HEAD\r\n"));
  const int handled = handled_;
  EXPECT_THAT(Request("POST", "/v1/echo?a=b"), HasSubstr("\"reason\":\"METHOD_NOT_ALLOWED\""));
  EXPECT_THAT(Request("DELETE", "/v1/other"), StartsWith("HTTP/1.1 405 "));
  EXPECT_EQ(handled_, handled) << "no handler did its work for that";
  EXPECT_THAT(Request("GET", "/v1/other"), HasSubstr("\"reason\":\"PATH_UNKNOWN\""));
  const std::string longest(MetricsHttp::kMaxQueryBytes, 'a');
  EXPECT_THAT(Request("GET", "/v1/echo?" + longest), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(Request("GET", "/v1/echo?a" + longest), HasSubstr("\"reason\":\"QUERY_TOO_LONG\""));
}

TEST_F(MetricsHttpTest, HandlersKnowWhatIsAskedForSomebodyElse) {
  EXPECT_THAT(Request("GET", "/v1/echo"), Not(HasSubstr("forwarded")));
  EXPECT_THAT(Exchange(http_->port(),
                       "GET /v1/echo HTTP/1.1\r\nHost: localhost\r\n"
                       "meridian-forwarded: 1\r\n\r\n"),
              HasSubstr(R"("forwarded":true)"));
}

TEST_F(MetricsHttpTest, OnLoopbackAHostThatAPageElsewhereCouldUseIsRefused) {
  const auto with_host = [this](const std::string& header) {
    return Exchange(http_->port(), "GET /livez HTTP/1.1\r\n" + header + "\r\n");
  };
  for (const char* host : {"localhost", "LOCALHOST:7413", "127.0.0.1", "127.0.0.1:7413", "[::1]:80",
                           "192.168.1.2:9"}) {
    EXPECT_THAT(with_host(absl::StrCat("Host: ", host, "\r\n")), StartsWith("HTTP/1.1 200 OK\r\n"))
        << host;
  }
  for (const char* host : {"evil.example", "evil.example:7413", "localhost.evil.example"}) {
    EXPECT_THAT(with_host(absl::StrCat("Host: ", host, "\r\n")), StartsWith("HTTP/1.1 421 "))
        << host;
  }
  for (const char* host : {"a b", "<script>", "localhost:80x", ":80", "a/../b", "\xff"}) {
    EXPECT_THAT(with_host(absl::StrCat("Host: ", host, "\r\n")), StartsWith("HTTP/1.1 400 "))
        << host;
  }
  EXPECT_THAT(with_host(""), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Exchange(http_->port(), "GET /livez HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(MetricsHttpTest, ThePageIsAskedAgainByItsTagAndComesPacked) {
  const auto get = [this](std::string_view path, std::string_view headers) {
    return Exchange(http_->port(),
                    absl::StrCat("GET ", ToAbsl(path), " HTTP/1.1\r\nHost: localhost\r\n",
                                 ToAbsl(headers), "\r\n"));
  };
  const std::string page = get("/", "");
  EXPECT_THAT(page, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(page, HasSubstr("Cache-Control: no-cache\r\n"));
  EXPECT_THAT(page, HasSubstr("Content-Security-Policy: default-src 'none'; script-src 'self';"));
  EXPECT_THAT(page, HasSubstr("X-Frame-Options: DENY\r\n"));
  EXPECT_THAT(page, HasSubstr("<title>Meridian</title>"));
  const size_t tag = page.find("ETag: ") + 6;
  const std::string again = get(
      "/", absl::StrCat("If-None-Match: ", page.substr(tag, page.find("\r\n", tag) - tag), "\r\n"));
  EXPECT_THAT(again, StartsWith("HTTP/1.1 304 Not Modified\r\n"));
  EXPECT_THAT(again, Not(HasSubstr("Content-Length")));
  EXPECT_THAT(again, EndsWith("\r\n\r\n"));
  EXPECT_THAT(get("/assets/chart.js", "Accept-Encoding: gzip, br\r\n"),
              HasSubstr("Content-Encoding: gzip\r\n"));
  EXPECT_THAT(Request("POST", "/"), StartsWith("HTTP/1.1 405 "));
  for (const char* path : {"/assets/../../../etc/passwd", "/assets/%2e%2e/%2e%2e/etc/passwd",
                           "/assets/..%2f..%2fetc/passwd", "/assets/page.css/", "/assets/"}) {
    const std::string answer = Request("GET", path);
    EXPECT_THAT(answer, testing::AnyOf(StartsWith("HTTP/1.1 404 "), StartsWith("HTTP/1.1 400 ")))
        << path;
    EXPECT_THAT(answer, Not(HasSubstr("root:"))) << path;
  }
}

TEST_F(MetricsHttpTest, ConnectionsThatABrowserOpensAheadHoldNobodyUp) {
  threads_ = MetricsHttpOptions().threads;
  http_ = *Start("127.0.0.1:0");
  std::vector<int> idle;
  for (int i = 0; i < threads_ - 1; ++i) idle.push_back(Connect(http_->port()));
  EXPECT_THAT(Request("GET", "/livez"), StartsWith("HTTP/1.1 200 OK\r\n"));
  for (const int fd : idle) close(fd);
}

TEST_F(MetricsHttpTest, BodiesAreNotReadHoweverLargeTheySayTheyAre) {
  for (const char* header :
       {"Content-Length: 5", "Content-Length: 999999999999", "Content-Length: -1",
        "Content-Length: x", "Content-Length: 18446744073709551616", "Transfer-Encoding: chunked",
        "Transfer-Encoding: nonsense", "Content-Length: 5\r\nContent-Length: 6",
        "Expect: 100-continue\r\nContent-Length: 9"}) {
    for (const char* method : {"GET", "POST", "PUT"}) {
      const std::string answer = Exchange(
          http_->port(), absl::StrCat(method, " /v1/echo HTTP/1.1\r\nHost: localhost\r\n", header,
                                      "\r\n\r\nffffffff\r\n", std::string(50'000, 'x')));
      // Refused as such, or answered as if it had no body; never carried out.
      EXPECT_THAT(answer, testing::AnyOf(StartsWith("HTTP/1.1 4"), StartsWith("HTTP/1.1 200 OK")))
          << method << " " << header;
      if (std::string_view(method) != "GET") {
        EXPECT_THAT(answer, Not(HasSubstr("200 OK")));
      }
    }
  }
  EXPECT_THAT(Request("GET", "/livez"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(MetricsHttpTest, StrangeUrlsGetCleanErrorsOnTheSameMachine) {
  for (const char* target :
       {"//evil.example/v1/echo", "/v1/echo\\..\\..", "/%00", "/%c0%af", "/%zz", "/%", "v1/echo",
        "/v1/echo;a=b", "/v1/echo/../../../../etc/passwd", "/v1/%2e%2e/%2e%2e/etc/passwd", "/\x01",
        "/\xff\xfe"}) {
    const std::string answer = Request("GET", target);
    EXPECT_THAT(answer,
                testing::AnyOf(StartsWith("HTTP/1.1 404 "), StartsWith("HTTP/1.1 400 "),
                               StartsWith("HTTP/1.0 400 "), StartsWith("HTTP/1.1 200 OK\r\n")))
        << target;
    EXPECT_THAT(answer, Not(HasSubstr("root:"))) << target;
  }
  // To a proxy, or to a server as a whole: CivetWeb hangs up.
  EXPECT_EQ(Request("GET", "http://evil.example/v1/echo"), "");
  EXPECT_EQ(Request("OPTIONS", "*"), "");
  // Whatever is in the path is shown as text of JSON and nothing else.
  const std::string shown = Request("GET", "/%22%3Cscript%3Ealert(1)%3C/script%3E%0d%0aX:%20y");
  EXPECT_THAT(shown, testing::AnyOf(StartsWith("HTTP/1.1 404 "), StartsWith("HTTP/1.1 400 ")));
  EXPECT_THAT(shown, Not(HasSubstr("\r\nX: y")));
  EXPECT_THAT(shown, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
  EXPECT_THAT(shown, Not(HasSubstr("text/html")));
}

TEST_F(MetricsHttpTest, WhatCivetWebRefusesIsJsonToo) {
  const std::string host = "Host: localhost\r\n\r\n";
  const std::string large(100'000, 'a');
  const std::vector<std::string> requests = {"GET\r\n\r\n", "GET /livez HTTP/9.9\r\n" + host,
                                             "GET v1/echo HTTP/1.1\r\n" + host,
                                             "GET /" + large + " HTTP/1.1\r\n" + host,
                                             "GET /livez HTTP/1.1\r\nX: " + large + "\r\n" + host};
  for (const std::string& request : requests) {
    const std::string answer = Exchange(http_->port(), request);
    SCOPED_TRACE(request.substr(0, 30));
    EXPECT_THAT(answer, testing::AnyOf(StartsWith("HTTP/1.1 4"), StartsWith("HTTP/1.1 505 ")));
    EXPECT_THAT(answer, HasSubstr("Content-Type: application/json\r\n"));
    EXPECT_THAT(answer, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\n\r\n{\"error\":{\"code\":"));
    EXPECT_THAT(answer, testing::AnyOf(HasSubstr("\"reason\":\"REQUEST_INVALID\""),
                                       HasSubstr("\"reason\":\"REQUEST_TOO_LARGE\""),
                                       HasSubstr("\"reason\":\"PATH_UNKNOWN\"")));
  }
}

TEST_F(MetricsHttpTest, SurvivesWhatIsNotHttp) {
  Exchange(http_->port(), "\x16\x03\x01\x02\r\n\r\n");
  Exchange(http_->port(), "GET\r\n\r\n");
  Exchange(http_->port(), "GET /metrics HTTP/9.9\r\n\r\n");
  Exchange(http_->port(), "GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\n\r\n");
  EXPECT_THAT(Request("GET", "/livez"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(MetricsHttpTest, APortInUseIsAnErrorThatNamesIt) {
  const absl::Status status = Start(http_->address()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr(http_->address()));
  EXPECT_THAT(status.message(), HasSubstr("in use"));
}

TEST_F(MetricsHttpTest, AddressesThatAreNoneAreRefused) {
  for (const char* address : {"", "7403", ":7403", "localhost", "127.0.0.1:", "127.0.0.1:x",
                              "127.0.0.1:70000", "127.0.0.1:-1", "1:2:3", "127.0.0.1:80,81"}) {
    EXPECT_EQ(Start(address).status().code(), absl::StatusCode::kInvalidArgument) << address;
  }
}

TEST_F(MetricsHttpTest, StopsAndGivesThePortBackWhileClientsAsk) {
  const std::string address = http_->address();
  const int port = http_->port();
  std::atomic<bool> stopping{false};
  std::atomic<int> answered{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&] {
      while (!stopping) {
        const std::string answer =
            Exchange(port, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        if (answer.find("200 OK") != std::string::npos) ++answered;
      }
    });
  }
  while (answered < 20) std::this_thread::yield();
  stopping = true;  // Each client has at most one request under way.
  http_.reset();
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(Start(address).ok());
}

}  // namespace
}  // namespace meridian
