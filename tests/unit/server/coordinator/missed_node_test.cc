// Two coordinators of one region, each with all that alerts need, and the nodes that beat at
// whoever leads: what becomes of MeridianNodeDown when the leader dies, too.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/coordinator/alert_lead.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"
#include "tests/unit/server/figures/fake_figure_transport.h"
#include "tests/unit/server/figures/figures_fixture.h"

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
    options.lease.holder = name;
    coordinator = std::make_unique<Coordinator>(options, clock, executor, *view);
    figures = std::make_unique<FigureCollector>(
        FigureCollectorOptions(), clock, executor, transport, [this](bool* leading) {
          *leading = coordinator->leader().leading;
          std::vector<FollowedNode> nodes;
          for (NodeView& node : coordinator->Nodes()) {
            nodes.push_back({std::move(node.member), node.heartbeat_age, node.epoch, node.warmth});
          }
          return nodes;
        });
    keeper = std::make_unique<AlertKeeper>(*figures, clock, nullptr, nullptr);
    lead = std::make_unique<AlertLead>(*coordinator, *view, *keeper);
    figures->AddObserver([this] { lead->Look(); });
    figures->Start();
    coordinator->Start(name + ":7410");
  }

  bool Leads() const { return coordinator->leader().leading; }
  // "MeridianNodeDown n2 since 12" of what fires.
  std::vector<std::string> Firing() const {
    std::vector<std::string> firing;
    for (const coordinator::v1::Alert& alert : keeper->book().List(/*include_resolved=*/false)) {
      if (alert.state() != "firing") continue;
      firing.push_back(absl::StrCat(alert.name(), " ", alert.labels().at("node"), " since ",
                                    alert.since().seconds()));
    }
    return firing;
  }

  // Nodes that were ever missed, also those that are back.
  std::vector<std::string> Missed() const {
    std::vector<std::string> missed;
    for (const coordinator::v1::Alert& alert : keeper->book().List(/*include_resolved=*/true)) {
      if (alert.name() == "MeridianNodeDown") missed.push_back(alert.labels().at("node"));
    }
    return missed;
  }

  FakeClock& clock;
  FakeExecutor executor;
  std::unique_ptr<FakeLeaseStore::View> view;
  FakeFigureTransport transport;
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<FigureCollector> figures;
  std::unique_ptr<AlertKeeper> keeper;
  std::unique_ptr<AlertLead> lead;
};

class MissedNodeTest : public testing::Test {
 protected:
  MissedNodeTest() {
    RunFor(absl::Seconds(10));
    EXPECT_TRUE(a_.Leads());
    EXPECT_THAT(a_.Firing(), IsEmpty());
  }

  void RunFor(absl::Duration duration) {
    for (absl::Duration passed; passed < duration; passed += absl::Milliseconds(250)) {
      clock_.Advance(absl::Milliseconds(250));
      for (Process* process : {&a_, &b_}) {
        process->executor.RunDue();
        if (process->Leads()) Beat(process);
        process->executor.RunDue();
      }
    }
  }
  void Beat(Process* process) {
    for (const std::string& id : alive_) {
      const NodeReport report = Report(id);
      absl::Status status = process->coordinator->Heartbeat(report);
      if (absl::IsNotFound(status)) {
        status = process->coordinator->Register(report, sessions_[id] = ++session_);
      }
      EXPECT_TRUE(status.ok()) << status;
      const auto asked = process->transport.waiting.find(report.member.admin_address);
      if (asked == process->transport.waiting.end() || asked->second == nullptr) continue;
      std::exchange(asked->second, nullptr)(Answer(id));
    }
    epoch_ = std::max(epoch_, process->coordinator->topology()->epoch());
  }
  NodeReport Report(const std::string& id) {
    NodeReport report;
    report.member.id = id;
    report.member.data_address = id + ":7400";
    report.member.peer_address = id + ":7401";
    report.member.admin_address = id + ":7402";
    report.member.incarnation = incarnations_.try_emplace(id, 1).first->second;
    report.epoch = epoch_;
    return report;
  }
  // No time passes: nobody looks meanwhile.
  void Drain(const std::string& id) {
    NodeReport report = Report(id);
    report.member.state = MemberState::kDraining;
    EXPECT_TRUE(a_.coordinator->Heartbeat(report).ok());
    a_.executor.RunDue();  // It is stored that it drains.
  }
  void Leave(const std::string& id) {
    Kill(id);
    a_.coordinator->Disconnect(id, sessions_[id]);
    a_.executor.RunDue();
  }
  void Kill(const std::string& id) { alive_.erase(std::find(alive_.begin(), alive_.end(), id)); }

