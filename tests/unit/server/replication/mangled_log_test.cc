// A whole node whose changelog tells everything out of order, twice, and again later, without any
// other fault: what it serves is as new as ever, and slots in which nothing changes are served from
// L1 all the time.

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "tests/unit/server/replication/node_stack.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

constexpr int kKeys = 6;
// Two polls of two calls each, and the pause between them.
constexpr absl::Duration kBound = absl::Milliseconds(200);

class MangledLogTest : public testing::TestWithParam<uint64_t> {
 protected:
  MangledLogTest() {
    wire_.mangler_seed = GetParam();
    world_.Start();
    Run(absl::Seconds(1));
    node_ = std::make_unique<NodeStack>(world_, "us", 0);
  }
  void Run(absl::Duration duration) { world_.executor.RunFor(duration); }
  static std::string Busy(int i) { return absl::StrCat("{busy}", i % kKeys); }
  static std::string Quiet(int i) { return absl::StrCat("{quiet", i % kKeys, "}"); }

  ReplicationWorld world_{{"us"}, 1};
  StoreWire& wire_ = *world_.node("us").wires["us"];
  std::unique_ptr<NodeStack> node_;
};

TEST_P(MangledLogTest, NothingStaleIsServedAfterTheBoundAndOtherSlotsStayInL1) {
  for (int i = 0; i < kKeys; ++i) {
    world_.Set("us", Quiet(i), "v");
    world_.Set("us", Busy(i), "0");
  }
  Run(kBound);
  for (int i = 0; i < kKeys; ++i) ASSERT_EQ(node_->Read(Quiet(i)), "v");
  int busy_hits = 0;
  for (int round = 1; round <= 300; ++round) {
    // Around the node, several to a poll; L1 has what was before.
    const std::string value = absl::StrCat(round);
    for (int i = 0; i < kKeys; ++i) node_->Read(Busy(i));
    for (int i = 0; i < kKeys; ++i) {
      if ((round + i) % 3 == 0) world_.Delete("us", Busy(i));
      world_.Set("us", Busy(i), value);
      if ((round + i) % 4 == 0) world_.Delete("us", Busy(i));
    }
    Run(absl::Milliseconds(round % 25));
    for (int i = 0; i < kKeys; ++i) {
      ASSERT_EQ(node_->ReadFrom(Quiet(i)), Tier::kL1) << "round " << round;
    }
    Run(kBound);
    for (int i = 0; i < kKeys; ++i) {
      const bool deleted = (round + i) % 4 == 0;
      ASSERT_EQ(node_->Read(Busy(i)), deleted ? "miss" : value) << "round " << round;
      // What comes late of older changes throws out nothing that is newer.
      Run(absl::Milliseconds(30));
      busy_hits += !deleted && node_->ReadFrom(Busy(i)) == Tier::kL1 ? 1 : 0;
    }
  }
  EXPECT_GT(wire_.mangled, 150);
  EXPECT_GT(busy_hits, 300 * kKeys / 2);
}

INSTANTIATE_TEST_SUITE_P(Seeds, MangledLogTest, testing::Range(uint64_t{1}, uint64_t{6}));

}  // namespace
}  // namespace meridian
