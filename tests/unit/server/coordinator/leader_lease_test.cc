#include "server/coordinator/leader_lease.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"
#include "tests/support/skewed_clock.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// One coordinator's lease with an executor of its own, so that it can be paused alone.
struct Candidate {
  Candidate(FakeClock& clock, FakeLeaseStore& store, const std::string& name)
      : wall(clock), executor(clock), view(store.ViewFor(executor)) {
    LeaderLeaseOptions options;
    options.holder = name;
    lease = std::make_unique<LeaderLease>(
        options, wall, executor, *view,
        LeaderLease::Listener{
            [this](uint64_t token) { events.push_back("elected " + std::to_string(token)); },
            [this](const std::string& why) { events.push_back("lost"); },
            [this] { events.push_back("data lost"); }});
    lease->Start(name + ":7410", name + ":7413");
  }

  SkewedClock wall;
  FakeExecutor executor;
  std::unique_ptr<FakeLeaseStore::View> view;
  std::unique_ptr<LeaderLease> lease;
  std::vector<std::string> events;
  bool paused = false;
};

class LeaderLeaseTest : public ::testing::Test {
 protected:
  // Time passes in steps of 50 ms; never do two lead.
  void RunFor(absl::Duration duration) {
    for (absl::Duration passed; passed < duration; passed += absl::Milliseconds(50)) {
      clock_.Advance(absl::Milliseconds(50));
      for (Candidate* candidate : {&a_, &b_}) {
        if (!candidate->paused) candidate->executor.RunDue();
      }
      ASSERT_FALSE(a_.lease->is_leader() && b_.lease->is_leader());
    }
  }

  // The nodes beat at whoever leads.
  void Beat(absl::Duration their_offset = absl::ZeroDuration()) {
    for (Candidate* candidate : {&a_, &b_}) {
      for (const char* node : {"n1", "n2", "n3"}) {
        if (!candidate->lease->is_leader()) break;
        candidate->lease->NodeSaid(node, clock_.Now() + their_offset);
      }
    }
  }

  FakeClock clock_;
  FakeLeaseStore store_{clock_};
  Candidate a_{clock_, store_, "a"};
  Candidate b_{clock_, store_, "b"};
};

TEST_F(LeaderLeaseTest, OneIsElectedAndTheOtherKnowsItsAddress) {
  RunFor(absl::Seconds(10));
  EXPECT_TRUE(a_.lease->is_leader());
  EXPECT_THAT(a_.events, ElementsAre("elected 1"));
  EXPECT_THAT(b_.events, ElementsAre());
  EXPECT_EQ(b_.lease->view().address, "a:7410");
  EXPECT_EQ(b_.lease->view().http_address, "a:7413");
  EXPECT_EQ(b_.lease->view().token, 1u);
}

TEST_F(LeaderLeaseTest, AStoreThatIsEmptiedLeavesTheLeaderWhereItIs) {
  RunFor(absl::Seconds(10));
  for (int i = 0; i < 20; ++i) {
    store_.Empty();
    RunFor(absl::Milliseconds(50 * i));  // Whoever asks first.
  }
  RunFor(absl::Seconds(10));
  EXPECT_TRUE(a_.lease->is_leader());
  EXPECT_EQ(a_.lease->view().token, 1u);
  EXPECT_EQ(a_.events[0], "elected 1");
  EXPECT_EQ(std::count(a_.events.begin(), a_.events.end(), "lost"), 0);
  EXPECT_GT(std::count(a_.events.begin(), a_.events.end(), "data lost"), 5);
  EXPECT_THAT(b_.events, ElementsAre());
}

TEST_F(LeaderLeaseTest, AStoreThatWasAwayAndComesBackEmptyIsOfWhoLedLast) {
  RunFor(absl::Seconds(10));
  for (Candidate* candidate : {&a_, &b_}) candidate->view->SetReachable(false);
  RunFor(absl::Seconds(10));
  ASSERT_FALSE(a_.lease->is_leader());
  store_.Empty();
  b_.view->SetReachable(true);  // The other one reaches it first.
  RunFor(absl::Seconds(1));
  a_.view->SetReachable(true);
  RunFor(absl::Seconds(5));
  EXPECT_TRUE(a_.lease->is_leader());
  EXPECT_THAT(a_.events, ElementsAre("elected 1", "lost", "data lost", "elected 2"));
}

