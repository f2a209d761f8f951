#include "server/coordinator/alert_lead.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"
#include "tests/unit/server/figures/fake_figure_transport.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A coordinator with its alerts, and who is told of them.
struct Process {
  Process(FakeClock& process_clock, FakeLeaseStore& store, const std::string& name)
      : clock(process_clock), executor(process_clock), view(store.ViewFor(executor)) {
    CoordinatorOptions options;
    options.id = name;
    options.membership.region = "us";
    options.lease.holder = name;
    coordinator = std::make_unique<Coordinator>(options, clock, executor, *view);
    lead = std::make_unique<AlertLead>(*coordinator, *view, keeper);
    book.SetListener([this](const coordinator::v1::Alert& alert) {
      told.push_back(absl::StrCat(alert.name(), " ", alert.state()));
      if (receiver_takes) book.NoteTold(alert, clock.Now());
    });
    coordinator->Start(name + ":7410");
  }

  // What each second does while it leads; `wrong`: the alerts whose condition holds.
  void Second() {
    std::vector<AlertCondition> conditions;
    for (const std::string& name : wrong) {
      conditions.push_back({.name = name, .severity = "critical"});
    }
    book.Update(conditions, clock.Monotonic(), clock.Now());
    lead->Look();
  }

  FakeClock& clock;
  FakeExecutor executor;
  std::unique_ptr<FakeLeaseStore::View> view;
  FakeFigureTransport transport;
  // Never started: what is wrong is said by `wrong`.
  FigureCollector figures{FigureCollectorOptions(), clock, executor, transport,
                          [](bool*) { return std::vector<FollowedNode>(); }};
  AlertKeeper keeper{figures, clock, nullptr, nullptr};
  AlertBook& book = keeper.book();
  bool receiver_takes = false;  // At once, what the listener is told.
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<AlertLead> lead;
  std::vector<std::string> wrong;
  std::vector<std::string> told;
};

class AlertLeadTest : public testing::Test {
 protected:
  AlertLeadTest() { RunFor(absl::Seconds(4)); }

  void RunFor(absl::Duration duration) {
    for (absl::Duration passed; passed < duration; passed += absl::Milliseconds(500)) {
      clock_.Advance(absl::Milliseconds(500));
      for (Process* process : {&a_, &b_}) {
        process->executor.RunDue();
        if (process->coordinator->leader().leading) process->Second();
        process->executor.RunDue();
      }
    }
  }
  // It ends without a word; the other one leads then.
  void Die(Process& process) {
    process.view->SetReachable(false);
    RunFor(absl::Seconds(8));
    process.told.clear();
  }

  FakeClock clock_;
  FakeLeaseStore store_{clock_};
  Process a_{clock_, store_, "a"};
  Process b_{clock_, store_, "b"};
};

TEST_F(AlertLeadTest, WhatEndsWhileTheLeaderChangesIsToldToHaveEnded) {
  a_.wrong = {"Down"};
  RunFor(absl::Seconds(2));
  EXPECT_THAT(a_.told, ElementsAre("Down firing"));
  Die(a_);  // And the condition with it: b never sees it.
  ASSERT_TRUE(b_.coordinator->leader().leading);
  EXPECT_THAT(b_.told, ElementsAre("Down firing")) << "perhaps nobody was told";
  RunFor(AlertBook::kInherited);
  EXPECT_THAT(b_.told, ElementsAre("Down firing", "Down resolved"));
  RunFor(absl::Minutes(5));
  EXPECT_EQ(b_.told.size(), 2u);
}

// The name and the coordinator of each alert that has not ended, as a book lists them.
std::vector<std::string> Listed(const AlertBook& book) {
  std::vector<std::string> alerts;
  for (const coordinator::v1::Alert& alert : book.List(false)) {
    const auto whose = alert.labels().find("coordinator");
    alerts.push_back(whose == alert.labels().end()
                         ? alert.name()
                         : absl::StrCat(alert.name(), " ", whose->second));
  }
  return alerts;
}

// What one of them finds out about itself, such as the end of its certificate.
void Say(Process& process, bool holds) {
  std::vector<AlertCondition> conditions;
  if (holds) {
    conditions.push_back({.name = "MeridianCertificateExpires",
                          .severity = "critical",
                          .labels = {{"coordinator", process.coordinator->options().id}}});
  }
  process.book.Update(conditions, process.clock.Monotonic(), process.clock.Now());
  process.lead->Look();
}

