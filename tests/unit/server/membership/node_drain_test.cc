#include "server/membership/node_drain.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_coordinator_transport.h"
#include "tests/support/fake_executor.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class NodeDrainTest : public ::testing::Test {
 protected:
  NodeDrainTest() {
    CoordinatorClientOptions options;
    options.coordinators = {"a:1"};
    options.region = "us";
    Member self;
    self.id = "n1";
    client_ =
        std::make_unique<CoordinatorClient>(options, clock_, executor_, transport_, topology_);
    ticket_ = std::make_unique<RolloutTicket>("n1", *client_, transport_, clock_, executor_);
    drain_ = std::make_unique<NodeDrain>("n1", *client_, *ticket_, topology_, clock_, executor_,
                                         [this] { return unstored_; });
    client_->Start(self);
    executor_.RunDue();
  }
  void Connect() {
    transport_.last().events.on_reply({std::nullopt, absl::Milliseconds(500)});
    executor_.RunDue();
  }
  void Publish(MemberState one, MemberState two) {
    std::vector<Member> members(2);
    members[0].id = "n1";
    members[0].state = one;
    members[1].id = "n2";
    members[1].state = two;
    topology_.Offer(*Topology::Create(++epoch_, "us", members));
  }
  // Returns what calls it off.
  std::function<void()> Drain() {
    std::function<void()> cancel =
        drain_->Start(absl::Seconds(30),
                      [this](const absl::Status& status) { ends_.push_back(status.ToString()); });
    executor_.RunDue();
    return cancel;
  }
  MemberState Told() { return transport_.last().sent.back().member.state; }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeCoordinatorTransport transport_;
  TopologyHolder topology_;
  std::unique_ptr<CoordinatorClient> client_;
  std::unique_ptr<RolloutTicket> ticket_;
  std::unique_ptr<NodeDrain> drain_;
  uint64_t epoch_ = 0;
  std::vector<std::string> ends_;
  size_t unstored_ = 0;
};

TEST_F(NodeDrainTest, ItIsOverWhenTheOthersOwnTheSlots) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  Drain();
  Drain();
  EXPECT_EQ(Told(), MemberState::kDraining);
  EXPECT_THAT(ends_, IsEmpty());
  Publish(MemberState::kDraining, MemberState::kServing);
  EXPECT_THAT(ends_, ElementsAre("OK", "OK"));
  executor_.RunFor(absl::Minutes(1));
  EXPECT_EQ(Told(), MemberState::kDraining);
  EXPECT_THAT(ends_, ElementsAre("OK", "OK")) << "told twice";
}

TEST_F(NodeDrainTest, WhoGoesBeforeItsTurnChangesNothing) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.ticket = TicketAnswer{false, absl::Milliseconds(100), "n2 is being restarted"};
  const std::function<void()> cancel = Drain();
  EXPECT_THAT(ends_, IsEmpty());
  cancel();
  cancel();
  EXPECT_THAT(ends_, ElementsAre(StartsWith("CANCELLED")));
  transport_.ticket = TicketAnswer{true, {}, ""};
  executor_.RunFor(absl::Minutes(1));
  EXPECT_NE(Told(), MemberState::kDraining) << "it drains although nobody wants it to";
}

// A ticket that it took would keep others waiting for a node that goes nowhere.
TEST_F(NodeDrainTest, WhatWasCalledOffAsksForNoTicketAnyMore) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.ticket = TicketAnswer{false, absl::Milliseconds(100), "n2 is being restarted"};
  const std::function<void()> cancel = Drain();
  cancel();
  const size_t asked = transport_.tickets_asked.size();
  transport_.ticket = TicketAnswer{true, {}, ""};
  executor_.RunFor(absl::Minutes(1));
  EXPECT_EQ(transport_.tickets_asked.size(), asked);
  EXPECT_THAT(ends_, ElementsAre(StartsWith("CANCELLED")));
}

