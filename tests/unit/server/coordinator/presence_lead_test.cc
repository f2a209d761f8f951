#include "server/coordinator/presence_lead.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Process {
  Process(FakeClock& process_clock, FakeLeaseStore& store, const std::string& name)
      : clock(process_clock), executor(process_clock), view(store.ViewFor(executor)) {
    CoordinatorOptions options;
    options.id = name;
    options.membership.region = "us";
    options.lease.holder = CoordinatorPresence::MakeHolder(name, 1, clock.Now());
    coordinator = std::make_unique<Coordinator>(options, clock, executor, *view);
    lead = std::make_unique<PresenceLead>(*coordinator, *view);
    coordinator->SetNote("here");
    coordinator->Start(name + ":7410");
  }

  // As CoordinatorServer does.
  void Stop() {
    executor.Post(
        [this] { lead->Leave([this] { coordinator->Stop([this] { stopped = true; }); }); });
  }
  std::vector<std::string> Known() const {
    std::vector<std::string> known;
    for (const auto& one : lead->ToJson()) {
      known.push_back(
          absl::StrCat(one["id"].get<std::string>(), " ", one["state"].get<std::string>()));
    }
    return known;
  }

  FakeClock& clock;
  FakeExecutor executor;
  std::unique_ptr<FakeLeaseStore::View> view;
  bool dead = false;
  bool stopped = false;
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<PresenceLead> lead;
};

class PresenceLeadTest : public testing::Test {
 protected:
  PresenceLeadTest() {
    a_ = std::make_unique<Process>(clock_, store_, "a");
    RunFor(absl::Seconds(1));
    b_ = std::make_unique<Process>(clock_, store_, "b");
    RunFor(absl::Seconds(10));
  }

  void RunFor(absl::Duration duration) {
    for (absl::Duration passed; passed < duration; passed += absl::Milliseconds(500)) {
      clock_.Advance(absl::Milliseconds(500));
      for (Process* process : {a_.get(), b_.get()}) {
        if (process == nullptr || process->dead) continue;
        process->executor.RunDue();
        process->lead->Look();
        process->executor.RunDue();
      }
    }
  }
  // Without a word.
  void Die(Process& process) {
    process.view->SetReachable(false);
    process.dead = true;
  }

  FakeClock clock_;
  FakeLeaseStore store_{clock_};
  std::unique_ptr<Process> a_;
  std::unique_ptr<Process> b_;
};

TEST_F(PresenceLeadTest, TheLeaderKnowsWhoIsThereAndAStandbyDoesNot) {
  EXPECT_THAT(a_->Known(), ElementsAre("a LEADING", "b STANDBY"));
  EXPECT_EQ(a_->lead->counts().up, 2u);
  EXPECT_THAT(b_->Known(), IsEmpty());
  EXPECT_EQ(b_->lead->counts().up, 0u);
}

TEST_F(PresenceLeadTest, AStandbyThatDiesIsMissedUntilItIsBack) {
  Die(*b_);
  RunFor(absl::Seconds(9));
  EXPECT_THAT(a_->lead->Missed(), IsEmpty());
  RunFor(absl::Seconds(6));
  EXPECT_THAT(a_->lead->Missed(), ElementsAre("b"));
  EXPECT_THAT(a_->Known(), ElementsAre("a LEADING", "b DOWN"));
  EXPECT_EQ(a_->lead->counts().up, 1u);
  EXPECT_EQ(a_->lead->counts().down, 1u);
  b_ = std::make_unique<Process>(clock_, store_, "b");
  RunFor(absl::Seconds(3));
  EXPECT_THAT(a_->Known(), ElementsAre("a LEADING", "b STANDBY"));
}

TEST_F(PresenceLeadTest, AStandbyThatStopsIsNotMissed) {
  b_->Stop();
  RunFor(absl::Seconds(3));
  EXPECT_TRUE(b_->stopped);
  EXPECT_THAT(a_->Known(), ElementsAre("a LEADING"));
  RunFor(absl::Minutes(1));
  EXPECT_THAT(a_->Known(), ElementsAre("a LEADING"));
}

