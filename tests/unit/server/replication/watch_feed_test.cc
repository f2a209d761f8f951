// What near caches and mirrors keep while a part of the regional store is away: a whole chain from
// the store to the cache, in fake time.

#include "server/replication/watch_feed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "common/near/near_cache.h"
#include "common/near/watch_follower.h"
#include "server/node/fence.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

constexpr absl::Duration kSilence = absl::Seconds(3);
constexpr absl::Duration kTurn = absl::Milliseconds(20);

class WatchFeedTest : public testing::Test {
 protected:
  void SetUp() override {
    world_.node("us").watch = std::make_unique<WatchHub>(WatchHubOptions{}, world_.clock);
    world_.Start();
    Run(absl::Seconds(1));
    cache_ = *NearCache::Create({.capacity_bytes = 1 << 20, .silence = kSilence});
    follower_ = std::make_unique<WatchFollower>(*cache_, cache_->NewSource());
    WatchFollower::Slots slots;
    slots.set(SlotOf("task", "{a}"));
    slots.set(SlotOf("task", "{b}"));
    follower_->SetSlots(slots);
    const cache::v1::WatchRequest request = follower_->Begin(world_.clock.Monotonic());
    SlotSet asked;
    for (const uint32_t slot : request.slots()) asked.set(slot);
    reader_ = hub().Open(asked, request.resume_after(), request.incarnation());
    Run(absl::Milliseconds(100));
  }

  WatchHub& hub() { return *world_.node("us").watch; }
  StoreWire& wire() { return *world_.node("us").wires["us"]; }
  // The cache hears everything at once.
  void Run(absl::Duration duration) {
    for (absl::Duration done; done < duration; done += kTurn) {
      world_.executor.RunFor(kTurn);
      std::string bytes;
      if (!reader_ || !hub().Read(&*reader_, /*alive=*/true, &bytes)) continue;
      cache::v1::WatchResponse message;
      ASSERT_TRUE(message.ParseFromString(bytes));
      ASSERT_TRUE(follower_->Take(message));
    }
  }
  // As a client that has asked the owner; true when the value is kept.
  bool Keep(std::string_view key, Version version) {
    EntryKey located;
    EXPECT_TRUE(cache_->Locate("task", key, &located));
    const NearCache::Token token = cache_->BeginFill(located);
    Entry entry;
    entry.value = Buffer::CopyOf("v");
    entry.raw_size = 1;
    entry.version = version;
    const uint64_t incarnation = hub().Follows(located.slot) ? hub().incarnation() : 0;
    return cache_->Fill(located, std::move(entry), absl::Hours(1), incarnation,
                        world_.clock.Monotonic(), token);
  }
  bool Serves(std::string_view key) {
    EntryKey located;
    EXPECT_TRUE(cache_->Locate("task", key, &located));
    Entry entry;
    return cache_->Get(located, world_.clock.Monotonic(), &entry);
  }

  ReplicationWorld world_{{"us"}, 1};
  std::unique_ptr<NearCache> cache_;
  std::unique_ptr<WatchFollower> follower_;
  std::optional<WatchHub::Reader> reader_;
};

TEST_F(WatchFeedTest, SlotsOfAServerThatIsAwayAreGivenUpAndTheOthersServeOn) {
  const Version a = world_.Set("us", "{a}", "1");
  const Version b = world_.Set("us", "{b}", "1");
  Run(absl::Milliseconds(100));
  ASSERT_TRUE(Keep("{a}", a));
  ASSERT_TRUE(Keep("{b}", b));

  wire().away = {SlotOf("task", "{a}")};
  Run(absl::Milliseconds(100));
  EXPECT_FALSE(Serves("{a}")) << "who knows what others do to it";
  EXPECT_FALSE(Keep("{a}", a));
  // Somebody who still reaches that server writes.
  const Version newer = world_.Set("us", "{a}", "2");
  Run(kSilence * 4);
  EXPECT_TRUE(Serves("{b}")) << "of the others all is known";
  EXPECT_FALSE(Serves("{a}"));
  world_.Set("us", "{b}", "2");
  Run(absl::Milliseconds(100));
  EXPECT_FALSE(Serves("{b}")) << "and heard";

  wire().away.clear();
  Run(absl::Milliseconds(200));
  EXPECT_FALSE(Serves("{a}")) << "nothing from before";
  EXPECT_TRUE(Keep("{a}", newer));
  EXPECT_TRUE(Serves("{a}"));
  world_.Set("us", "{a}", "3");
  Run(absl::Milliseconds(100));
  EXPECT_FALSE(Serves("{a}"));
}

TEST_F(WatchFeedTest, WithoutTheServerThatKeepsFencesNobodyKnowsWhatIsDead) {
  const Version b = world_.Set("us", "{b}", "1");
  Run(absl::Milliseconds(100));
  ASSERT_TRUE(Keep("{b}", b));
  wire().away = {FenceSlots()[0]};
  Run(kSilence * 2);
  EXPECT_FALSE(Serves("{b}"));
  wire().away.clear();
  Run(absl::Milliseconds(200));
  EXPECT_TRUE(Serves("{b}")) << "nothing was missed";
}

// Before the store says which of its servers is away, everybody waits.
TEST_F(WatchFeedTest, WhatIsNotKnownToBeAwayStopsAll) {
  const Version b = world_.Set("us", "{b}", "1");
  Run(absl::Milliseconds(100));
  ASSERT_TRUE(Keep("{b}", b));
  wire().away_is_known = false;
  wire().away = {SlotOf("task", "{a}")};
  world_.Set("us", "{b}2", "1");  // Now there is something to read.
  Run(kSilence * 2);
  EXPECT_FALSE(Serves("{b}"));
  wire().away_is_known = true;
  Run(absl::Seconds(1));
  EXPECT_TRUE(Serves("{b}"));
}

}  // namespace
}  // namespace meridian
