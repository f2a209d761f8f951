#include "server/membership/coordinator_client.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_coordinator_transport.h"
#include "tests/support/fake_executor.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Topology Make(uint64_t epoch, const std::string& region = "us") {
  Member member;
  member.id = "n1";
  return *Topology::Create(epoch, region, {member});
}

class CoordinatorClientTest : public ::testing::Test {
 protected:
  CoordinatorClientTest() {
    CoordinatorClientOptions options;
    options.coordinators = {"a:1", "b:2"};
    options.region = "us";
    Member self;
    self.id = "n1";
    self.state = MemberState::kJoining;
    options.backoff.jitter = 0;
    options.hot_keys = [this] { return hot_keys_; };
    options.accesses = &accesses_;
    options.planned = [this](const TopologyHolder::Snapshot& planned) {
      planned_.push_back(planned->epoch());
      current_.push_back(topology_.Get()->epoch());
    };
    client_ =
        std::make_unique<CoordinatorClient>(options, clock_, executor_, transport_, topology_);
    client_->Start(self);
    executor_.RunDue();
  }

  void Answer(std::optional<Topology> topology = std::nullopt,
              absl::Duration interval = absl::Milliseconds(500),
              std::optional<Topology> planned = std::nullopt) {
    transport_.last().events.on_reply({std::move(topology), interval, std::move(planned)});
    executor_.RunDue();
  }
  void End(const std::string& reason, const std::string& leader = "") {
    transport_.last().events.on_end({reason, "why", leader});
    executor_.RunDue();
  }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeCoordinatorTransport transport_;
  TopologyHolder topology_;
  AccessSampler accesses_{1};
  std::vector<HotKey> hot_keys_ = {{"task", "k", 7}};
  std::vector<uint64_t> planned_;  // Epochs, and that which was in use when they were told.
  std::vector<uint64_t> current_;
  std::unique_ptr<CoordinatorClient> client_;
};

TEST_F(CoordinatorClientTest, RegistersAndBeatsAtTheCoordinatorsInterval) {
  ASSERT_THAT(transport_.addresses(), ElementsAre("a:1"));
  ASSERT_EQ(transport_.last().sent.size(), 1u);
  const NodeHeartbeat first = transport_.last().sent[0];
  EXPECT_EQ(first.member.id, "n1");
  EXPECT_EQ(first.region, "us");
  EXPECT_EQ(first.now, clock_.Now());
  EXPECT_FALSE(client_->status().connected);
  Answer(std::nullopt, absl::Milliseconds(100));
  EXPECT_TRUE(client_->status().connected);
  EXPECT_EQ(client_->status().coordinator, "a:1");
  executor_.RunFor(absl::Milliseconds(500));  // The first beat was planned before the answer.
  const size_t sent = transport_.last().sent.size();
  Answer(std::nullopt, absl::Milliseconds(100));
  executor_.RunFor(absl::Seconds(1));
  EXPECT_NEAR(transport_.last().sent.size() - sent, 10, 1);
}

TEST_F(CoordinatorClientTest, OffersTopologiesAndReportsTheEpochAtOnce) {
  Answer(Make(7));
  EXPECT_EQ(topology_.Get()->epoch(), 7u);
  EXPECT_EQ(transport_.last().sent.back().epoch, 7u);
  Answer(Make(5));  // A coordinator that lost its memory does not take us back.
  EXPECT_EQ(topology_.Get()->epoch(), 7u);
}

TEST_F(CoordinatorClientTest, RefusesATopologyOfAnotherRegion) {
  Answer(Make(7, "eu"));
  EXPECT_EQ(topology_.Get()->epoch(), 0u);
}

TEST_F(CoordinatorClientTest, FollowsTheHintToTheLeader) {
  End("NOT_LEADER", "c:3");
  EXPECT_THAT(transport_.addresses(), ElementsAre("a:1", "c:3"));
  EXPECT_FALSE(transport_.opened[0]->open);
  Answer();
  EXPECT_EQ(client_->status().coordinator, "c:3");
}

TEST_F(CoordinatorClientTest, TwoStandbysThatNameEachOtherAreNotFollowedForEver) {
  for (int i = 0; i < 10; ++i) {
    End("NOT_LEADER", transport_.last().address == "a:1" ? "b:2" : "a:1");
  }
  EXPECT_LE(transport_.opened.size(), 10u);
  executor_.RunFor(absl::Seconds(2));
  EXPECT_TRUE(transport_.last().open);
}

TEST_F(CoordinatorClientTest, TriesTheWholeListAndThenBacksOff) {
  topology_.Offer(Make(3));
  End("UNAVAILABLE");
  EXPECT_THAT(transport_.addresses(), ElementsAre("a:1", "b:2"));
  End("UNAVAILABLE");
  EXPECT_EQ(transport_.opened.size(), 2u);
  EXPECT_THAT(client_->status().problem, HasSubstr("UNAVAILABLE"));
  executor_.RunFor(absl::Milliseconds(100));
  EXPECT_THAT(transport_.addresses(), ElementsAre("a:1", "b:2", "a:1"));
  End("UNAVAILABLE");
  End("UNAVAILABLE");
  executor_.RunFor(absl::Milliseconds(199));
  EXPECT_EQ(transport_.opened.size(), 4u);
  executor_.RunFor(absl::Milliseconds(1));
  EXPECT_EQ(transport_.opened.size(), 5u);
  EXPECT_EQ(topology_.Get()->epoch(), 3u);  // The last one stays.
}

