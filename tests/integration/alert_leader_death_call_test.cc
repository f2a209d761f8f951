// The leading coordinator is killed while an alert fires: the standby goes on with it, with the
// same beginning, tells the receiver of it no second time, and tells its end.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/integration/http_json.h"
#include "tests/support/http_page.h"
#include "tests/support/http_receiver.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using nlohmann::json;
using testing::ElementsAre;

constexpr absl::Duration kLimit = absl::Seconds(60);
constexpr char kNode[] = "us-node-2";

class AlertLeaderDeathCallTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_ = StartTestCluster(
        {.regions = {"us"},
         .nodes = 2,
         .coordinators = 2,
         .coordinator_flags = {absl::StrCat("--alert-webhook=http://", receiver_.address())}});
    ASSERT_NE(cluster_, nullptr);
    ASSERT_TRUE(WaitUntil([&] { return !Leader().empty(); }, kLimit));
  }

  // The coordinator that leads; empty: none does.
  std::string Leader() const {
    for (const char* name : {"us-coordinator-1", "us-coordinator-2"}) {
      if (FetchMetric(cluster_->Address(name, "http"), "meridian_coordinator_leader") == 1) {
        return name;
      }
    }
    return "";
  }
  // The alert of the dead node, as a coordinator has it; nullptr: it has none.
  json Alert(const std::string& coordinator) const {
    const json answer = FetchJson(cluster_->Address(coordinator, "http"), "/v1/cluster/alerts");
    if (!answer.is_object()) return nullptr;
    for (const json& alert : answer["alerts"]) {
      if (alert["name"] == "MeridianNodeDown" && alert["labels"]["node"] == kNode) return alert;
    }
    return nullptr;
  }
  bool Is(const std::string& coordinator, const std::string& state) const {
    const json alert = Alert(coordinator);
    return !alert.is_null() && alert["state"] == state;
  }
  // The seconds that a leader has looked at.
  size_t Seconds(const std::string& coordinator) const {
    const json overview = FetchJson(cluster_->Address(coordinator, "http"), "/v1/cluster/overview");
    return overview.is_object() ? overview["series"]["time_unix_ms"].size() : 0;
  }
  void WaitSeconds(const std::string& coordinator, size_t count) const {
    const size_t begun = Seconds(coordinator);
    ASSERT_TRUE(WaitUntil([&] { return Seconds(coordinator) >= begun + count; }, kLimit));
  }
  // What the receiver was told of that node.
  std::vector<std::string> Told() const {
    std::vector<std::string> told;
    for (const HttpReceiver::Request& request : receiver_.requests()) {
      const json body = json::parse(request.body);
      for (const json& alert : body["alerts"]) {
        if (alert["labels"].value("node", "") == kNode) {
          told.push_back(alert["status"].get<std::string>());
        }
      }
    }
    return told;
  }

  const HttpReceiver receiver_{
      [](const HttpReceiver::Request&) { return HttpReceiver::Reply(200); }};
  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(AlertLeaderDeathCallTest, TheStandbyGoesOnWithTheAlertAndTellsItsEndAlone) {
  const std::string leader = Leader();
  const std::string standby =
      leader == "us-coordinator-1" ? "us-coordinator-2" : "us-coordinator-1";
  cluster_->Kill(kNode);
  ASSERT_TRUE(WaitUntil([&] { return Is(leader, "firing") && Alert(leader).contains("told_time"); },
                        kLimit));
  EXPECT_THAT(Told(), ElementsAre("firing"));
  const json before = Alert(leader);
  WaitSeconds(leader, 3);  // It is stored by then.
  cluster_->Kill(leader);
  ASSERT_TRUE(WaitUntil([&] { return Is(standby, "firing"); }, kLimit));
  EXPECT_EQ(Alert(standby)["since"], before["since"]);
  EXPECT_EQ(Alert(standby)["told_time"], before["told_time"]);
  WaitSeconds(standby, 15);
  EXPECT_EQ(Alert(standby)["state"], "firing") << "the node is still away";
  EXPECT_EQ(Alert(standby)["since"], before["since"]);
  EXPECT_THAT(Told(), ElementsAre("firing")) << "once";
  cluster_->Restart(kNode);
  // What was inherited goes on for 2 min, so that its condition has the time to be seen again.
  ASSERT_TRUE(WaitUntil([&] { return Told().size() > 1; }, absl::Seconds(140)));
  EXPECT_THAT(Told(), ElementsAre("firing", "resolved"));
  EXPECT_TRUE(Is(standby, "resolved"));
}

}  // namespace
}  // namespace meridian