TEST_F(AlertLeadTest, WhatAStandbySaysOfItselfStandsInTheLeadersAlertsAndIsNotItsOwn) {
  Say(b_, true);
  RunFor(absl::Seconds(3));
  EXPECT_THAT(Listed(a_.book), ElementsAre("MeridianCertificateExpires b"));
  EXPECT_EQ(a_.book.Count().critical, 1u);
  a_.wrong = {"Down"};
  RunFor(absl::Seconds(3));
  EXPECT_EQ(Listed(a_.book).size(), 2u);
  EXPECT_THAT(a_.told, ElementsAre("Down firing")) << "b tells its own";
  Say(b_, true);
  EXPECT_THAT(Listed(b_.book), ElementsAre("MeridianCertificateExpires b"));
  // It is over, there and then here.
  clock_.Advance(AlertBook::kCalm);
  Say(b_, false);
  RunFor(absl::Seconds(5));
  EXPECT_THAT(Listed(a_.book), ElementsAre("Down"));
  EXPECT_THAT(a_.told, ElementsAre("Down firing"));
}

TEST_F(AlertLeadTest, WhatOthersSaidIsNeitherStoredNorKeptByWhoeverLeadsNoMore) {
  Say(b_, true);
  a_.wrong = {"Down"};
  RunFor(absl::Seconds(3));
  ASSERT_EQ(Listed(a_.book).size(), 2u);
  coordinator::v1::ListAlertsResponse stored;
  ASSERT_TRUE(stored.ParseFromString(store_.Value("alerts").value_or("")));
  ASSERT_EQ(stored.alerts_size(), 1);
  EXPECT_EQ(stored.alerts(0).name(), "Down");
  Die(a_);
  EXPECT_EQ(Listed(a_.book), std::vector<std::string>{"Down"});
  Say(b_, true);
  EXPECT_THAT(Listed(b_.book),
              testing::UnorderedElementsAre("Down", "MeridianCertificateExpires b"))
      << "once";
}

// So that the leader knows that it is there.
TEST_F(AlertLeadTest, AStandbyThatHasNothingToSayLeavesANoteAllTheSame) {
  Say(b_, false);
  RunFor(absl::Seconds(3));
  EXPECT_EQ(a_.coordinator->Notes().count("b"), 1u);
  EXPECT_THAT(Listed(a_.book), IsEmpty());
}

TEST_F(AlertLeadTest, NotesThatAreNoneOrAreAboutOthersAreNotShown) {
  coordinator::v1::ListAlertsResponse foreign;
  foreign.add_alerts()->set_name("MeridianNodeDown");
  for (const std::string& note : {std::string("\xff\xff"), foreign.SerializeAsString()}) {
    b_.coordinator->SetNote(note);
    RunFor(absl::Seconds(3));
    ASSERT_EQ(a_.coordinator->Notes().size(), 1u);
    EXPECT_THAT(Listed(a_.book), IsEmpty());
  }
}

// A coordinator that has just begun sees nobody lead until it does.
TEST_F(AlertLeadTest, WhatAStandbyHasSeenForAMomentIsGoneWhenItLeads) {
  AlertCondition condition;
  condition.name = "MeridianNoCoordinatorLeads";
  condition.after = absl::Seconds(30);
  b_.book.Update({condition}, clock_.Monotonic(), clock_.Now());
  ASSERT_EQ(b_.book.List(true).size(), 1u);
  a_.view->SetReachable(false);
  while (!b_.coordinator->leader().leading) {
    clock_.Advance(absl::Milliseconds(100));
    a_.executor.RunDue();
    b_.executor.RunDue();
  }
  EXPECT_TRUE(b_.book.List(true).empty());
}

TEST_F(AlertLeadTest, WhatGoesOnIsTheSameAlertSinceTheSameTime) {
  a_.wrong = b_.wrong = {"Down"};
  RunFor(absl::Seconds(2));
  const auto since = a_.book.List(false)[0].since().seconds();
  Die(a_);
  RunFor(absl::Minutes(10));
  ASSERT_EQ(b_.book.List(true).size(), 1u);
  EXPECT_EQ(b_.book.List(true)[0].state(), "firing");
  EXPECT_EQ(b_.book.List(true)[0].since().seconds(), since);
  EXPECT_THAT(b_.told, ElementsAre("Down firing"));
}

TEST_F(AlertLeadTest, WhatTheReceiverHasTakenIsNotToldAgainAndItsEndIs) {
  a_.receiver_takes = true;
  a_.wrong = b_.wrong = {"Down", "Slow"};
  RunFor(absl::Seconds(2));
  a_.wrong = {"Down"};
  RunFor(AlertBook::kCalm + absl::Seconds(1));
  EXPECT_THAT(a_.told, ElementsAre("Down firing", "Slow firing", "Slow resolved"));
  b_.wrong = {"Down"};
  Die(a_);
  RunFor(absl::Hours(1));
  EXPECT_THAT(b_.told, IsEmpty());
  b_.wrong = {};
  RunFor(absl::Minutes(1));
  EXPECT_THAT(b_.told, ElementsAre("Down resolved"));
}