TEST_F(LeaderLeaseTest, WhenWhoLedLastDoesNotComeBackToAnEmptyStoreTheOtherLeads) {
  RunFor(absl::Seconds(10));
  a_.paused = true;
  store_.Empty();
  RunFor(absl::Seconds(2));
  EXPECT_FALSE(b_.lease->is_leader());
  RunFor(absl::Seconds(3));
  EXPECT_TRUE(b_.lease->is_leader());
  EXPECT_EQ(b_.lease->view().token, 2u) << "never one that was given before";
}

// The store comes and goes without its data, and is reached by the other one alone at first.
TEST_F(LeaderLeaseTest, AStoreThatIsEmptiedAgainAndAgainIsOfWhoLedLast) {
  RunFor(absl::Seconds(10));
  a_.view->SetReachable(false);
  b_.view->SetReachable(false);
  RunFor(absl::Seconds(4));
  store_.Empty();
  b_.view->SetReachable(true);
  RunFor(absl::Milliseconds(500));
  b_.view->SetReachable(false);
  RunFor(absl::Seconds(4));
  store_.Empty();
  b_.view->SetReachable(true);
  RunFor(absl::Seconds(1));
  EXPECT_FALSE(b_.lease->is_leader());
  a_.view->SetReachable(true);
  RunFor(absl::Seconds(4));
  EXPECT_TRUE(a_.lease->is_leader());
}

TEST_F(LeaderLeaseTest, WhoStartsWhileTheStoreIsAwayLeavesAnEmptyOneToWhoKnowsWhatItHad) {
  b_.paused = true;
  RunFor(absl::Seconds(10));
  a_.view->SetReachable(false);
  Candidate late{clock_, store_, "late"};
  late.view->SetReachable(false);
  const auto run = [&](absl::Duration duration) {
    for (absl::Duration passed; passed < duration; passed += absl::Milliseconds(50)) {
      RunFor(absl::Milliseconds(50));
      late.executor.RunDue();
    }
  };
  run(absl::Seconds(5));
  store_.Empty();
  late.view->SetReachable(true);
  run(absl::Seconds(1));
  EXPECT_FALSE(late.lease->is_leader());
  a_.view->SetReachable(true);
  run(absl::Seconds(5));
  EXPECT_TRUE(a_.lease->is_leader());
  EXPECT_THAT(a_.events, ElementsAre("elected 1", "lost", "data lost", "elected 2"));
  EXPECT_EQ(late.lease->view().address, "a:7410");
}

TEST_F(LeaderLeaseTest, WhoStartsWhileTheStoreIsAwayLeadsWhenNobodyElseDoes) {
  a_.view->SetReachable(false);
  b_.paused = true;
  RunFor(absl::Seconds(2));
  a_.view->SetReachable(true);
  RunFor(absl::Seconds(5));
  EXPECT_TRUE(a_.lease->is_leader());
}

TEST_F(LeaderLeaseTest, AnAnswerToAQuestionOfBeforeTheLeaseWasGivenBackMakesNoLeader) {
  RunFor(absl::Milliseconds(100));
  ASSERT_TRUE(a_.lease->is_leader());
  bool renounced = false;
  // Behind the question of that moment, and before its answer.
  a_.executor.PostAfter(absl::Milliseconds(950), [&] {
    a_.wall.SetOffset(absl::Minutes(2));
    for (const char* node : {"n1", "n2", "n3"}) a_.lease->NodeSaid(node, clock_.Now());
    renounced = !a_.lease->is_leader();
    a_.wall.SetOffset(absl::ZeroDuration());
  });
  clock_.Advance(absl::Milliseconds(950));
  a_.executor.RunDue();
  EXPECT_TRUE(renounced);
  EXPECT_FALSE(a_.lease->is_leader());
}

TEST_F(LeaderLeaseTest, WhoeverIsCutOffKnowsNoAddressOfALeader) {
  RunFor(absl::Seconds(2));
  ASSERT_EQ(b_.lease->view().http_address, "a:7413");
  b_.view->SetReachable(false);
  RunFor(absl::Seconds(2));
  EXPECT_EQ(b_.lease->view().address, "");
  EXPECT_EQ(b_.lease->view().http_address, "");
  a_.view->SetReachable(false);
  RunFor(absl::Seconds(3));
  EXPECT_EQ(a_.lease->view().http_address, "") << "nor its own, when it leads no more";
}