TEST_F(NodeDrainTest, ATicketThatComesTooLateIsGivenBackAtOnce) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.holds_tickets = true;
  const std::function<void()> cancel = Drain();
  ASSERT_EQ(transport_.tickets_held.size(), 1u);
  cancel();
  EXPECT_THAT(transport_.tickets_given_back, IsEmpty());
  transport_.tickets_held[0](TicketAnswer{true, {}, ""});
  EXPECT_THAT(transport_.tickets_given_back, ElementsAre("a:1 n1"));
  Drain();
  executor_.RunFor(absl::Milliseconds(500));
  EXPECT_EQ(transport_.tickets_asked.size(), 1u) << "what it asks could arrive before";
  transport_.AnswerGivesBack();
  executor_.RunFor(absl::Milliseconds(500));
  EXPECT_EQ(transport_.tickets_asked.size(), 2u);
}

TEST_F(NodeDrainTest, ATicketWhoseAnswerWasLostIsGivenBackToo) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.ticket = absl::DeadlineExceededError("late");
  const std::function<void()> cancel = Drain();
  cancel();
  executor_.RunFor(absl::Seconds(1));
  EXPECT_THAT(transport_.tickets_given_back, ElementsAre("a:1 n1"));
}

TEST_F(NodeDrainTest, WhoWasRefusedHasNothingToGiveBack) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.ticket = TicketAnswer{false, absl::Milliseconds(100), "n2 is being restarted"};
  const std::function<void()> cancel = Drain();
  cancel();
  executor_.RunFor(absl::Seconds(1));
  EXPECT_THAT(transport_.tickets_given_back, IsEmpty());
}

TEST_F(NodeDrainTest, TheTicketStaysWhileAnotherDrainOfTheNodeHasIt) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.holds_tickets = true;
  Drain();
  const std::function<void()> cancel = Drain();
  ASSERT_EQ(transport_.tickets_held.size(), 2u);
  transport_.tickets_held[0](TicketAnswer{true, {}, ""});
  executor_.RunDue();
  EXPECT_EQ(Told(), MemberState::kDraining);
  cancel();
  transport_.tickets_held[1](TicketAnswer{true, {}, ""});
  EXPECT_THAT(transport_.tickets_given_back, IsEmpty());
}

TEST_F(NodeDrainTest, ADrainThatComesToNothingGivesItsTicketBack) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.holds_tickets = true;
  Drain();
  unstored_ = 3;
  transport_.tickets_held[0](TicketAnswer{true, {}, ""});
  EXPECT_THAT(ends_, ElementsAre(StartsWith("UNAVAILABLE: HINTS_HELD")));
  EXPECT_THAT(transport_.tickets_given_back, ElementsAre("a:1 n1"));
}

TEST_F(NodeDrainTest, ANodeThatEndsAsksForNoTicketForTheDrain) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.ticket = TicketAnswer{false, absl::Milliseconds(100), "n2 is being restarted"};
  Drain();
  drain_->Abort();
  const size_t asked = transport_.tickets_asked.size();
  executor_.RunFor(absl::Minutes(1));
  EXPECT_EQ(transport_.tickets_asked.size(), asked);
}

TEST_F(NodeDrainTest, WhoGoesInItsTurnDoesNotCallItOff) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  const std::function<void()> cancel = Drain();
  cancel();
  EXPECT_EQ(Told(), MemberState::kDraining);
  Publish(MemberState::kDraining, MemberState::kServing);
  EXPECT_THAT(ends_, ElementsAre("OK"));
}

TEST_F(NodeDrainTest, WhoOwnsNothingIsDrainedAtOnce) {
  Connect();
  Publish(MemberState::kJoining, MemberState::kServing);
  Drain();
  EXPECT_THAT(ends_, ElementsAre("OK"));
}