TEST_F(AlertLeadTest, WhatACoordinatorSaysOfItselfIsNotHandedOn) {
  AlertCondition own = {.name = "MeridianCertificateExpires", .severity = "warning"};
  own.labels["coordinator"] = "a";
  a_.wrong = {"Down"};
  RunFor(absl::Seconds(1));
  a_.book.Update({own, {.name = "Down", .severity = "critical"}}, clock_.Monotonic(), clock_.Now());
  ASSERT_THAT(a_.told, testing::Contains("MeridianCertificateExpires firing"));
  RunFor(absl::Seconds(1));
  Die(a_);
  ASSERT_EQ(b_.book.List(true).size(), 1u);
  EXPECT_EQ(b_.book.List(true)[0].name(), "Down");
}

TEST_F(AlertLeadTest, WhatEndedAMomentBeforeIsToldAgainAndWhatEndedLongAgoIsNot) {
  a_.wrong = {"Old"};
  RunFor(absl::Seconds(2));
  a_.wrong = {"New"};
  RunFor(AlertBook::kToldAgain);
  a_.wrong = {};
  RunFor(AlertBook::kCalm + absl::Seconds(1));
  EXPECT_THAT(a_.told, ElementsAre("Old firing", "New firing", "Old resolved", "New resolved"));
  Die(a_);
  EXPECT_THAT(b_.told, ElementsAre("New resolved"));
  EXPECT_EQ(b_.book.List(true).size(), 2u) << "both are its history";
}

TEST_F(AlertLeadTest, NothingIsStoredBeforeWhatWasThereIsRead) {
  a_.wrong = {"Down"};
  RunFor(absl::Seconds(2));
  const std::string stored = *store_.Value("alerts");
  b_.wrong = {"Slow"};
  b_.view->FailGets(20);
  Die(a_);
  EXPECT_THAT(b_.told, testing::Not(testing::Contains("Down firing")));
  EXPECT_EQ(*store_.Value("alerts"), stored);
  RunFor(absl::Seconds(30));
  EXPECT_THAT(b_.told, testing::Contains("Down firing"));
  EXPECT_NE(*store_.Value("alerts"), stored);
}

TEST_F(AlertLeadTest, WhatFiresBeforeWhatWasThereIsReadIsStoredAfterwards) {
  b_.wrong = {"Slow"};
  b_.view->FailGets(20);
  Die(a_);
  EXPECT_FALSE(store_.Value("alerts").has_value());
  RunFor(absl::Seconds(30));
  ASSERT_TRUE(store_.Value("alerts").has_value());
  coordinator::v1::ListAlertsResponse stored;
  ASSERT_TRUE(stored.ParseFromString(*store_.Value("alerts")));
  ASSERT_EQ(stored.alerts_size(), 1);
  EXPECT_EQ(stored.alerts(0).name(), "Slow");
}

// Its condition needs a history that a new leader has after a while only.
TEST_F(AlertLeadTest, WhatIsLookedForOverALongTimeIsNotOverBecauseTheLeaderIsNew) {
  a_.wrong = {"MeridianReplicationLost", "Down"};
  RunFor(absl::Seconds(2));
  Die(a_);
  RunFor(absl::Minutes(10));
  ASSERT_EQ(b_.book.List(false).size(), 1u);
  EXPECT_EQ(b_.book.List(false)[0].name(), "MeridianReplicationLost");
  EXPECT_THAT(b_.told, testing::Contains("Down resolved"));
  RunFor(absl::Minutes(6));
  EXPECT_TRUE(b_.book.List(false).empty());
}

TEST_F(AlertLeadTest, AWriteThatFailsIsTriedAgain) {
  a_.view->FailPuts(3);
  a_.wrong = {"Down"};
  RunFor(absl::Milliseconds(500));
  EXPECT_FALSE(store_.Value("alerts").has_value());
  RunFor(absl::Seconds(5));
  EXPECT_TRUE(store_.Value("alerts").has_value());
}

TEST_F(AlertLeadTest, WhatCannotBeReadIsWrittenAnew) {
  store_.SetValue("alerts", "\xff\xff nonsense");
  Die(a_);
  ASSERT_TRUE(b_.coordinator->leader().leading);
  EXPECT_THAT(b_.told, IsEmpty());
  b_.wrong = {"Down"};
  RunFor(absl::Seconds(2));
  coordinator::v1::ListAlertsResponse stored;
  ASSERT_TRUE(stored.ParseFromString(*store_.Value("alerts")));
  EXPECT_EQ(stored.alerts_size(), 1);
}

}  // namespace
}  // namespace meridian
