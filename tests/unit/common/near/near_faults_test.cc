// What near caches promise whatever happens to the streams that they follow (WatchWorld): no read
// is staler than the bound, and what nothing happens to is served as if nothing happened at all.

#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "tests/unit/common/near/watch_world.h"

namespace meridian {
namespace {

using Troubles = WatchWorld::Troubles;

TEST(NearFaultsTest, NoReadIsStalerThanTheBoundWhateverHappensToTheStreams) {
  const uint32_t first = std::random_device()();
  for (uint32_t round = 0; round < 60; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", first + round));
    WatchWorld world(first + round);
    for (int phase = 0; phase < 4; ++phase) {
      const bool trouble = phase % 2 == 0;
      for (int step = 0; step < 1000; ++step) {
        world.Step(Troubles::All(trouble ? 1 : 0));
        if (testing::Test::HasFatalFailure()) return;
      }
      // In quiet times it comes back by itself.
      if (!trouble) {
        world.ResetCounts();
        for (int step = 0; step < 500; ++step) {
          world.Step(Troubles::All(0));
        }
        EXPECT_GT(world.hits(), world.reads() / 4);
      }
    }
  }
}

TEST(NearFaultsTest, InQuietTimesAChangeIsSeenAtOnceAndMostReadsHit) {
  WatchWorld world(7);
  for (int step = 0; step < 5000; ++step) {
    world.Step(Troubles::All(0));
    if (step == 1000) world.ResetCounts();
  }
  EXPECT_GT(world.hits(), world.reads() / 2);
}

// While everything bad happens elsewhere, whatever is kept and was not changed is a hit, every
// time, and as many reads hit as in quiet times.
void ExpectCalmSlotsAreServed(const Troubles& troubles) {
  const uint32_t first = std::random_device()();
  for (uint32_t round = 0; round < 30; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", first + round));
    WatchWorld world(first + round);
    for (int step = 0; step < 3000; ++step) {
      world.Step(troubles);
      if (testing::Test::HasFatalFailure()) return;
    }
    EXPECT_EQ(world.calm().missed, 0);
    EXPECT_GT(world.calm().owed, 100);
    EXPECT_GT(world.calm().hits, world.calm().reads / 2);
  }
}

TEST(NearFaultsTest, FaultsOfOneNodesStreamCostNoHitOnKeysOfAnother) {
  ExpectCalmSlotsAreServed({.owners = {1, 0}});
}

TEST(NearFaultsTest, SlotsThatMoveCostNoHitOnThoseThatStay) {
  ExpectCalmSlotsAreServed({.owners = {1, 0}, .moves = 0.1});
}

TEST(NearFaultsTest, SlotsThatAreAwayWithTheirServerCostNoHitOnOthersOfTheSameStream) {
  ExpectCalmSlotsAreServed({.servers = 1});
}

}  // namespace
}  // namespace meridian
