// Jobs of one priority share what may be read; those of a higher one come first.

#include <string>

#include "gmock/gmock.h"
#include "tests/unit/server/warming/warmer_fixture.h"

namespace meridian {
namespace {

using ::testing::Ge;
using ::testing::Le;
using ::testing::Lt;

class WarmerFairnessTest : public WarmerTest {
 protected:
  static std::string Queue(Process& process, const std::string& keys, int32_t priority = 0,
                           const std::string& name_space = "task") {
    const absl::StatusOr<WarmJob> job = process.Run({keys}, priority, name_space);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? job->id : "";
  }
};

TEST_F(WarmerFairnessTest, AJobOfAMillionKeysHoldsUpNobodyOfItsPriority) {
  Process& leader = NewLeader();
  const std::string large = Queue(leader, "large:{1..1000000}");
  RunFor(absl::Seconds(2), {&leader});
  const std::string small = Queue(leader, "small:{1..150}");
  WarmOrder order{.source = "rule", .name = "r", .name_space = "task", .text = {}};
  order.text.keys = {"rule:{1..150}"};
  leader.warmer.QueueAll({order}, [](const absl::Status& status) { ASSERT_TRUE(status.ok()); });
  // A turn is of 1000 keys, and so is a second.
  RunFor(absl::Seconds(3), {&leader});
  EXPECT_EQ(leader.Job(small).state, WarmJobState::kDone);
  for (const WarmJob& job : leader.AllJobs()) {
    EXPECT_EQ(job.state == WarmJobState::kDone, job.id != large) << job.id;
  }
  EXPECT_THAT(leader.Job(large).warmed_keys, Ge(4000u)) << "and it is not held up either";
}

TEST_F(WarmerFairnessTest, LargeJobsGoOnSideBySideAlsoUnderTheNextLeader) {
  Process& first = NewLeader();
  const std::string one = Queue(first, "one:{1..1000000}");
  const std::string two = Queue(first, "two:{1..1000000}");
  RunFor(absl::Seconds(20), {&first});
  EXPECT_THAT(first.Job(one).warmed_keys, Le(first.Job(two).warmed_keys + 1100));
  EXPECT_THAT(first.Job(one).warmed_keys + 1100, Ge(first.Job(two).warmed_keys));
  first.Die();
  Process& second = NewLeader();
  const uint64_t one_then = second.Job(one).warmed_keys;
  const uint64_t two_then = second.Job(two).warmed_keys;
  RunFor(absl::Seconds(20), {&second});
  EXPECT_THAT(second.Job(one).warmed_keys - one_then, Ge(9000u));
  EXPECT_THAT(second.Job(two).warmed_keys - two_then, Ge(9000u));
}

// A batch of few keys has its tokens sooner than a full one.
TEST_F(WarmerFairnessTest, SmallBatchesDoNotOvertakeWhoHasTheHigherPriority) {
  Process& leader = NewLeader();
  const std::string high = Queue(leader, "high:{1..100000}", 5);
  const std::string low = Queue(leader, "low:{1..30}");
  RunFor(absl::Seconds(5), {&leader});
  EXPECT_EQ(leader.Job(low).warmed_keys, 0u);
  EXPECT_THAT(leader.Job(high).warmed_keys, Ge(5000u));
  EXPECT_EQ(leader.Control(high, WarmAction::kPause), absl::OkStatus());
  RunFor(absl::Seconds(1), {&leader});
  EXPECT_EQ(leader.Job(low).state, WarmJobState::kDone);
}

TEST_F(WarmerFairnessTest, ANamespaceWithoutBudgetLeavesThatOfItsOriginToOthers) {
  ASSERT_TRUE(settings_
                  .ReadFile("f.yaml",
                            "budgets: {namespaces: {tight: 10, wide: 1000}, origins: {o: "
                            "{keys_per_second: 1000, namespaces: [tight, wide]}}}")
                  .ok());
  Process& leader = NewLeader();
  const std::string tight = Queue(leader, "t:{1..1000}", 5, "tight");
  const std::string wide = Queue(leader, "w:{1..3000}", 0, "wide");
  RunFor(absl::Seconds(4), {&leader});
  EXPECT_THAT(leader.Job(tight).warmed_keys, Lt(100u));
  EXPECT_EQ(leader.Job(wide).state, WarmJobState::kDone);
}

}  // namespace
}  // namespace meridian
