// Real nodes whose clocks are wrong: by more than a minute, and they are out of the cluster until
// somebody has mended it; by less, and nobody's write or delete suffers.

#include "absl/time/clock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/version.h"
#include "tests/integration/checked_load.h"
#include "tests/integration/http_json.h"
#include "tests/support/child_process.h"
#include "tests/support/clock_shift.h"
#include "tests/support/http_page.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kSpace[] = "task";
constexpr absl::Duration kPatience = absl::Seconds(30);
// As in node_failure_test: nodes that go around another are heard of through the changelog.
constexpr absl::Duration kStaleBound = absl::Seconds(5);

class ClockTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_ = StartTestCluster({.regions = {"us", "eu"}, .nodes = 1});
    ASSERT_NE(cluster_, nullptr);
    // So that only what a clock does is an error, and not a machine that is busy.
    ClientOptions patient;
    patient.get_timeout = patient.set_timeout = absl::Seconds(4);
    us_ = cluster_->NewClient("us", patient);
    eu_ = cluster_->NewClient("eu", patient);
  }

  // One more node of us. It owns about half of the keys.
  void StartOddNode(absl::Duration shift, bool until_ready = true) {
    shift_.Set(shift);
    const auto redis = [this](const char* region) {
      return absl::StrCat("redis://", cluster_->Address(absl::StrCat(region, "-redis"), "redis"));
    };
    auto node = TestNode::Start(
        "odd",
        {"--region", "us", "--coordinators", cluster_->Address("us-coordinator-1", "grpc"),
         "--redis", redis("us"), "--region-redis", absl::StrCat("eu=", redis("eu"))},
        {.environment = shift_.environment(), .until_ready = until_ready});
    ASSERT_TRUE(node.ok()) << node.status();
    odd_ = *std::move(node);
  }
  double OddMetric(const std::string& name) const { return FetchMetric(odd_->http(), name); }
  bool OddIsReady() const {
    const absl::StatusOr<HttpPage> page = HttpGet(odd_->http(), "/readyz");
    return page.ok() && page->code == 200;
  }
  bool Owns(const std::string& http_address) const {
    return FetchMetric(http_address, "meridian_ring_nodes") == 2;
  }
  // Refused, and everybody who looks is told.
  void ExpectRefused() const {
    EXPECT_TRUE(WaitUntil([&] { return OddMetric("meridian_clock_refused") == 1; }, kPatience));
    EXPECT_FALSE(OddIsReady());
    const absl::StatusOr<HttpPage> page = HttpGet(odd_->http(), "/readyz");
    ASSERT_TRUE(page.ok());
    EXPECT_THAT(page->body, HasSubstr("clock"));
    const CommandResult status =
        RunCommand({ProgramPath("meridianctl"), "status", "--admin", odd_->admin()});
    EXPECT_THAT(status.out, HasSubstr("check NTP")) << status.err;
    EXPECT_TRUE(WaitUntil(
        [&] {
          return odd_->Log().find("error odd us CLOCK_SKEW: this node's clock is") !=
                 std::string::npos;
        },
        kPatience));
  }
  void ExpectRight() const {
    EXPECT_TRUE(WaitUntil([&] { return OddMetric("meridian_clock_refused") == 0; }, kPatience));
    EXPECT_TRUE(WaitUntil([&] { return OddIsReady(); }, kPatience));
  }
  // Whether the coordinator tells of a clock that is off.
  bool IsToldOf(const std::string& node) const {
    for (const nlohmann::json& alert :
         FetchList(cluster_->Address("us-coordinator-1", "http"), "/v1/cluster/alerts", "alerts")) {
      if (alert["name"] == "MeridianClockOff" && alert["state"] == "firing" &&
          alert["labels"].value("node", "") == node) {
        return true;
      }
    }
    return false;
  }
  static bool IsGone(Client& client, const std::string& key) {
    return client.Get(kSpace, key).status == ResultStatus::kMiss;
  }

  ClockShift shift_;
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<TestNode> odd_;
  std::unique_ptr<Client> us_;
  std::unique_ptr<Client> eu_;
};

TEST_F(ClockTest, ANodeThatStartsWithAWrongClockIsRefusedAndItIsSeen) {
  ASSERT_NO_FATAL_FAILURE(StartOddNode(absl::Seconds(90), /*until_ready=*/false));
  ExpectRefused();
  EXPECT_TRUE(WaitUntil([&] { return IsToldOf("odd"); }, kPatience)) << "though it is no member";
  shift_.Set(absl::ZeroDuration());
  ExpectRight();
  EXPECT_TRUE(WaitUntil([&] { return !IsToldOf("odd"); }, kPatience));
}

