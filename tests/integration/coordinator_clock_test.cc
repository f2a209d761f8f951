// Real coordinators, one of which has a wrong clock and is the first to take the lease.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/http_json.h"
#include "tests/support/child_process.h"
#include "tests/support/clock_shift.h"
#include "tests/support/http_page.h"
#include "tests/support/redis_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

class CoordinatorClockTest : public testing::Test {
 protected:
  struct Started {
    std::string grpc;
    std::string http;
    std::unique_ptr<ChildProcess> process;
  };

  void SetUp() override {
    auto redis = RedisProcess::Start();
    ASSERT_TRUE(redis.ok()) << redis.status();
    redis_ = *std::move(redis);
  }
  Started StartCoordinator(const std::string& id, const ClockShift& shift) {
    Started started = {FreeAddress(), FreeAddress(), nullptr};
    ChildOptions child;
    child.words = {"env"};
    for (const std::string& variable : shift.environment()) child.words.push_back(variable);
    for (const std::string& word :
         {ProgramPath("meridian-coordinator"), absl::StrCat("--id=", id),
          std::string("--region=us"), absl::StrCat("--redis=", redis_->url()),
          absl::StrCat("--grpc-address=", started.grpc),
          absl::StrCat("--http-address=", started.http)}) {
      child.words.push_back(word);
    }
    child.stdout_path = child.stderr_path = dir_ / id;
    auto process = ChildProcess::Start(child);
    EXPECT_TRUE(process.ok()) << process.status();
    if (process.ok()) started.process = *std::move(process);
    return started;
  }
  std::string Log(const std::string& id) const { return ReadFile(dir_ / id); }
  static bool Leads(const Started& coordinator) {
    return FetchMetric(coordinator.http, "meridian_coordinator_leader") == 1;
  }
  static bool IsToldOf(const Started& at, const std::string& coordinator) {
    for (const nlohmann::json& alert : FetchList(at.http, "/v1/cluster/alerts", "alerts")) {
      if (alert["name"] == "MeridianClockOff" && alert["state"] == "firing" &&
          alert["labels"].value("coordinator", "") == coordinator) {
        return true;
      }
    }
    return false;
  }

  const TempDir dir_;
  std::unique_ptr<RedisProcess> redis_;
};

TEST_F(CoordinatorClockTest, OneWhoseClockIsOffGivesWayAndTheNodesAreReady) {
  ClockShift wrong(absl::Seconds(90));
  const Started odd = StartCoordinator("odd", wrong);
  ASSERT_TRUE(WaitUntil([&] { return Leads(odd); }, kPatience)) << Log("odd");
  const ClockShift none;
  const Started right = StartCoordinator("right", none);
  const std::vector<std::string> flags = {
      "--region",       "us",
      "--redis",        redis_->url(),
      "--coordinators", absl::StrCat(odd.grpc, ",", right.grpc)};
  const auto node = TestNode::Start("n1", flags);  // Until it is ready.
  ASSERT_TRUE(node.ok()) << node.status() << Log("odd");
  EXPECT_TRUE(WaitUntil([&] { return Leads(right); }, kPatience));
  EXPECT_FALSE(Leads(odd));
  EXPECT_EQ(FetchMetric(odd.http, "meridian_clock_refused"), 1);
  EXPECT_EQ(FetchMetric(right.http, "meridian_clock_refused"), 0);
  EXPECT_NEAR(FetchMetric(odd.http, "meridian_clock_offset_seconds", {"reference=\"redis\""}), 90,
              5);
  EXPECT_NEAR(FetchMetric(right.http, "meridian_clock_offset_seconds", {"reference=\"node n1\""}),
              0, 5);
  const auto ready = HttpGet(odd.http, "/readyz");
  ASSERT_TRUE(ready.ok()) << ready.status();
  EXPECT_THAT(ready->body, testing::HasSubstr("ready: standby, CLOCK_SKEW: this coordinator"));
  EXPECT_THAT(Log("odd"), testing::HasSubstr("CLOCK_SKEW: this coordinator's clock is"));
  EXPECT_TRUE(WaitUntil([&] { return IsToldOf(right, "odd"); }, kPatience));
  wrong.Set(absl::ZeroDuration());
  EXPECT_TRUE(WaitUntil([&] { return !IsToldOf(right, "odd"); }, kPatience));
  EXPECT_TRUE(WaitUntil([&] { return Leads(right); }, kPatience));
}

}  // namespace
}  // namespace meridian
