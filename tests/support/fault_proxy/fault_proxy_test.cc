// The program, between sockets of ours and a server that sends back what it gets.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fault_proxy/fault_proxy_process.h"
#include "tests/support/fault_proxy/test_socket.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kSoon = absl::Seconds(20);
constexpr absl::Duration kSilence = absl::Milliseconds(150);  // Long enough to notice a byte.

// Sends back what it gets, and then the end of the stream.
class EchoServer {
 public:
  EchoServer() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 64), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~EchoServer() { Stop(); }

  const std::string& address() const { return address_; }
  void Stop() {
    if (!acceptor_.joinable()) return;
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    close(listener_);
  }

 private:
  void Accept() {
    std::vector<std::thread> talks;
    std::vector<int> sockets;
    for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      sockets.push_back(fd);
      talks.emplace_back([fd] {
        std::array<char, 65536> buffer{};
        for (ssize_t size; (size = recv(fd, buffer.data(), buffer.size(), 0)) > 0;) {
          send(fd, buffer.data(), static_cast<size_t>(size), MSG_NOSIGNAL);
        }
        shutdown(fd, SHUT_WR);
      });
    }
    for (const int fd : sockets) shutdown(fd, SHUT_RDWR);
    for (std::thread& talk : talks) talk.join();
    for (const int fd : sockets) close(fd);
  }

  const int listener_;
  std::string address_;
  std::thread acceptor_;
};

class FaultProxyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto proxy = FaultProxyProcess::Start(server_.address());
    ASSERT_TRUE(proxy.ok()) << proxy.status();
    proxy_ = *std::move(proxy);
  }
  void Set(const std::string& words) {
    const absl::Status status = proxy_->Set(words);
    ASSERT_TRUE(status.ok()) << status;
  }
  std::unique_ptr<TestSocket> Connect() { return std::make_unique<TestSocket>(proxy_->address()); }

  // What comes back of `bytes` within `limit`.
  static absl::Status Echo(TestSocket& socket, const std::string& bytes,
                           absl::Duration limit = kSoon) {
    if (!socket.Send(bytes)) return absl::UnavailableError("cannot send");
    std::string back;
    const absl::Status status = socket.ReceiveUntil(bytes.size(), limit, &back);
    if (!status.ok()) return status;
    return back == bytes ? absl::OkStatus() : absl::DataLossError("other bytes came back");
  }
  static absl::Duration TimeOfEcho(TestSocket& socket) {
    const absl::Time began = absl::Now();
    EXPECT_TRUE(Echo(socket, "x").ok());
    return absl::Now() - began;
  }
  static bool Silent(TestSocket& socket) {
    std::string back;
    return absl::IsDeadlineExceeded(socket.ReceiveUntil(1, kSilence, &back));
  }
  static bool WasReset(TestSocket& socket) {
    std::string back;
    return absl::IsUnavailable(socket.ReceiveUntil(1, kSoon, &back));
  }

  EchoServer server_;
  std::unique_ptr<FaultProxyProcess> proxy_;
};

TEST_F(FaultProxyTest, CarriesEverythingAndTheEndOfTheStream) {
  std::string bytes;
  for (int i = 0; i < 3'000'000; ++i) bytes.push_back(static_cast<char>(i * 31 + i / 251));
  auto socket = Connect();
  std::string back;
  std::thread sender([&] {
    EXPECT_TRUE(socket->Send(bytes));
    socket->EndSending();
  });
  EXPECT_TRUE(socket->ReceiveUntil(bytes.size(), kSoon, &back).ok());
  sender.join();
  EXPECT_TRUE(back == bytes);
  EXPECT_TRUE(absl::IsOutOfRange(socket->ReceiveUntil(bytes.size() + 1, kSoon, &back)));
  EXPECT_TRUE(WaitUntil([&] { return (*proxy_->Status())["connections"] == 0; }, kSoon));
  const nlohmann::json status = *proxy_->Status();
  EXPECT_EQ(status["bytes_up"], bytes.size());
  EXPECT_EQ(status["bytes_down"], bytes.size());
  EXPECT_EQ(status["accepted"], 1);
  EXPECT_EQ(status["target"], server_.address());
}

TEST_F(FaultProxyTest, DelaysEachWay) {
  auto socket = Connect();
  Set("delay=60ms");
  EXPECT_GE(TimeOfEcho(*socket), absl::Milliseconds(120));
  Set("clear down.delay=80ms");
  EXPECT_GE(TimeOfEcho(*socket), absl::Milliseconds(80));
  Set("clear");
  EXPECT_TRUE(WaitUntil([&] { return TimeOfEcho(*socket) < absl::Milliseconds(60); }, kSoon));
}