TEST_F(CoordinatorClientTest, ACoordinatorThatFallsSilentIsLeft) {
  Answer();
  executor_.RunFor(absl::Seconds(2));
  EXPECT_THAT(transport_.addresses(), ElementsAre("a:1", "b:2"));
  EXPECT_FALSE(transport_.opened[0]->open);
  // What the old stream still says is not heard.
  transport_.opened[0]->events.on_reply({Make(9), absl::ZeroDuration()});
  transport_.opened[0]->events.on_end({"CANCELLED", "", ""});
  executor_.RunDue();
  EXPECT_EQ(topology_.Get()->epoch(), 0u);
  EXPECT_EQ(transport_.opened.size(), 2u);
}

TEST_F(CoordinatorClientTest, HotKeysAreToldWhenTheNodeIsTakenAndThenEveryFiveSeconds) {
  EXPECT_FALSE(transport_.last().sent[0].hot_keys.has_value()) << "it may be a standby";
  Answer();
  for (int i = 0; i < 100; ++i) {
    executor_.RunFor(absl::Milliseconds(100));
    Answer();
  }
  size_t told = 0;
  for (const NodeHeartbeat& heartbeat : transport_.last().sent) {
    if (!heartbeat.hot_keys.has_value()) continue;
    ++told;
    ASSERT_EQ(heartbeat.hot_keys->size(), 1u);
    EXPECT_EQ(heartbeat.hot_keys->front().key, "k");
  }
  EXPECT_EQ(told, 2u) << "of ten seconds";
  // The next leader knows nothing: it is told at once, and also that there are none.
  hot_keys_.clear();
  End("NOT_LEADER", "c:3");
  Answer();
  executor_.RunFor(absl::Milliseconds(500));
  ASSERT_EQ(transport_.last().address, "c:3");
  ASSERT_TRUE(transport_.last().sent.back().hot_keys.has_value());
  EXPECT_TRUE(transport_.last().sent.back().hot_keys->empty());
}

TEST_F(CoordinatorClientTest, WhatCallersAskForIsToldOnceWithItsTime) {
  Answer();
  const std::string_view key = "k";
  const absl::Duration asked = clock_.Monotonic();
  accesses_.Add(7, "task", {&key, 1}, asked);
  for (int i = 0; i < 50; ++i) {
    executor_.RunFor(absl::Milliseconds(100));
    Answer();
  }
  size_t told = 0;
  for (const NodeHeartbeat& heartbeat : transport_.last().sent) {
    if (heartbeat.accesses.empty()) continue;
    ++told;
    EXPECT_EQ(heartbeat.accesses[0].key, "k");
    EXPECT_EQ(heartbeat.accesses[0].at, asked);
    EXPECT_GE(heartbeat.sent_at, asked);
    EXPECT_EQ(heartbeat.callers_per_access_sample, 1u);
  }
  EXPECT_EQ(told, 1u);
}

TEST_F(CoordinatorClientTest, WhatIsPlannedIsToldOnceAndAnsweredWhenItIsHandedOver) {
  Answer(Make(4), absl::Milliseconds(500), Make(5));
  Answer(std::nullopt, absl::Milliseconds(500), Make(5));
  EXPECT_THAT(planned_, ElementsAre(5));
  EXPECT_THAT(current_, ElementsAre(4)) << "what is comes before what comes next";
  EXPECT_EQ(transport_.last().sent.back().handed_off_epoch, 0u);
  client_->SetHandedOff(5);
  executor_.RunDue();
  EXPECT_EQ(transport_.last().sent.back().handed_off_epoch, 5u);
  // Another plan: an answer to the last one is late.
  Answer(std::nullopt, absl::Milliseconds(500), Make(6));
  const size_t sent = transport_.last().sent.size();
  client_->SetHandedOff(5);
  executor_.RunDue();
  EXPECT_EQ(transport_.last().sent.size(), sent);
  client_->SetHandedOff(6);
  executor_.RunDue();
  EXPECT_EQ(transport_.last().sent.back().handed_off_epoch, 6u);
  // The next leader plans for itself, perhaps with the same number.
  End("NOT_LEADER", "c:3");
  EXPECT_EQ(transport_.last().sent.back().handed_off_epoch, 0u);
  Answer(std::nullopt, absl::Milliseconds(500), Make(6));
  EXPECT_THAT(planned_, ElementsAre(5, 6, 6));
}

TEST_F(CoordinatorClientTest, DrainingIsSaidAtOnceAndStopEndsTheStream) {
  Answer();
  client_->SetState(MemberState::kDraining);
  executor_.RunDue();
  EXPECT_EQ(transport_.last().sent.back().member.state, MemberState::kDraining);
  bool done = false;
  client_->Stop([&] { done = true; });
  executor_.RunDue();
  EXPECT_TRUE(done);
  EXPECT_FALSE(transport_.last().open);
  executor_.RunFor(absl::Seconds(10));
  EXPECT_EQ(transport_.opened.size(), 1u);
}

}  // namespace
}  // namespace meridian
