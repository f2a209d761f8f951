// A path to Redis that is narrow: a value that takes longer to cross than the time-out of silence
// is no silence, and whoever stands still is found out all the same.

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/contract/redis_store_fixture.h"
#include "tests/support/fault_proxy/fault_proxy_process.h"

namespace meridian {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// Carries bytes to a Redis at a rate and keeps next to none of them, as a wire does and a proxy
// does not. Stands still for good after `most` bytes of a connection.
class Wire {
 public:
  Wire(int redis_port, size_t bytes_per_second, size_t most)
      : redis_port_(redis_port), bytes_per_second_(bytes_per_second), most_(most) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int small = 16 << 10;
    setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    sockaddr_in address = Loopback(0);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_, 16), 0);
    socklen_t size = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    threads_.emplace_back([this] { Accept(); });
  }
  ~Wire() {
    stop_ = true;
    shutdown(listener_, SHUT_RDWR);
    threads_.front().join();
    for (const int fd : fds_) shutdown(fd, SHUT_RDWR);
    for (size_t i = 1; i < threads_.size(); ++i) threads_[i].join();
    for (const int fd : fds_) close(fd);
    close(listener_);
  }

  std::string url() const { return absl::StrCat("redis://127.0.0.1:", port_); }

 private:
  static sockaddr_in Loopback(int port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    return address;
  }

  void Accept() {
    while (!stop_) {
      const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      const int redis = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in address = Loopback(redis_port_);
      EXPECT_EQ(connect(redis, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
      fds_.push_back(client);
      fds_.push_back(redis);
      threads_.emplace_back([=, this] { Carry(client, redis, bytes_per_second_, most_); });
      threads_.emplace_back([=, this] { Carry(redis, client, 0, SIZE_MAX); });
    }
  }

  // A rate of 0: at once.
  void Carry(int from, int to, size_t rate, size_t most) const {
    std::array<char, 8 << 10> buffer;
    for (size_t carried = 0; carried < most;) {
      const ssize_t size = recv(from, buffer.data(), buffer.size(), 0);
      if (size <= 0) break;
      carried += static_cast<size_t>(size);
      if (rate > 0) {
        absl::SleepFor(absl::Seconds(static_cast<double>(size) / static_cast<double>(rate)));
      }
      if (send(to, buffer.data(), static_cast<size_t>(size), MSG_NOSIGNAL) != size) break;
    }
    if (most == SIZE_MAX) shutdown(to, SHUT_RDWR);
  }

  const int redis_port_;
  const size_t bytes_per_second_;
  const size_t most_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  // Of Accept until it has been joined.
  std::vector<int> fds_;
  std::vector<std::thread> threads_;
};

class NarrowPathTest : public RedisStoreTest {
 protected:
  // A time-out that every value here exceeds by far. `unseen`: what may wait out of sight is
  // allowed for at this rate.
  static RedisStoreOptions Impatient(double unseen) {
    RedisStoreOptions options;
    options.client.connection.command_timeout = absl::Milliseconds(400);
    options.client.connection.connect_timeout = absl::Seconds(10);
    options.client.connection.slowest_bytes_per_second = unseen;
    return options;
  }
  static L2Write Large(size_t bytes) { return Put("large", 1, std::string(bytes, 'x')); }
};

constexpr double kNothingIsUnseen = 1e12;

TEST_F(NarrowPathTest, AValueCrossesAsLongAsItsBytesMove) {
  StartRedis();
  const Wire wire(redis_->port(), 2 * kMiB, SIZE_MAX);
  OpenStore(Impatient(kNothingIsUnseen), wire.url());
  ASSERT_TRUE(observer_.WaitForUps(2));
  const absl::Time start = absl::Now();
  EXPECT_TRUE(ApplyStatus(Large(6 * kMiB), absl::Minutes(1)).ok());
  EXPECT_GT(absl::Now() - start, absl::Seconds(2)) << "so the test tests";
  EXPECT_EQ(observer_.downs(), 0);
}

TEST_F(NarrowPathTest, AndThroughAProxyThatTakesItAllAtOnce) {
  StartRedis();
  auto proxy = FaultProxyProcess::Start(absl::StrCat("127.0.0.1:", redis_->port()));
  ASSERT_TRUE(proxy.ok()) << proxy.status();
  OpenStore(Impatient(128 << 10), absl::StrCat("redis://", (*proxy)->address()));
  ASSERT_TRUE(observer_.WaitForUps(2));
  ASSERT_TRUE((*proxy)->Set("up.rate=500KiB").ok());
  const absl::Time start = absl::Now();
  EXPECT_TRUE(ApplyStatus(Large(3 * kMiB / 2), absl::Minutes(1)).ok());
  EXPECT_GT(absl::Now() - start, absl::Seconds(2)) << "so the test tests";
  EXPECT_EQ(observer_.downs(), 0);
}

TEST_F(NarrowPathTest, APathThatStandsStillInTheMiddleIsLeft) {
  StartRedis();
  const Wire wire(redis_->port(), 2 * kMiB, kMiB);
  OpenStore(Impatient(kNothingIsUnseen), wire.url());
  ASSERT_TRUE(observer_.WaitForUps(2));
  EXPECT_EQ(ApplyStatus(Large(6 * kMiB), absl::Minutes(1)).code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(observer_.causes().count("silence") > 0);
}

// Its machine takes what is sent, and nobody reads it: what is small is no movement.
TEST_F(NarrowPathTest, AServerThatStandsStillIsLeftInTimeHoweverManyAskIt) {
  StartRedis();
  OpenStore(Impatient(128 << 10));
  ASSERT_TRUE(observer_.WaitForUps(2));
  redis_->Stop();
  const absl::Time start = absl::Now();
  while (observer_.downs() == 0 && absl::Now() - start < absl::Seconds(20)) {
    EXPECT_FALSE(ApplyStatus(Put("a", 1, "one"), absl::Milliseconds(20)).ok());
  }
  EXPECT_TRUE(observer_.causes().count("silence") > 0);
  redis_->Cont();
}

}  // namespace
}  // namespace meridian