TEST_F(FaultProxyTest, KeepsARate) {
  auto socket = Connect();
  Set("up.rate=100KB");
  const absl::Time began = absl::Now();
  EXPECT_TRUE(Echo(*socket, std::string(30'000, 'x')).ok());
  EXPECT_GE(absl::Now() - began, absl::Milliseconds(299));
}

TEST_F(FaultProxyTest, WhatAStallHeldArrivesAfterwards) {
  auto socket = Connect();
  ASSERT_TRUE(Echo(*socket, "before").ok());
  Set("down.stall=on");
  ASSERT_TRUE(socket->Send("held"));
  EXPECT_TRUE(Silent(*socket));
  Set("stall=off");
  std::string back;
  EXPECT_TRUE(socket->ReceiveUntil(4, kSoon, &back).ok());
  EXPECT_EQ(back, "held");
}

TEST_F(FaultProxyTest, ACutLosesWhatIsSentAndTheConnectionWithIt) {
  auto talking = Connect();
  auto quiet = Connect();
  ASSERT_TRUE(Echo(*talking, "before").ok());
  ASSERT_TRUE(Echo(*quiet, "before").ok());
  Set("cut=on");
  EXPECT_TRUE(absl::IsDeadlineExceeded(Echo(*talking, "lost", kSilence)));
  auto newcomer = Connect();
  ASSERT_TRUE(newcomer->ok()) << "a kernel accepts, as it does for a process that hangs";
  EXPECT_TRUE(absl::IsDeadlineExceeded(Echo(*newcomer, "lost", kSilence)));
  Set("cut=off");
  EXPECT_TRUE(WasReset(*talking));
  EXPECT_TRUE(WasReset(*newcomer));
  EXPECT_TRUE(Echo(*quiet, "after").ok()) << "it lost nothing";
  EXPECT_TRUE(Echo(*Connect(), "new").ok());
}

TEST_F(FaultProxyTest, ACutOfOneWayLosesThatWayOnly) {
  auto socket = Connect();
  ASSERT_TRUE(Echo(*socket, "before").ok());
  Set("down.cut=on");
  EXPECT_TRUE(absl::IsDeadlineExceeded(Echo(*socket, "asked", kSilence)));
  EXPECT_TRUE(WaitUntil([&] { return (*proxy_->Status())["bytes_up"] == 11; }, kSoon))
      << "the question arrived, the answer did not";
  EXPECT_EQ((*proxy_->Status())["bytes_down"], 6);
}

TEST_F(FaultProxyTest, AClientThatLeavesDuringACutIsNotSeenToLeave) {
  auto socket = Connect();
  ASSERT_TRUE(Echo(*socket, "before").ok());
  Set("cut=on");
  socket.reset();
  EXPECT_EQ((*proxy_->Status())["connections"], 1);
  Set("cut=off");
  EXPECT_EQ((*proxy_->Status())["connections"], 0);
}

TEST_F(FaultProxyTest, RefusedConnectionsAreReset) {
  auto socket = Connect();
  ASSERT_TRUE(Echo(*socket, "before").ok());
  Set("refuse=on");
  EXPECT_TRUE(WasReset(*socket));
  auto newcomer = Connect();
  EXPECT_TRUE(!newcomer->ok() || WasReset(*newcomer));
  Set("refuse=off");
  EXPECT_TRUE(Echo(*Connect(), "again").ok());
}

TEST_F(FaultProxyTest, ATargetThatIsNotThereResetsTheClient) {
  server_.Stop();
  auto socket = Connect();
  ASSERT_TRUE(socket->ok());
  EXPECT_TRUE(WasReset(*socket));
}

TEST_F(FaultProxyTest, ASlowReaderHoldsBackItsSender) {
  auto socket = Connect();
  Set("down.stall=on");
  bool ended = false;
  absl::Mutex mu;
  std::thread sender([&] {
    EXPECT_TRUE(socket->Send(std::string(64 << 20, 'x')));
    const absl::MutexLock lock(&mu);
    ended = true;
  });
  // It comes to rest when all buffers on the way are full.
  uint64_t before = 0;
  EXPECT_TRUE(WaitUntil(
      [&] {
        const uint64_t now = (*proxy_->Status())["bytes_up"];
        const bool rests = now > 0 && now == before;
        before = now;
        return rests;
      },
      kSoon, absl::Milliseconds(300)));
  EXPECT_LT(before, uint64_t{40} << 20);
  {
    const absl::MutexLock lock(&mu);
    EXPECT_FALSE(ended);
  }
  Set("stall=off");
  std::string back;
  EXPECT_TRUE(socket->ReceiveUntil(64 << 20, kSoon, &back).ok());
  sender.join();
}

TEST_F(FaultProxyTest, AWrongControlLineChangesNothing) {
  Set("delay=1ms");
  EXPECT_THAT(std::string(proxy_->Set("delay=2ms cut=perhaps").message()),
              HasSubstr("cut=perhaps"));
  EXPECT_THAT(*proxy_->Ask("nonsense"), HasSubstr("error"));
  EXPECT_EQ((*proxy_->Status())["faults"], "delay=1ms");
}

TEST(FaultProxyProgramTest, WrongFlagsAreWrongUsage) {
  for (const std::vector<std::string>& flags :
       {std::vector<std::string>{}, {"--target", "127.0.0.1:1", "--set", "delay=x"}}) {
    std::vector<std::string> words = {ProgramPath("meridian-fault-proxy")};
    words.insert(words.end(), flags.begin(), flags.end());
    const CommandResult result = RunCommand(words);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.err, "");
  }
  EXPECT_EQ(RunCommand({ProgramPath("meridian-fault-proxy"), "--target", "nowhere"}).exit_code, 1);
}

}  // namespace
}  // namespace meridian
