#include "server/replication/hearing.h"

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/version_before.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// What us has not been told of what eu did until now.
class HearingTest : public testing::Test {
 protected:
  HearingAnswer Ask(std::vector<uint32_t> slots, bool by_key = true, HearingLimits limits = {}) {
    world_.executor.RunFor(absl::Seconds(1));
    std::optional<HearingAnswer> answer;
    AskHearing(us(), {"eu", &eu(), std::move(slots), world_.clock.Now(), by_key, limits},
               absl::Seconds(5), gate_, world_.clock,
               [&answer](HearingAnswer given) { answer = std::move(given); });
    world_.executor.RunFor(absl::Seconds(1));
    EXPECT_TRUE(answer.has_value());
    return answer.value_or(HearingAnswer());
  }
  // us is told of everything that eu has done in the slot.
  void Tell(uint32_t slot) {
    us().ApplyReplicated("eu", slot, world_.Log("eu", slot).back().position, {},
                         absl::InfiniteFuture(), [](const std::vector<L2WriteResult>&) {});
    world_.executor.RunFor(absl::Milliseconds(10));
  }
  static L2Key Key(const std::string& key) { return {SlotOf("task", key), "task", key}; }
  FakeL2Store& us() { return *world_.region("us").store; }
  FakeL2Store& eu() { return *world_.region("eu").store; }

  const uint32_t kSlot = SlotOf("task", "{a}");
  ReplicationWorld world_{{"us", "eu"}};
  TaskGate gate_{world_.executor};
};

TEST_F(HearingTest, WhatWasNotToldIsNamedWithItsNewestVersion) {
  world_.Set("eu", "{a}told", "v");
  Tell(kSlot);
  world_.Set("eu", "{a}k", "v");
  const Version newest = world_.Delete("eu", "{a}k");
  const HearingAnswer answer = Ask({kSlot});
  EXPECT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_THAT(answer.unheard, IsEmpty());
  EXPECT_EQ(answer.changed.NewestOf(Key("{a}k")), newest);
  EXPECT_FALSE(answer.changed.NewestOf(Key("{a}told")).is_set());
  EXPECT_THAT(Ask({kSlot}, /*by_key=*/false).unheard, ElementsAre(kSlot));
  Tell(kSlot);
  EXPECT_THAT(Ask({kSlot}, /*by_key=*/false).unheard, IsEmpty());
  EXPECT_EQ(Ask({kSlot}).changed.size(), 0u);
}

// What stands just before a change has a region of nobody's.
TEST_F(HearingTest, WhatStandsForAChangeIsSomethingToTell) {
  world_.Set("eu", "{a}told", "v");
  Tell(kSlot);
  const Version drop = JustBefore(world_.region("eu").writer->Next());
  world_.Apply("eu",
               MakeWrite("task", "{a}k", std::nullopt, drop, world_.clock.Now(), absl::Hours(1)));
  EXPECT_THAT(Ask({kSlot}, /*by_key=*/false).unheard, ElementsAre(kSlot));
}

TEST_F(HearingTest, ALogWithAHoleCannotNameIt) {
  world_.Set("eu", "{a}told", "v");
  Tell(kSlot);
  for (int i = 0; i < 10; ++i) world_.Set("eu", absl::StrCat("{a}", i), "v");
  world_.executor.RunDue();
  eu().TrimLog(kSlot, 5);
  EXPECT_THAT(Ask({kSlot}).unheard, ElementsAre(kSlot));
}

TEST_F(HearingTest, ALogThatIsLostOrCannotBeReadCannotNameItEither) {
  world_.Set("eu", "{a}told", "v");
  Tell(kSlot);
  eu().LoseLog(kSlot);
  EXPECT_THAT(Ask({kSlot}).unheard, ElementsAre(kSlot));
  eu().SetAvailable(false);
  const HearingAnswer answer = Ask({kSlot});
  EXPECT_FALSE(answer.status.ok());
  EXPECT_THAT(answer.unheard, ElementsAre(kSlot));
}

// As a Redis that comes back empty: the slot was idle, and everything had been told.
TEST_F(HearingTest, ALogThatIsLostHadToldAllWhenItsRegionHasToldAnythingSince) {
  world_.Set("eu", "{a}told", "v");
  Tell(kSlot);
  world_.executor.RunFor(absl::Hours(50));
  const absl::Time before = world_.clock.Now() - absl::Hours(24);
  const uint32_t other = SlotOf("task", "{b}");
  ASSERT_NE(other, kSlot);
  eu().LoseLog(kSlot);
  const auto ask = [&] {
    std::optional<HearingAnswer> answer;
    AskHearing(us(), {"eu", &eu(), {kSlot}, before, true, {}}, absl::Seconds(5), gate_,
               world_.clock, [&answer](HearingAnswer given) { answer = std::move(given); });
    world_.executor.RunFor(absl::Seconds(1));
    return answer.value_or(HearingAnswer());
  };
  EXPECT_THAT(ask().unheard, ElementsAre(kSlot)) << "it may have been cut off";
  world_.Set("eu", "{b}k", "v");
  Tell(other);
  const HearingAnswer heard = ask();
  EXPECT_TRUE(heard.status.ok());
  EXPECT_THAT(heard.unheard, IsEmpty());
}

TEST_F(HearingTest, WhatIsTooMuchAtOnceIsLeftForLaterAndASlotThatIsTooMuchAloneIsNotTold) {
  std::vector<uint32_t> slots;
  for (int i = 0; i < 40; ++i) {
    const std::string key = absl::StrCat("{", i, "}k");
    slots.push_back(SlotOf("task", key));
    for (int n = 0; n < 10; ++n) world_.Set("eu", absl::StrCat(key, n), "v");
  }
  const HearingLimits limits{.keys = 100, .entries = 1'000'000};
  const HearingAnswer some = Ask(slots, true, limits);
  EXPECT_THAT(some.unheard, IsEmpty());
  EXPECT_THAT(some.later, SizeIs(testing::AllOf(testing::Gt(0u), testing::Lt(40u))));
  EXPECT_THAT(Ask(slots).later, IsEmpty());
  for (int n = 0; n < 3000; ++n) world_.Set("eu", absl::StrCat("{a}", n % 50), "v");
  const HearingLimits few{.keys = 100, .entries = 1000};
  EXPECT_THAT(Ask({kSlot}, true, few).unheard, ElementsAre(kSlot));
  EXPECT_EQ(Ask({kSlot}).changed.size(), 50u);
}

}  // namespace
}  // namespace meridian