TEST_F(LeaderLeaseTest, TheLeaderHearsTheNoteOfTheOtherForAsLongAsThatSaysIt) {
  using Notes = std::map<std::string, std::string>;
  RunFor(absl::Seconds(2));
  EXPECT_EQ(a_.lease->Notes(), Notes());
  b_.lease->SetNote("all is well");
  RunFor(absl::Seconds(3));
  for (int i = 0; i < 40; ++i) {  // It does not come and go.
    RunFor(absl::Milliseconds(100));
    ASSERT_EQ(a_.lease->Notes(), (Notes{{"b", "all is well"}})) << i;
  }
  b_.lease->SetNote("is it?");
  RunFor(absl::Seconds(3));
  EXPECT_EQ(a_.lease->Notes(), (Notes{{"b", "is it?"}}));
  EXPECT_EQ(b_.lease->Notes(), Notes());
  b_.lease->SetNote("");
  RunFor(absl::Seconds(5));
  EXPECT_EQ(a_.lease->Notes(), Notes());
}

TEST_F(LeaderLeaseTest, WhoStopsWithoutLeadingSaysGoodbye) {
  RunFor(absl::Seconds(2));
  b_.lease->SetNote("here");
  bool stopped = false;
  b_.lease->Stop([&] { stopped = true; });
  RunFor(absl::Milliseconds(1500));
  EXPECT_TRUE(stopped);
  EXPECT_EQ(a_.lease->Notes(), (std::map<std::string, std::string>{{"b", LeaderLease::kGoodbye}}));
  EXPECT_TRUE(a_.lease->is_leader());
}

TEST_F(LeaderLeaseTest, TheNoteOfOneThatHasGoneIsForgotten) {
  b_.lease->SetNote("here");
  RunFor(absl::Seconds(5));
  ASSERT_EQ(a_.lease->Notes().size(), 1u);
  b_.view->SetReachable(false);
  RunFor(absl::Seconds(5));
  EXPECT_TRUE(a_.lease->Notes().empty());
}

TEST_F(LeaderLeaseTest, ALeaderThatIsCutOffStepsDownBeforeTheStandbyIsElected) {
  RunFor(absl::Seconds(2));
  a_.view->SetReachable(false);
  RunFor(absl::Milliseconds(2500));
  EXPECT_FALSE(a_.lease->is_leader());
  EXPECT_THAT(a_.events, ElementsAre("elected 1", "lost"));
  EXPECT_EQ(a_.lease->view().address, "");
  EXPECT_EQ(a_.lease->view().problem, "cut off");
  RunFor(absl::Milliseconds(1700));
  EXPECT_THAT(b_.events, ElementsAre("elected 2"));
  a_.view->SetReachable(true);
  RunFor(absl::Seconds(2));
  EXPECT_THAT(a_.events, ElementsAre("elected 1", "lost"));
  EXPECT_EQ(a_.lease->view().address, "b:7410");
  EXPECT_EQ(a_.lease->view().problem, "");
}

TEST_F(LeaderLeaseTest, AShortCutChangesNothing) {
  RunFor(absl::Seconds(2));
  a_.view->SetReachable(false);
  RunFor(absl::Milliseconds(1200));
  a_.view->SetReachable(true);
  RunFor(absl::Seconds(5));
  EXPECT_THAT(a_.events, ElementsAre("elected 1"));
}

TEST_F(LeaderLeaseTest, APausedLeaderDoesNotBelieveThatItLeadsWhenItWakesUp) {
  RunFor(absl::Seconds(2));
  a_.paused = true;
  RunFor(absl::Seconds(5));
  // Nothing of it has run yet, and the clock alone says so.
  EXPECT_FALSE(a_.lease->is_leader());
  EXPECT_FALSE(a_.lease->view().leading);
  EXPECT_TRUE(b_.lease->is_leader());
  a_.paused = false;
  RunFor(absl::Seconds(1));
  EXPECT_THAT(a_.events, ElementsAre("elected 1", "lost"));
  EXPECT_EQ(a_.lease->view().address, "b:7410");
}

TEST_F(LeaderLeaseTest, AnAnswerThatComesTooLateIsWorthNothing) {
  a_.executor.RunDue();  // Asks, and hears.
  ASSERT_TRUE(a_.lease->is_leader());
  b_.paused = true;
  a_.paused = true;
  RunFor(absl::Seconds(1));
  b_.executor.RunDue();
  // b asked at a time when a held it. Now a gives up, b asks again, and hears 2.6 s later.
  RunFor(absl::Seconds(2));
  b_.executor.RunDue();
  RunFor(absl::Milliseconds(2600));
  EXPECT_FALSE(b_.lease->is_leader());
}