TEST_F(NodeDrainTest, ItServesOnWhenNobodyTakesTheSlotsInTime) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  Drain();
  for (int second = 0; second < 29; ++second) {
    executor_.RunFor(absl::Seconds(1));
    Connect();  // It is heard all the time.
  }
  EXPECT_THAT(ends_, IsEmpty());
  executor_.RunFor(absl::Milliseconds(1100));
  EXPECT_THAT(ends_, ElementsAre(StartsWith("DEADLINE_EXCEEDED: NOT_DRAINED: nobody has taken the slots over")));
  EXPECT_EQ(Told(), MemberState::kServing);
  EXPECT_THAT(transport_.tickets_given_back, ElementsAre("a:1 n1"));
}

TEST_F(NodeDrainTest, ItWaitsForItsTurn) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.ticket = TicketAnswer{false, absl::Milliseconds(250), "n2 drains"};
  Drain();
  executor_.RunFor(absl::Seconds(1));
  EXPECT_NEAR(transport_.tickets_asked.size(), 5, 1);
  EXPECT_EQ(transport_.tickets_asked[0], "a:1 n1");
  EXPECT_NE(Told(), MemberState::kDraining);
  transport_.ticket = absl::UnavailableError("a new leader is chosen");
  executor_.RunFor(absl::Milliseconds(300));
  EXPECT_NE(Told(), MemberState::kDraining);
  transport_.ticket = TicketAnswer{true, {}, ""};
  executor_.RunFor(absl::Milliseconds(300));
  EXPECT_EQ(Told(), MemberState::kDraining);
  Publish(MemberState::kDraining, MemberState::kServing);
  EXPECT_THAT(ends_, ElementsAre("OK"));
}

// A coordinator that goes lets nobody go who was told to wait.
TEST_F(NodeDrainTest, WhoWaitsGoesOnWaitingWhenTheCoordinatorGoes) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.ticket = TicketAnswer{false, absl::Milliseconds(250), "n2 drains"};
  Drain();
  transport_.ticket = TicketAnswer{true, {}, ""};
  transport_.last().events.on_end({"UNAVAILABLE", "gone", ""});
  executor_.RunDue();
  ASSERT_FALSE(client_->status().connected);
  executor_.RunFor(absl::Seconds(29));
  EXPECT_THAT(ends_, IsEmpty());
  executor_.RunFor(absl::Seconds(2));
  EXPECT_THAT(ends_, ElementsAre("DEADLINE_EXCEEDED: NOT_DRAINED: one node restarts at a time: no coordinator "
                                 "answers"));
}

TEST_F(NodeDrainTest, WhoseTurnComesWhenNobodyElseIsLeftStays) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.ticket = TicketAnswer{false, absl::Milliseconds(250), "n2 drains"};
  Drain();
  Publish(MemberState::kServing, MemberState::kDraining);
  transport_.ticket = TicketAnswer{true, {}, ""};
  executor_.RunFor(absl::Milliseconds(300));
  EXPECT_THAT(ends_, ElementsAre(StartsWith("FAILED_PRECONDITION: LAST_NODE: ")));
  EXPECT_NE(Told(), MemberState::kDraining);
}

TEST_F(NodeDrainTest, ATurnThatComesAtTheEndLeavesTimeForTheSlots) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.ticket = TicketAnswer{false, absl::Milliseconds(250), "n2 drains"};
  drain_->Start(absl::Milliseconds(300),
                [this](const absl::Status& status) { ends_.push_back(status.ToString()); });
  transport_.ticket = TicketAnswer{true, {}, ""};
  executor_.RunFor(absl::Milliseconds(400));
  EXPECT_EQ(Told(), MemberState::kDraining);
  EXPECT_THAT(ends_, IsEmpty());
  Publish(MemberState::kDraining, MemberState::kServing);
  EXPECT_THAT(ends_, ElementsAre("OK"));
}

TEST_F(NodeDrainTest, ANodeThatEndsTellsWhoWaits) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  Drain();
  drain_->Abort();
  EXPECT_THAT(ends_, ElementsAre(StartsWith("UNAVAILABLE: SHUTTING_DOWN: ")));
  Drain();
  EXPECT_THAT(ends_.back(), StartsWith("UNAVAILABLE: SHUTTING_DOWN: "));
  Publish(MemberState::kDraining, MemberState::kServing);
  executor_.RunFor(absl::Minutes(1));
  EXPECT_EQ(Told(), MemberState::kDraining) << "it leaves by itself";
  EXPECT_EQ(ends_.size(), 2u);
}

