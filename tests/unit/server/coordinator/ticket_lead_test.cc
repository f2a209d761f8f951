// TicketLead: who may restart, whoever leads.

#include "server/coordinator/ticket_lead.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"

namespace meridian {
namespace {

// A coordinator process.
struct Process {
  Process(FakeClock& clock, FakeLeaseStore& store, const std::string& name)
      : executor(clock), view(store.ViewFor(executor)) {
    CoordinatorOptions options;
    options.id = name;
    options.membership.region = "us";
    options.lease.holder = name;
    coordinator = std::make_unique<Coordinator>(options, clock, executor, *view);
    tickets = std::make_unique<TicketLead>(absl::Seconds(30), *coordinator, *view);
    coordinator->Start(name + ":7410");
  }
  // Why not; empty: granted.
  std::string Ask(const std::string& node) {
    std::string answer = "no answer";
    tickets->Ask(node, [&](const std::string& why) { answer = why; });
    executor.RunDue();
    return answer;
  }

  FakeExecutor executor;
  std::unique_ptr<FakeLeaseStore::View> view;
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<TicketLead> tickets;
};

class TicketLeadTest : public ::testing::Test {
 protected:
  // The nodes beat at the process, which leads or is about to.
  void RunFor(absl::Duration duration, Process& process) {
    for (absl::Duration passed; passed < duration; passed += absl::Milliseconds(50)) {
      clock_.Advance(absl::Milliseconds(50));
      process.executor.RunDue();
      if (!process.coordinator->leader().leading) continue;
      for (const std::string& id : nodes_) Beat(id, *process.coordinator);
    }
  }
  void Beat(const std::string& id, Coordinator& coordinator) {
    NodeReport report;
    report.member.id = id;
    report.member.data_address = "127.0.0.1:7400";
    report.member.peer_address = "127.0.0.1:7401";
    report.member.incarnation = 9;
    report.member.state = MemberState::kServing;
    report.epoch = coordinator.topology()->epoch();
    report.warmth = 1;
    absl::Status status = coordinator.Heartbeat(report);
    if (absl::IsNotFound(status)) status = coordinator.Register(report, ++session_);
    EXPECT_TRUE(status.ok()) << status;
  }

  FakeClock clock_;
  FakeLeaseStore store_{clock_};
  std::vector<std::string> nodes_ = {"n1", "n2", "n3"};
  uint64_t session_ = 0;
};

// Before the leader has heard of it by its next question for the lease.
TEST_F(TicketLeadTest, AStoreThatIsEmptiedBeforeAWriteOfALeaderStopsNothing) {
  Process process(clock_, store_, "c1");
  RunFor(absl::Seconds(2), process);
  ASSERT_TRUE(process.coordinator->leader().leading);
  store_.Empty();
  EXPECT_NE(process.Ask("n1"), "") << "it could not be stored";
  EXPECT_FALSE(process.coordinator->leader().leading);
  RunFor(absl::Seconds(20), process);  // The nodes have joined again: this store keeps nothing.
  ASSERT_TRUE(process.coordinator->leader().leading);
  EXPECT_EQ(process.coordinator->leader().token, 2u);
  EXPECT_EQ(process.Ask("n1"), "");
}

TEST_F(TicketLeadTest, TheNextLeaderKnowsWhoIsAway) {
  Process first(clock_, store_, "c1");
  RunFor(absl::Seconds(2), first);
  ASSERT_EQ(first.Ask("n1"), "");
  nodes_ = {"n2", "n3"};
  RunFor(absl::Seconds(10), first);
  ASSERT_EQ(first.coordinator->topology()->members().size(), 2u) << "n1 is away";
  ASSERT_EQ(first.Ask("n2"), "n1 is being restarted");

  Process second(clock_, store_, "c2");  // The first one is dead: nothing of it runs any more.
  RunFor(absl::Seconds(5), second);
  ASSERT_TRUE(second.coordinator->leader().leading);
  EXPECT_EQ(second.Ask("n2"), "n1 is being restarted");
  RunFor(absl::Seconds(31), second);
  EXPECT_EQ(second.Ask("n2"), "") << "it does not come back";
}

TEST_F(TicketLeadTest, WhatIsNotStoredIsNotGiven) {
  Process first(clock_, store_, "c1");
  RunFor(absl::Seconds(2), first);
  first.view->FailPuts(1);
  EXPECT_EQ(first.Ask("n1"), "the ticket could not be stored yet");
  EXPECT_EQ(first.Ask("n2"), "n1 is being restarted") << "it is promised";
  RunFor(absl::Seconds(1), first);
  EXPECT_EQ(first.Ask("n1"), "");
}

TEST_F(TicketLeadTest, TheNextLeaderKnowsWhatWasGivenBack) {
  Process first(clock_, store_, "c1");
  RunFor(absl::Seconds(2), first);
  ASSERT_EQ(first.Ask("n1"), "");
  int done = 0;
  const auto give_back = [&] {
    first.tickets->GiveBack("n1", [&] { ++done; });
    first.executor.RunDue();
  };
  give_back();
  give_back();
  EXPECT_EQ(done, 2);
  nodes_ = {"n2", "n3"};
  Process second(clock_, store_, "c2");  // The first one is dead: nothing of it runs any more.
  RunFor(absl::Seconds(15), second);
  ASSERT_TRUE(second.coordinator->leader().leading);
  EXPECT_EQ(second.Ask("n2"), "") << "n1 went without a ticket";
}

TEST_F(TicketLeadTest, ALeaderThatDoesNotKnowYetGivesNone) {
  Process first(clock_, store_, "c1");
  bool done = false;
  first.tickets->GiveBack("n1", [&] { done = true; });
  EXPECT_TRUE(done) << "nothing to give";
  EXPECT_EQ(first.Ask("n1"), "what the leader before has granted is not read yet");
}

}  // namespace
}  // namespace meridian
