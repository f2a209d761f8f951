#include "server/replication/store_probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_l2_store.h"

namespace meridian {
namespace {

constexpr uint32_t kSlot = 7;

class StoreProbeTest : public testing::Test {
 protected:
  L2Write Probe() { return ProbeWrite(kSlot, "us", clock_.Now()); }
  bool Takes(const L2Write& probe) {
    bool took = false;
    store_.Apply({probe}, absl::InfiniteFuture(),
                 [&](const std::vector<L2WriteResult>& results) { took = TookProbe(results); });
    executor_.RunDue();
    return took;
  }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeL2Store store_{clock_, executor_};
};

TEST_F(StoreProbeTest, ManyOfOneMillisecondAreAllTaken) {
  std::set<std::string> keys;
  for (int i = 0; i < 1000; ++i) {
    const L2Write probe = Probe();
    keys.insert(probe.key.key);
    ASSERT_TRUE(Takes(probe)) << i;
  }
  EXPECT_EQ(keys.size(), kProbeKeys);
}

TEST_F(StoreProbeTest, ThoseOfDifferentConnectionsMayArriveInAnyOrder) {
  for (int round = 0; round < 3; ++round) {
    std::vector<L2Write> probes;
    for (uint64_t i = 0; i < kProbeKeys; ++i) probes.push_back(Probe());
    std::reverse(probes.begin(), probes.end());
    for (const L2Write& probe : probes) ASSERT_TRUE(Takes(probe)) << probe.key.key;
  }
}

TEST_F(StoreProbeTest, OneThatIsOlderOrRefusedWasNotTaken) {
  const L2Write probe = Probe();
  EXPECT_TRUE(Takes(probe));
  EXPECT_FALSE(Takes(probe)) << "stale";
  store_.FailNext(absl::ResourceExhaustedError("OOM"));
  EXPECT_FALSE(Takes(Probe()));
}

TEST_F(StoreProbeTest, NoChangelogNamesIt) {
  EXPECT_TRUE(Takes(Probe()));
  LogPosition end = {1, 1};
  store_.LogEnds({kSlot}, absl::InfiniteFuture(),
                 [&](absl::StatusOr<std::vector<LogPosition>> ends) { end = ends->front(); });
  executor_.RunDue();
  EXPECT_EQ(end, LogPosition{});
}

}  // namespace
}  // namespace meridian