TEST_F(ClockTest, AClockThatJumpsGivesNoVersionAndNobodyGetsAnErrorOrAWrongValue) {
  ASSERT_NO_FATAL_FAILURE(StartOddNode(absl::ZeroDuration()));
  ASSERT_TRUE(WaitUntil([&] { return Owns(cluster_->Address("us-node-1", "http")); }, kPatience));
  CheckedLoad load(*us_, {.stale_bound = kStaleBound});
  ASSERT_TRUE(load.Progress(1000));
  for (const absl::Duration jump : {absl::Seconds(90), -absl::Seconds(90)}) {
    shift_.Set(jump);
    ExpectRefused();
    ASSERT_TRUE(load.Progress(1000));
    for (int i = 0; i < 50; ++i) {
      const WriteResult result = us_->Set(kSpace, absl::StrCat("in time:", i), "x");
      ASSERT_TRUE(result.ok()) << result.error->reason;
      EXPECT_LT(absl::AbsDuration(result.version.time() - absl::Now()), absl::Seconds(30))
          << "a version of the wrong clock";
    }
    EXPECT_EQ(load.errors(), 0u) << "with " << jump << ": " << load.error_text();
    shift_.Set(absl::ZeroDuration());
    ExpectRight();
    ASSERT_TRUE(load.Progress(1000));
    EXPECT_EQ(load.errors(), 0u) << "after " << jump << ": " << load.error_text();
  }
  load.Stop();
  EXPECT_EQ(load.errors(), 0u) << load.error_text();
  load.CheckAllAtRest();
  EXPECT_THAT(load.wrong(), IsEmpty());
}

class HalfAMinuteTest : public ClockTest, public testing::WithParamInterface<int> {};

TEST_P(HalfAMinuteTest, NoWriteIsLostAndNoDeleteComesBack) {
  constexpr int kKeys = 40;
  ASSERT_NO_FATAL_FAILURE(StartOddNode(absl::Seconds(GetParam())));
  ASSERT_TRUE(WaitUntil([&] { return Owns(cluster_->Address("us-node-1", "http")); }, kPatience));
  EXPECT_EQ(OddMetric("meridian_clock_refused"), 0);
  CheckedLoad load(*us_, {.stale_bound = kStaleBound});
  ASSERT_TRUE(load.Progress(1000));

  // What us wrote (half of it with the odd clock), eu deletes or replaces once it has it, and the
  // other way round: each is later, and wins, whatever the clocks say.
  const auto key = [](int i) { return absl::StrCat("skew:", i); };
  for (int i = 0; i < kKeys; ++i) {
    Client& first = i % 4 < 2 ? *us_ : *eu_;
    Client& second = i % 4 < 2 ? *eu_ : *us_;
    ASSERT_TRUE(first.Set(kSpace, key(i), "first").ok());
    ASSERT_TRUE(WaitUntil([&] { return second.Get(kSpace, key(i)).value == "first"; }, kPatience));
    const WriteResult later =
        i % 2 == 0 ? second.Invalidate(kSpace, key(i)) : second.Set(kSpace, key(i), "second");
    ASSERT_TRUE(later.ok()) << later.error->message;
  }
  const auto holds = [&](Client& client, int i) {
    return i % 2 == 0 ? IsGone(client, key(i)) : client.Get(kSpace, key(i)).value == "second";
  };
  for (int i = 0; i < kKeys; ++i) {
    EXPECT_TRUE(WaitUntil([&] { return holds(*us_, i) && holds(*eu_, i); }, kPatience)) << key(i);
  }

  // Another node, whose clock is right, takes over what the odd one wrote.
  ASSERT_TRUE(load.Progress(1000));
  EXPECT_EQ(load.errors(), 0u) << load.error_text();
  odd_->process().Kill();
  for (int i = 0; i < kKeys; ++i) {
    const auto write = [&] {
      return i % 2 == 0 ? us_->Set(kSpace, key(i), "third").ok()
                        : us_->Invalidate(kSpace, key(i)).ok();
    };
    ASSERT_TRUE(WaitUntil(write, kPatience));
  }
  const auto ends = [&](Client& client, int i) {
    return i % 2 == 0 ? client.Get(kSpace, key(i)).value == "third" : IsGone(client, key(i));
  };
  for (int i = 0; i < kKeys; ++i) {
    EXPECT_TRUE(WaitUntil([&] { return ends(*us_, i) && ends(*eu_, i); }, kPatience)) << key(i);
  }
  ASSERT_TRUE(load.Progress(500));
  load.Stop();
  load.CheckAllAtRest();
  EXPECT_THAT(load.wrong(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Clock, HalfAMinuteTest, testing::Values(30, -30),
                         [](const auto& one) { return one.param > 0 ? "Ahead" : "Behind"; });

}  // namespace
}  // namespace meridian