TEST_F(NodeDrainTest, ATurnThatNeverComesChangesNothing) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.ticket = TicketAnswer{false, absl::Seconds(1), "n2 drains"};
  drain_->Start(absl::Seconds(1),
                [this](const absl::Status& status) { ends_.push_back(status.ToString()); });
  executor_.RunFor(absl::Milliseconds(1100));
  EXPECT_THAT(ends_, ElementsAre("DEADLINE_EXCEEDED: NOT_DRAINED: one node restarts at a time: n2 drains"));
  EXPECT_NE(Told(), MemberState::kDraining);
}

TEST_F(NodeDrainTest, ACoordinatorThatDoesNotPaceHoldsUpNobody) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.ticket = absl::UnimplementedError("older");
  Drain();
  EXPECT_EQ(Told(), MemberState::kDraining);
}

TEST_F(NodeDrainTest, ItWaitsUntilTheStoreHasWhatItAloneHas) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  unstored_ = 3;
  Drain();
  executor_.RunFor(absl::Seconds(1));
  EXPECT_NE(Told(), MemberState::kDraining);
  EXPECT_THAT(transport_.tickets_asked, IsEmpty()) << "others may go meanwhile";
  unstored_ = 0;
  executor_.RunFor(absl::Milliseconds(200));
  EXPECT_EQ(Told(), MemberState::kDraining);
  Publish(MemberState::kDraining, MemberState::kServing);
  EXPECT_THAT(ends_, ElementsAre("OK"));
}

TEST_F(NodeDrainTest, ItServesOnWhenTheStoreDoesNotTakeItInTime) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  unstored_ = 3;
  Drain();
  executor_.RunFor(absl::Seconds(29));
  EXPECT_THAT(ends_, IsEmpty());
  executor_.RunFor(absl::Seconds(2));
  EXPECT_THAT(ends_, ElementsAre(StartsWith("UNAVAILABLE: HINTS_HELD: 3 acknowledged writes")));
  unstored_ = 0;
  executor_.RunFor(absl::Minutes(1));
  EXPECT_NE(Told(), MemberState::kDraining);
}

TEST_F(NodeDrainTest, WhatIsAcceptedWhileItWaitsForItsTurnKeepsItHere) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  transport_.ticket = TicketAnswer{false, absl::Milliseconds(250), "n2 drains"};
  Drain();
  unstored_ = 1;
  transport_.ticket = TicketAnswer{true, {}, ""};
  executor_.RunFor(absl::Milliseconds(300));
  EXPECT_THAT(ends_, ElementsAre(StartsWith("UNAVAILABLE: HINTS_HELD: 1 ")));
  EXPECT_NE(Told(), MemberState::kDraining);
}

TEST_F(NodeDrainTest, WhoGoesWhileItWaitsForTheStoreChangesNothing) {
  Connect();
  Publish(MemberState::kServing, MemberState::kServing);
  unstored_ = 1;
  const std::function<void()> cancel = Drain();
  cancel();
  EXPECT_THAT(ends_, ElementsAre(StartsWith("CANCELLED")));
  unstored_ = 0;
  executor_.RunFor(absl::Minutes(1));
  EXPECT_NE(Told(), MemberState::kDraining);
}

TEST_F(NodeDrainTest, NobodyElseOrNoCoordinatorChangesNothing) {
  Publish(MemberState::kServing, MemberState::kServing);
  Drain();
  EXPECT_THAT(ends_, ElementsAre(StartsWith("UNAVAILABLE: NO_COORDINATOR: ")));
  Connect();
  Publish(MemberState::kServing, MemberState::kJoining);
  Drain();
  EXPECT_THAT(ends_.back(), StartsWith("FAILED_PRECONDITION: LAST_NODE: "));
  EXPECT_NE(Told(), MemberState::kDraining);
}

}  // namespace
}  // namespace meridian
