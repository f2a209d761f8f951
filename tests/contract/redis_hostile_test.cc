// A server that is no Redis, or a broken one: whatever it sends, the connection goes and we stay.

#include <sys/socket.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/l2/redis_store.h"
#include "tests/contract/redis_store_fixture.h"
#include "tests/support/loopback_server.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Replies have at most 64 MiB, and may be copied; the rest is what a process needs.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int64_t kMaxMemoryMib = 2000;  // What is freed stays for a while, and has shadows.
#else
constexpr int64_t kMaxMemoryMib = 300;
#endif

// What the server does to the first MGET of each connection.
struct Hostility {
  const char* name;
  std::string say;                                         // Once,
  std::string again = "";                                  // then this without end,
  bool hang_up = false;                                    // or the end of the stream.
  absl::StatusCode code = absl::StatusCode::kUnavailable;  // Of the read that met it.
  std::string cause = "protocol";  // Why the connection was dropped; empty: it lives on.
};

// Answers the handshake properly, and is hostile then.
class HostileServer {
 public:
  explicit HostileServer(Hostility hostility)
      : hostility_(std::move(hostility)), server_([this](int fd) { Talk(fd); }) {}

  uint16_t port() const { return server_.port(); }
  int connections() const { return connections_; }

 private:
  static bool Send(int fd, const std::string& bytes) {
    return send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0;
  }

  // Until the other side hangs up.
  void Talk(int fd) {
    ++connections_;
    std::string seen;
    char buffer[4096];
    ssize_t size;
    while ((size = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
      seen.append(buffer, static_cast<size_t>(size));
      if (absl::StrContains(seen, "MGET")) {
        Send(fd, hostility_.say);
        while (!hostility_.again.empty() && Send(fd, hostility_.again)) {
        }
        if (hostility_.hang_up) break;
        seen.clear();
      } else if (absl::StrContains(seen, "PING")) {
        // INFO, CONFIG GET, SCRIPT LOAD twice, PING.
        const std::string hello = "$0\r\n\r\n*0\r\n$1\r\nx\r\n$1\r\nx\r\n+PONG\r\n";
        Send(fd, hello);
        seen.clear();
      }
    }
  }

  const Hostility hostility_;
  std::atomic<int> connections_{0};
  LoopbackServer server_;  // Goes first: its threads use what is above.
};

// Peak memory of this process in MiB since ForgetPeakMemory: /proc(5).
int64_t PeakMemoryMib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stoll(line.substr(6)) / 1024;
  }
  return 0;
}
void ForgetPeakMemory() { std::ofstream("/proc/self/clear_refs") << "5"; }

