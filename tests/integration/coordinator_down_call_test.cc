// Real coordinators of one region: the one that leads misses those that die, and not those that are
// stopped or replaced.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/integration/http_json.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/redis_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::ElementsAre;

constexpr absl::Duration kPatience = absl::Seconds(30);
// 35 s by docs/runbooks/MeridianCoordinatorDown.md, and what a busy machine adds.
constexpr absl::Duration kAlertGoal = absl::Seconds(45);
constexpr absl::Duration kCalmGoal = absl::Seconds(60);

class CoordinatorDownCallTest : public testing::Test {
 protected:
  struct Started {
    std::string id;
    std::string http;
    std::unique_ptr<ChildProcess> process;
  };

  void SetUp() override {
    auto redis = RedisProcess::Start();
    ASSERT_TRUE(redis.ok()) << redis.status();
    redis_ = *std::move(redis);
    one_ = StartCoordinator("one");
    ASSERT_TRUE(WaitUntil(
        [&] { return FetchMetric(one_.http, "meridian_coordinator_leader") == 1; }, kPatience));
    two_ = StartCoordinator("two");
    ASSERT_TRUE(WaitUntil([&] { return AreThereForAWhile(one_, 2); }, kPatience));
  }
  Started StartCoordinator(const std::string& id) {
    Started started = {id, FreeAddress(), nullptr};
    ChildOptions child;
    child.words = {ProgramPath("meridian-coordinator"),
                   absl::StrCat("--id=", id),
                   "--region=us",
                   absl::StrCat("--redis=", redis_->url()),
                   absl::StrCat("--grpc-address=", FreeAddress()),
                   absl::StrCat("--http-address=", started.http)};
    child.stdout_path = child.stderr_path = dir_ / absl::StrCat(id, ".", ++starts_);
    auto process = ChildProcess::Start(child);
    EXPECT_TRUE(process.ok()) << process.status();
    if (process.ok()) started.process = *std::move(process);
    return started;
  }
  // One that has just come may be there for one that has just gone.
  static bool AreThereForAWhile(const Started& at, size_t count) {
    const nlohmann::json list = FetchList(at.http, "/v1/cluster/overview", "coordinators");
    for (const nlohmann::json& each : list) {
      if (each["state"] == "DOWN" || each["uptime_seconds"] < 6.0) return false;
    }
    return list.size() == count;
  }
  // As "two STANDBY", by id.
  static std::vector<std::string> Known(const Started& at) {
    std::vector<std::string> known;
    for (const nlohmann::json& each : FetchList(at.http, "/v1/cluster/overview", "coordinators")) {
      known.push_back(
          absl::StrCat(each["id"].get<std::string>(), " ", each["state"].get<std::string>()));
    }
    return known;
  }
  static bool Becomes(const Started& at, const std::vector<std::string>& known) {
    return WaitUntil([&] { return Known(at) == known; }, kPatience);
  }
  // The state of the alert of `id`; empty: there is none.
  static std::string AlertOf(const Started& at, const std::string& id) {
    for (const nlohmann::json& alert : FetchList(at.http, "/v1/cluster/alerts", "alerts")) {
      if (alert["name"] == "MeridianCoordinatorDown" && alert["labels"]["instance"] == id) {
        EXPECT_EQ(alert["severity"], "warning");
        return alert["state"];
      }
    }
    return "";
  }

  const TempDir dir_;
  int starts_ = 0;
  std::unique_ptr<RedisProcess> redis_;
  Started one_;  // Leads first.
  Started two_;
};

TEST_F(CoordinatorDownCallTest, AStandbyThatDiesIsAnAlertUntilItIsBackAndOneThatIsStoppedIsNone) {
  const absl::Time killed = absl::Now();
  two_.process->Signal(SIGKILL);
  EXPECT_TRUE(WaitUntil([&] { return AlertOf(one_, "two") == "firing"; }, kAlertGoal));
  RecordProperty("fired_after_ms",
                 static_cast<int>(absl::ToInt64Milliseconds(absl::Now() - killed)));
  EXPECT_THAT(Known(one_), ElementsAre("one LEADING", "two DOWN"));
  EXPECT_EQ(FetchMetric(one_.http, "meridian_coordinators", {"state=\"down\""}), 1);

  two_ = StartCoordinator("two");
  EXPECT_TRUE(Becomes(one_, {"one LEADING", "two STANDBY"}));
  EXPECT_TRUE(WaitUntil([&] { return AlertOf(one_, "two") == "resolved"; }, kCalmGoal));
  EXPECT_EQ(FetchMetric(one_.http, "meridian_coordinators", {"state=\"up\""}), 2);

  // Who is not known is not missed: neither now nor later.
  two_.process->Signal(SIGTERM);
  EXPECT_TRUE(Becomes(one_, {"one LEADING"}));
  EXPECT_EQ(AlertOf(one_, "two"), "resolved");
}

TEST_F(CoordinatorDownCallTest, TheNextLeaderMissesOneThatDiedAndAnotherTakesItsPlace) {
  one_.process->Signal(SIGKILL);
  EXPECT_TRUE(Becomes(two_, {"one DOWN", "two LEADING"}));
  const Started three = StartCoordinator("three");
  EXPECT_TRUE(Becomes(two_, {"three STANDBY", "two LEADING"}));
  EXPECT_NE(AlertOf(two_, "one"), "firing");
  // A leader that is stopped says goodbye, too.
  two_.process->Signal(SIGTERM);
  EXPECT_TRUE(Becomes(three, {"three LEADING"}));
}

}  // namespace
}  // namespace meridian