TEST_F(LeaderLeaseTest, StopGivesTheLeaseBackAtOnce) {
  RunFor(absl::Seconds(2));
  bool released = false;
  a_.lease->Stop([&] { released = true; });
  RunFor(absl::Milliseconds(50));
  EXPECT_TRUE(released);
  EXPECT_THAT(a_.events, ElementsAre("elected 1", "lost"));
  RunFor(absl::Seconds(1));
  EXPECT_TRUE(b_.lease->is_leader());
  RunFor(absl::Seconds(5));
  EXPECT_THAT(a_.events, ElementsAre("elected 1", "lost"));
}

TEST_F(LeaderLeaseTest, WhoWasToldToStepDownMayBeElectedAgain) {
  RunFor(absl::Milliseconds(2500));
  a_.executor.Post([this] { a_.lease->StepDown("fenced off"); });
  RunFor(absl::Milliseconds(50));
  EXPECT_FALSE(a_.lease->is_leader());
  RunFor(absl::Seconds(2));
  EXPECT_THAT(a_.events, ElementsAre("elected 1", "lost", "elected 1"));
}

TEST_F(LeaderLeaseTest, ALeaderWhoseClockIsOffMakesRoomForAnotherAndStaysOut) {
  for (const absl::Duration off : {absl::Seconds(90), -absl::Seconds(90)}) {
    RunFor(absl::Seconds(2));
    Candidate& wrong = a_.lease->is_leader() ? a_ : b_;
    Candidate& right = &wrong == &a_ ? b_ : a_;
    ASSERT_TRUE(wrong.lease->is_leader());
    wrong.wall.SetOffset(off);
    RunFor(absl::Seconds(2));
    Beat();
    EXPECT_FALSE(wrong.lease->is_leader());
    EXPECT_THAT(wrong.lease->view().clock_problem, HasSubstr("check NTP"));
    RunFor(absl::Milliseconds(1050));
    EXPECT_TRUE(right.lease->is_leader()) << "at once: the lease was given back";
    // It may not lead when nobody else does, either.
    right.paused = true;
    RunFor(absl::Seconds(10));
    EXPECT_FALSE(wrong.lease->is_leader());
    wrong.wall.SetOffset(absl::ZeroDuration());
    RunFor(absl::Seconds(3));
    EXPECT_TRUE(wrong.lease->is_leader());
    EXPECT_EQ(wrong.lease->view().clock_problem, "");
    right.paused = false;
  }
}

TEST_F(LeaderLeaseTest, AStoreAndNodesThatDisagreeStopNobodyWhoIsBetweenThem) {
  RunFor(absl::Milliseconds(100));
  ASSERT_TRUE(a_.lease->is_leader());
  a_.wall.SetOffset(absl::Minutes(2));
  b_.wall.SetOffset(absl::Minutes(2));
  for (int i = 0; i < 20; ++i) {
    Beat(absl::Minutes(4));
    RunFor(absl::Milliseconds(100));
  }
  EXPECT_TRUE(a_.lease->is_leader());
  EXPECT_THAT(a_.events, ElementsAre("elected 1"));
}

TEST_F(LeaderLeaseTest, AStoreWhoseClockIsOffStopsNobody) {
  // As seen from here: all are off, and only the store says so.
  a_.wall.SetOffset(absl::Seconds(90));
  b_.wall.SetOffset(absl::Seconds(90));
  for (int i = 0; i < 10; ++i) {
    RunFor(absl::Seconds(1));
    Beat(absl::Seconds(90));
  }
  EXPECT_THAT(a_.events, ElementsAre("elected 1"));
  EXPECT_TRUE(a_.lease->is_leader());
}

TEST_F(LeaderLeaseTest, NodesWhoseClocksAreOffStopNobody) {
  for (int i = 0; i < 10; ++i) {
    RunFor(absl::Seconds(1));
    Beat(absl::Seconds(90));
  }
  EXPECT_THAT(a_.events, ElementsAre("elected 1"));
}

TEST_F(LeaderLeaseTest, WhoeverStaysOutForItsClockTriesAgainWhenTheWordOfTheNodesIsOld) {
  b_.paused = true;
  a_.wall.SetOffset(absl::Seconds(90));
  RunFor(absl::Seconds(1));
  Beat();
  RunFor(absl::Seconds(55));
  EXPECT_FALSE(a_.lease->is_leader());
  RunFor(absl::Seconds(10));
  EXPECT_TRUE(a_.lease->is_leader()) << "only the store says that it is wrong";
  Beat();
  EXPECT_FALSE(a_.lease->is_leader());
}

}  // namespace
}  // namespace meridian