std::string Repeat(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

class HostileTest : public ::testing::TestWithParam<Hostility> {};

TEST_P(HostileTest, LosesItsConnectionAndNothingElse) {
  const SystemClock clock;
  RecordingObserver observer;  // Outlives the store.
  HostileServer server(GetParam());
  auto loop = EventLoop::Create("l2-test");
  ASSERT_TRUE(loop.ok());
  RedisStoreOptions options;
  options.client.url = *ParseRedisUrl(absl::StrCat("redis://127.0.0.1:", server.port()));
  options.client.connection.connect_timeout = absl::Seconds(10);
  options.client.connection.command_timeout =
      GetParam().cause == "silence" ? absl::Milliseconds(300) : absl::Seconds(20);
  auto store = RedisStore::Create(**loop, options, clock, &observer);
  ASSERT_TRUE(store.ok()) << store.status();
  const auto read = [&] {
    absl::Notification done;
    std::vector<L2Record> records;
    (*store)->Fetch({{1, "task", "a"}}, clock.Now() + absl::Seconds(30),
                    [&](std::vector<L2Record> answer) {
                      records = std::move(answer);
                      done.Notify();
                    });
    done.WaitForNotification();
    EXPECT_EQ(records.size(), 1u);
    return records[0].status;
  };
  ASSERT_TRUE(observer.WaitForUps(2)) << "one for reads, one for writes";
  ForgetPeakMemory();
  const int64_t before = PeakMemoryMib();
  EXPECT_EQ(read().code(), GetParam().code);
  if (GetParam().cause.empty()) {
    EXPECT_EQ(read().code(), GetParam().code);
    EXPECT_EQ(server.connections(), 2) << "it was asked again on the same connection";
    EXPECT_THAT(observer.causes(), IsEmpty());
  } else {
    ASSERT_TRUE(observer.WaitForDowns(1)) << "the connection was not dropped";
    EXPECT_THAT(observer.causes(), ElementsAre(GetParam().cause));
    EXPECT_TRUE(observer.WaitForUps(3)) << "no new connection was made";
  }
  EXPECT_LT(PeakMemoryMib() - before, kMaxMemoryMib);
}

INSTANTIATE_TEST_SUITE_P(
    Replies, HostileTest,
    ::testing::Values(
        Hostility{.name = "NotRedis", .say = "HTTP/1.1 400 Bad Request\r\n\r\n"},
        Hostility{.name = "HugeBulkHeader", .say = "*1\r\n$9223372036854775807\r\n"},
        Hostility{.name = "BulkBeyondTheLimit", .say = "*1\r\n$99999999\r\n"},
        Hostility{.name = "HugeArrayHeader", .say = "*2147483647\r\n"},
        Hostility{.name = "NegativeBulk", .say = "*1\r\n$-5\r\n"},
        Hostility{.name = "NestedDeep", .say = Repeat("*1\r\n", 200)},
        Hostility{.name = "NestedWide", .say = Repeat("*1000000\r\n", 7) + "?"},
        Hostility{.name = "NestedEndlessly", .say = "", .again = "*1\r\n"},
        Hostility{.name = "EndlessLine", .say = "-", .again = std::string(100'000, 'x')},
        Hostility{.name = "EndlessArrays", .say = "", .again = "*1000\r\n"},
        Hostility{.name = "EndlessReplies",
                  .say = ":1\r\n",
                  .again = Repeat(":1\r\n", 1000),
                  .code = absl::StatusCode::kInternal},
        Hostility{.name = "EndlessElements",
                  .say = "*1000000\r\n",
                  .again = Repeat("$1000\r\n" + std::string(1000, 'x') + "\r\n", 100),
                  .code = absl::StatusCode::kResourceExhausted},
        Hostility{.name = "BulkWithoutItsEnd", .say = "*1\r\n$3\r\nabcdef\r\n"},
        Hostility{.name = "HalfAReplyThenTheEnd",
                  .say = "*1\r\n$10\r\nabc",
                  .hang_up = true,
                  .cause = "lost"},
        Hostility{.name = "HalfAReplyThenSilence", .say = "*1\r\n$10\r\nabc", .cause = "silence"},
        Hostility{.name = "HalfAHeaderThenTheEnd", .say = "*", .hang_up = true, .cause = "lost"},
        Hostility{.name = "HalfAHeaderThenSilence", .say = "*", .cause = "silence"},
        Hostility{.name = "TheEndAtOnce", .say = "", .hang_up = true, .cause = "lost"},
        Hostility{.name = "SilenceAtOnce", .say = "", .cause = "silence"},
        Hostility{.name = "WrongShape",
                  .say = "+OK\r\n",
                  .code = absl::StatusCode::kInternal,
                  .cause = ""},
        Hostility{.name = "WrongCount",
                  .say = "*2\r\n$-1\r\n$-1\r\n",
                  .code = absl::StatusCode::kInternal,
                  .cause = ""},
        Hostility{.name = "UnaskedSecondReply",
                  .say = "*1\r\n$-1\r\n+WHO\r\n",
                  .code = absl::StatusCode::kOk}),
    [](const auto& hostility) { return std::string(hostility.param.name); });

}  // namespace
}  // namespace meridian
