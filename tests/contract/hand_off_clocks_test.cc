// What a hand-off leaves of an entry's life when the wall clocks of the two nodes do not agree:
// GrpcPeerTransport on one side, HandOffReader on the other, over real gRPC on loopback.

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "meridian/peer/v1/peer_service.grpc.pb.h"
#include "server/peer/grpc_peer_transport.h"
#include "server/rpc/hand_off_reader.h"
#include "tests/support/fake_clock.h"

namespace meridian {
namespace {

constexpr absl::Duration kLife = absl::Seconds(30);
const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

// Takes everything, and keeps it.
struct Target final : HandOffTarget {
  void Take(uint64_t, std::vector<HandOffItem> items, HandOffDone done) override {
    const uint64_t count = items.size();
    for (HandOffItem& item : items) taken.push_back(std::move(item));
    done(count);
  }
  std::vector<HandOffItem> taken;
};

// `receiver_ahead`: of the sender, by its wall clock.
class HandOffClocksTest : public testing::TestWithParam<absl::Duration> {
 protected:
  class Service final : public peer::v1::PeerService::CallbackService {
   public:
    explicit Service(HandOffClocksTest& test) : test_(test) {}
    grpc::ServerReadReactor<peer::v1::HandOffRequest>* HandOff(
        grpc::CallbackServerContext*, peer::v1::HandOffResponse* response) override {
      return new HandOffReader(test_.target_, test_.receiver_versions_, test_.receiver_clock_,
                               response);
    }

   private:
    HandOffClocksTest& test_;
  };

  HandOffClocksTest() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    to_.id = "n2";
    to_.peer_address = absl::StrCat("127.0.0.1:", port);
    receiver_clock_.Advance(absl::Hours(7));  // Steady clocks begin when they like.
    receiver_clock_.JumpTo(kNow + GetParam());
  }

  // How many were taken.
  absl::StatusOr<uint64_t> HandOff(std::vector<HandOffItem> items) {
    absl::StatusOr<uint64_t> answer;
    absl::Notification done;
    sender_.HandOff(to_, 7, std::move(items), absl::Now() + absl::Seconds(20),
                    [&](absl::StatusOr<uint64_t> taken) {
                      answer = std::move(taken);
                      done.Notify();
                    });
    done.WaitForNotification();
    return answer;
  }
  static std::vector<HandOffItem> One() {
    std::vector<HandOffItem> items(1);
    items[0].name_space = "task";
    items[0].key = "k";
    items[0].value = Buffer::CopyOf("v");
    items[0].version = {.hlc = 77, .region = 1};
    items[0].ttl = kLife;
    items[0].raw_size = 1;
    return items;
  }
  void Pass(absl::Duration time) {
    sender_clock_.Advance(time);
    receiver_clock_.Advance(time);
  }

  FakeClock sender_clock_{kNow};
  FakeClock receiver_clock_{kNow};
  HybridClock sender_versions_{sender_clock_, 1};
  HybridClock receiver_versions_{receiver_clock_, 1};
  ClockGuard guard_{sender_clock_};
  Target target_;
  Service service_{*this};
  std::unique_ptr<grpc::Server> server_;
  Member to_;
  GrpcPeerTransport sender_{"n1", sender_versions_, sender_clock_, guard_};
};

TEST_P(HandOffClocksTest, NothingIsThrownAwayAndNothingLivesLonger) {
  ASSERT_TRUE(HandOff({}).ok()) << "whether some could be taken";
  Pass(absl::Seconds(3));
  EXPECT_EQ(HandOff(One()).value_or(0), 1u);
  ASSERT_EQ(target_.taken.size(), 1u);
  EXPECT_LE(target_.taken[0].ttl, kLife);
  EXPECT_GE(target_.taken[0].ttl, kLife - absl::Seconds(1));
}

// It was stopped for ten seconds: the sender's message, or what tells its clock, lay there so long.
TEST_P(HandOffClocksTest, TheTimeInWhichTheReceiverStoodStillIsTakenOff) {
  ASSERT_TRUE(HandOff({}).ok());
  receiver_clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(HandOff(One()).value_or(0), 1u);
  ASSERT_EQ(target_.taken.size(), 1u);
  EXPECT_LE(target_.taken[0].ttl, kLife - absl::Seconds(10));
}

TEST_P(HandOffClocksTest, WhatCannotSayHowOldItIsIsNotTaken) {
  EXPECT_EQ(HandOff(One()).value_or(9), 0u) << "nobody has told the receiver's clock";
  EXPECT_EQ(HandOff(One()).value_or(9), 1u) << "the answer has";
}

INSTANTIATE_TEST_SUITE_P(Skews, HandOffClocksTest,
                         testing::Values(absl::ZeroDuration(), absl::Minutes(10), absl::Seconds(45),
                                         absl::Seconds(-45)),
                         [](const auto& skew) {
                           const int64_t seconds = absl::ToInt64Seconds(skew.param);
                           return absl::StrCat(seconds < 0 ? "Behind" : "Ahead",
                                               seconds < 0 ? -seconds : seconds);
                         });

}  // namespace
}  // namespace meridian