  FakeClock clock_;
  FakeLeaseStore store_{clock_};
  std::vector<std::string> alive_ = {"n1", "n2", "n3"};
  uint64_t epoch_ = 0;
  uint64_t session_ = 0;
  std::map<std::string, uint64_t> sessions_;      // By node.
  std::map<std::string, uint64_t> incarnations_;  // By node; absent: 1.
  Process a_{clock_, store_, "a"};
  Process b_{clock_, store_, "b"};
};

TEST_F(MissedNodeTest, TheNextLeaderMissesItForAsLongAsTheLastOneWouldHave) {
  Kill("n2");
  RunFor(absl::Seconds(5));
  const std::vector<std::string> fired = a_.Firing();
  ASSERT_EQ(fired.size(), 1u);
  RunFor(absl::Minutes(2));
  a_.view->SetReachable(false);
  RunFor(absl::Seconds(10));
  ASSERT_TRUE(b_.Leads());
  ASSERT_EQ(b_.coordinator->Nodes().size(), 2u);
  EXPECT_EQ(b_.Firing(), fired) << "the same alert, since the same time";
  RunFor(absl::Minutes(5));
  EXPECT_EQ(b_.Firing(), fired) << "it is still gone";
  EXPECT_FALSE(b_.figures->figures().nodes().at("n2").is_member) << "and on the page";
  RunFor(absl::Minutes(8));
  EXPECT_THAT(b_.Firing(), IsEmpty()) << "a quarter of an hour after it has gone";
}

TEST_F(MissedNodeTest, WhenItIsBackAtTheNextLeaderTheAlertEnds) {
  Kill("n2");
  RunFor(absl::Seconds(5));
  a_.view->SetReachable(false);
  RunFor(absl::Minutes(4));
  ASSERT_EQ(b_.Firing().size(), 1u);
  alive_.push_back("n2");
  RunFor(AlertBook::kCalm + absl::Seconds(5));
  EXPECT_THAT(b_.Firing(), IsEmpty());
}

TEST_F(MissedNodeTest, ThatDiesTogetherWithTheLeaderIsMissedByTheNext) {
  Kill("n3");
  a_.view->SetReachable(false);
  RunFor(absl::Seconds(30));
  ASSERT_TRUE(b_.Leads());
  ASSERT_EQ(b_.Firing().size(), 1u);
  EXPECT_THAT(b_.Firing()[0], testing::StartsWith("MeridianNodeDown n3 "));
  RunFor(absl::Minutes(5));
  EXPECT_EQ(b_.Firing().size(), 1u);
}

TEST_F(MissedNodeTest, ADrainThatIsOverBeforeAnybodyLooksIsNoDeath) {
  Drain("n2");
  Leave("n2");
  RunFor(absl::Seconds(10));
  ASSERT_EQ(a_.coordinator->Nodes().size(), 2u);
  EXPECT_THAT(a_.Missed(), IsEmpty());
  EXPECT_EQ(a_.figures->figures().nodes().count("n2"), 0u) << "nor on the page";
  a_.view->SetReachable(false);
  RunFor(absl::Seconds(30));
  ASSERT_TRUE(b_.Leads());
  EXPECT_THAT(b_.Missed(), IsEmpty());
}

TEST_F(MissedNodeTest, ThatIsRestartedProperlyIsNotMissedAndThatDiesAfterwardsIs) {
  Drain("n2");
  Leave("n2");
  RunFor(absl::Seconds(3));
  ++incarnations_["n2"];
  alive_.push_back("n2");
  RunFor(absl::Seconds(10));
  EXPECT_THAT(a_.Missed(), IsEmpty());
  Kill("n2");
  RunFor(absl::Seconds(5));
  EXPECT_THAT(a_.Missed(), ElementsAre("n2"));
}

// The old leader has stored that it drains, and died before it heard that it has left.
TEST_F(MissedNodeTest, ThatLeavesTogetherWithTheLeaderIsNotMissedByTheNext) {
  Drain("n3");
  Kill("n3");
  a_.view->SetReachable(false);
  RunFor(absl::Seconds(30));
  ASSERT_TRUE(b_.Leads());
  ASSERT_EQ(b_.coordinator->Nodes().size(), 2u);
  EXPECT_THAT(b_.Missed(), IsEmpty());
}

}  // namespace
}  // namespace meridian
