// A server that is no Redis, or a broken one: whatever it sends, the connection goes and we stay.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/l2/redis_store.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;

// Accepts connections one after the other, answers the handshake properly, then says `say` once to
// the first MGET, endlessly when `endless`.
class HostileServer {
 public:
  HostileServer(std::string say, bool endless) : say_(std::move(say)), endless_(endless) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 16), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~HostileServer() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    close(listener_);
  }

  uint16_t port() const { return port_; }
  int connections() const { return connections_; }

 private:
  void Accept() {
    std::vector<std::thread> talks;
    while (true) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) break;
      ++connections_;
      talks.emplace_back([this, fd] { Talk(fd); });
    }
    for (std::thread& talk : talks) talk.join();
  }

  // Until the other side hangs up.
  void Talk(int fd) {
    std::string seen;
    char buffer[4096];
    ssize_t size;
    while ((size = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
      seen.append(buffer, static_cast<size_t>(size));
      if (absl::StrContains(seen, "MGET")) {
        do {
          if (send(fd, say_.data(), say_.size(), MSG_NOSIGNAL) <= 0) break;
        } while (endless_);
        seen.clear();
      } else if (absl::StrContains(seen, "PING")) {
        // INFO, CONFIG GET, SCRIPT LOAD twice, PING.
        const std::string hello = "$0\r\n\r\n*0\r\n$1\r\nx\r\n$1\r\nx\r\n+PONG\r\n";
        send(fd, hello.data(), hello.size(), MSG_NOSIGNAL);
        seen.clear();
      }
    }
    close(fd);
  }

  const std::string say_;
  const bool endless_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::thread acceptor_;
};

// Peak memory of this process in MiB.
int64_t PeakMemoryMib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

struct Hostility {
  const char* name;
  std::string say;
  bool endless = false;
  absl::StatusCode code = absl::StatusCode::kUnavailable;
};

std::string Repeat(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

class HostileTest : public ::testing::TestWithParam<Hostility> {};

TEST_P(HostileTest, LosesItsConnectionAndNothingElse) {
  const SystemClock clock;
  HostileServer server(GetParam().say, GetParam().endless);
  auto loop = EventLoop::Create("l2-test");
  ASSERT_TRUE(loop.ok());
  RedisStoreOptions options;
  options.client.url = *ParseRedisUrl(absl::StrCat("redis://127.0.0.1:", server.port()));
  options.client.connection.connect_timeout = absl::Seconds(10);
  options.client.connection.command_timeout = absl::Seconds(20);
  auto store = RedisStore::Create(**loop, options, clock, nullptr);
  ASSERT_TRUE(store.ok()) << store.status();

  const int64_t before = PeakMemoryMib();
  absl::Notification done;
  std::vector<L2Record> records;
  (*store)->Fetch({{1, "task", "a"}}, clock.Now() + absl::Seconds(30),
                  [&](std::vector<L2Record> answer) {
                    records = std::move(answer);
                    done.Notify();
                  });
  done.WaitForNotification();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].status.code(), GetParam().code) << records[0].status;
  EXPECT_LT(PeakMemoryMib() - before, 300);
}

INSTANTIATE_TEST_SUITE_P(
    Replies, HostileTest,
    ::testing::Values(
        Hostility{"NotRedis", "HTTP/1.1 400 Bad Request\r\n\r\n"},
        Hostility{"HugeBulkHeader", "*1\r\n$9223372036854775807\r\n"},
        Hostility{"BulkBeyondTheLimit", "*1\r\n$99999999\r\n"},
        Hostility{"HugeArrayHeader", "*2147483647\r\n"}, Hostility{"NegativeBulk", "*1\r\n$-5\r\n"},
        Hostility{"NestedDeep", Repeat("*1\r\n", 200)},
        Hostility{"NestedWide", Repeat("*1000000\r\n", 7) + "?"},
        Hostility{"EndlessLine", "-" + std::string(100'000, 'x'), true},
        Hostility{"EndlessArrays", "*1000\r\n", true},
        Hostility{"EndlessReplies", ":1\r\n", true, absl::StatusCode::kInternal},
        Hostility{"BulkWithoutItsEnd", "*1\r\n$3\r\nabcdef\r\n"},
        Hostility{"WrongShape", "+OK\r\n", false, absl::StatusCode::kInternal},
        Hostility{"WrongCount", "*2\r\n$-1\r\n$-1\r\n", false, absl::StatusCode::kInternal},
        Hostility{"UnaskedSecondReply", "*1\r\n$-1\r\n+WHO\r\n", false, absl::StatusCode::kOk}),
    [](const auto& hostility) { return std::string(hostility.param.name); });

}  // namespace
}  // namespace meridian