TEST_F(PresenceLeadTest, ALeaderThatDiesIsMissedByTheNextOne) {
  Die(*a_);
  RunFor(absl::Seconds(20));
  EXPECT_THAT(b_->Known(), ElementsAre("a DOWN", "b LEADING"));
}

TEST_F(PresenceLeadTest, ALeaderThatStopsIsNotMissedByTheNextOne) {
  a_->Stop();
  RunFor(absl::Minutes(1));
  EXPECT_TRUE(a_->stopped);
  EXPECT_THAT(b_->Known(), ElementsAre("b LEADING"));
}

TEST_F(PresenceLeadTest, AGoodbyeThatALeaderHearsInItsLastMomentIsHandedOn) {
  const auto step = [&](Process& process) { process.executor.RunDue(); };
  b_->Stop();
  step(*b_);
  step(*b_);
  clock_.Advance(absl::Seconds(1));
  step(*a_);  // It hears that, and has no time to look.
  step(*a_);
  ASSERT_EQ(a_->coordinator->Notes().begin()->second, LeaderLease::kGoodbye);
  a_->Stop();
  step(*a_);
  step(*a_);
  EXPECT_EQ(*store_.Value("coordinators"), "[]");
}

TEST_F(PresenceLeadTest, WhoIsMissedIsHandedOn) {
  Process c(clock_, store_, "c");
  const auto run = [&](absl::Duration duration) {
    for (absl::Duration passed; passed < duration; passed += absl::Milliseconds(500)) {
      RunFor(absl::Milliseconds(500));
      if (!c.dead) c.executor.RunDue();
    }
  };
  run(absl::Seconds(8));
  ASSERT_EQ(a_->Known().size(), 3u);
  Die(c);
  run(absl::Seconds(15));
  ASSERT_THAT(a_->lead->Missed(), ElementsAre("c"));
  a_->Stop();
  RunFor(absl::Seconds(2));
  EXPECT_THAT(b_->Known(), ElementsAre("b LEADING", "c DOWN"));
}

TEST_F(PresenceLeadTest, AnOutageOfTheStoreIsNobodysDeath) {
  a_->view->SetReachable(false);
  b_->view->SetReachable(false);
  RunFor(absl::Minutes(5));
  EXPECT_THAT(a_->Known(), IsEmpty()) << "it leads no more";
  a_->view->SetReachable(true);
  b_->view->SetReachable(true);
  for (int i = 0; i < 60; ++i) {
    RunFor(absl::Seconds(1));
    EXPECT_THAT(a_->lead->Missed(), IsEmpty());
    EXPECT_THAT(b_->lead->Missed(), IsEmpty());
  }
  EXPECT_EQ(a_->Known().size() + b_->Known().size(), 2u);
}

TEST_F(PresenceLeadTest, AStoreThatIsEmptiedBeforeAWriteOfTheLeaderStopsNothing) {
  Die(*b_);
  bool lost = false;
  for (int i = 0; i < 40; ++i) {  // Until it is missed, which is written.
    store_.Empty();
    RunFor(absl::Milliseconds(500));
    lost |= !a_->coordinator->leader().leading;
  }
  EXPECT_TRUE(lost) << "a write came before the next question for the lease";
  RunFor(absl::Seconds(6));
  EXPECT_THAT(a_->Known(), ElementsAre("a LEADING"));
}

TEST_F(PresenceLeadTest, WhatCannotBeReadIsWrittenAnew) {
  store_.SetValue("coordinators", "\xff nonsense");
  Die(*a_);
  RunFor(absl::Seconds(20));
  EXPECT_THAT(b_->Known(), ElementsAre("b LEADING"));
  EXPECT_NE(*store_.Value("coordinators"), "\xff nonsense");
}

}  // namespace
}  // namespace meridian
