#include "server/refill/slot_refill.h"

#include "tests/unit/server/refill/refill_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class SlotRefillTest : public RefillFixture {
 protected:
  void SetUp() override {
    NamespacePolicy policy;
    policy.promotion_misses = 3;  // Of reads; a refill does not ask again.
    PolicyTable policies;
    policies.Set("*", policy);
    StartNodes(1, /*l1_only=*/false, policies);
  }

  // `count` keys of the slot in L2, of falling weight, and the digest that names them.
  void StoreHot(int count) {
    std::vector<HeatKey> keys;
    for (int i = 0; i < count; ++i) {
      Store(KeyOf(i));
      keys.push_back({kSpace, KeyOf(i), static_cast<uint8_t>(60 - i)});
    }
    PlantDigest(keys);
  }
  static RefillOptions AtRate(double keys_per_second) {
    RefillOptions options;
    options.refill.keys_per_second = keys_per_second;
    options.saver.interval = absl::Hours(10);
    return options;
  }
  std::vector<int> Filled(int count) {
    std::vector<int> filled;
    for (int i = 0; i < count; ++i) {
      if (InL1(KeyOf(i))) filled.push_back(i);
    }
    return filled;
  }
};

TEST_F(SlotRefillTest, TheHottestFirstAndNoFasterThanTheRate) {
  StoreHot(40);
  StartRefill(AtRate(10));
  FollowAll();
  EXPECT_EQ(refill_->warmth(), 0);
  executor_.RunFor(absl::Milliseconds(350));
  EXPECT_THAT(Filled(40), ElementsAre(0, 1, 2));
  EXPECT_GT(refill_->warmth(), 0);
  EXPECT_LT(refill_->warmth(), 0.2);
  executor_.RunFor(absl::Seconds(2));
  EXPECT_NEAR(Filled(40).size(), 23, 1);
  EXPECT_THAT(settled_, IsEmpty());
  executor_.RunFor(absl::Seconds(3));
  EXPECT_EQ(Filled(40).size(), 40u);
  EXPECT_EQ(refill_->warmth(), 1);
  ASSERT_EQ(settled_.size(), 1u);
  EXPECT_NEAR(absl::ToDoubleSeconds(settled_[0].first), 4, 0.2);
  EXPECT_EQ(settled_[0].second, 40u);
}

TEST_F(SlotRefillTest, TheHottestOfAllSlotsComeFirst) {
  Store(KeyOf(0));
  Store("{other}:0");
  Store("{other}:1");
  PlantDigest({{kSpace, KeyOf(0), 30}});
  PlantDigest({{kSpace, "{other}:0", 50}, {kSpace, "{other}:1", 10}});
  StartRefill(AtRate(10));
  FollowAll();
  executor_.RunFor(absl::Milliseconds(130));
  EXPECT_TRUE(InL1("{other}:0"));
  EXPECT_FALSE(InL1(KeyOf(0)));
  executor_.RunFor(absl::Milliseconds(100));
  EXPECT_TRUE(InL1(KeyOf(0)));
  EXPECT_FALSE(InL1("{other}:1"));
}

// The tail's sink before this one drops L1 when it begins to follow a slot: what came earlier would
// be lost.
TEST_F(SlotRefillTest, NoKeyIsReadBeforeItsSlotIsFollowed) {
  StoreHot(3);
  StartRefill(AtRate(1000));
  executor_.RunFor(absl::Seconds(5));
  EXPECT_EQ(refill_->expected_keys(), 3u) << "the digest is there";
  EXPECT_THAT(Filled(3), IsEmpty());
  EXPECT_EQ(refill_->warmth(), 0);
  FollowAll();
  executor_.RunFor(absl::Seconds(1));
  EXPECT_THAT(Filled(3), ElementsAre(0, 1, 2));
}

TEST_F(SlotRefillTest, ASlotThatLostItsL1ToAHoleIsRefilledAgain) {
  StoreHot(3);
  StartRefill(AtRate(1000));
  FollowAll();
  executor_.RunFor(absl::Seconds(1));
  node(0).engine().DropSlot(Slot());
  refill_->OnGap(Slot(), GapKind::kTrimmed);
  executor_.RunFor(absl::Seconds(1));
  EXPECT_THAT(Filled(3), ElementsAre(0, 1, 2));
}

TEST_F(SlotRefillTest, ASlotThatIsLostIsNotReadFor) {
  StoreHot(20);
  StartRefill(AtRate(10));
  FollowAll();
  executor_.RunFor(absl::Milliseconds(550));
  EXPECT_EQ(Filled(20).size(), 5u);
  node(0).topology().Offer(TopologyOf(2, {"another"}));
  node(0).engine().DropSlot(Slot());
  refill_->OnSlotLost(Slot());
  const size_t fetched = store_.calls().fetched_keys;
  executor_.RunFor(absl::Seconds(5));
  EXPECT_EQ(store_.calls().fetched_keys, fetched);
  EXPECT_THAT(Filled(20), IsEmpty());
  EXPECT_EQ(refill_->warmth(), 0) << "it owns nothing";
}

TEST_F(SlotRefillTest, WhatIsDeletedOrOverKeepsNobodyCold) {
  StoreHot(4);
  ASSERT_EQ(WriteOne(node(0), InvalidateOf(KeyOf(0))).state, EntryState::kOk);
  store_.Evict(kSpace, KeyOf(1));
  StartRefill(AtRate(1000));
  FollowAll();
  executor_.RunFor(absl::Seconds(1));
  EXPECT_THAT(Filled(4), ElementsAre(2, 3));
  EXPECT_EQ(Outcomes(RefillOutcome::kGone), 2u);
  EXPECT_EQ(refill_->warmth(), 1);
}

TEST_F(SlotRefillTest, WhatReadsHaveBroughtAlreadyCostsNothing) {
  StoreHot(2);
  for (int i = 0; i < 3; ++i) ReadOne(node(0), KeyOf(0));
  ASSERT_THAT(Filled(2), ElementsAre(0));
  const size_t fetched = store_.calls().fetched_keys;
  StartRefill(AtRate(1000));
  FollowAll();
  executor_.RunFor(absl::Seconds(1));
  EXPECT_EQ(store_.calls().fetched_keys, fetched + kSlotCount + 1) << "digests, and one key";
  EXPECT_EQ(Outcomes(RefillOutcome::kResident), 1u);
  EXPECT_EQ(refill_->warmth(), 1);
}

TEST_F(SlotRefillTest, AWriteThatComesMeanwhileIsNotOvertaken) {
  StoreHot(1);
  StartRefill(AtRate(1000));
  executor_.RunFor(absl::Seconds(1));
  store_.HoldNextReply();
  FollowAll();
  executor_.RunFor(absl::Milliseconds(30));  // It has read the old value, which is on its way.
  WriteOne(node(0), SetOf(KeyOf(0), "new"));
  // And L1 gives that up again, so that no version there keeps the old one out.
  node(0).engine().Erase(node(0).KeyOf(KeyOf(0)), node(0).versions().Next());
  store_.ReleaseReplies();
  executor_.RunFor(absl::Seconds(1));
  EXPECT_FALSE(InL1(KeyOf(0))) << "the old value came back";
  EXPECT_EQ(Show(ReadOne(node(0), KeyOf(0))), "new@L2");
}

TEST_F(SlotRefillTest, WhatAFenceKillsMeanwhileStaysAway) {
  StoreHot(2);
  StartRefill(AtRate(1000));
  executor_.RunFor(absl::Seconds(1));
  store_.HoldNextReply();
  FollowAll();
  executor_.RunFor(absl::Milliseconds(30));
  std::optional<EntryState> fenced;
  node(0).fence_path().Invalidate(
      {kSpace, FenceScope::kNamespace, "", clock_.Now() + absl::Seconds(1)},
      [&](const FenceResult& result) { fenced = result.result.state; });
  executor_.RunDue();
  ASSERT_EQ(fenced, EntryState::kOk);
  store_.ReleaseReplies();
  executor_.RunFor(absl::Seconds(1));
  EXPECT_THAT(Filled(2), IsEmpty());
  EXPECT_EQ(Outcomes(RefillOutcome::kRefused), 2u);
}

TEST_F(SlotRefillTest, NothingIsEvictedForIt) {
  const std::string large(1 << 20, 'x');
  for (int i = 0; i < 10; ++i) Store(KeyOf(i), large);
  std::vector<HeatKey> keys;
  for (int i = 0; i < 10; ++i) keys.push_back({kSpace, KeyOf(i), static_cast<uint8_t>(60 - i)});
  PlantDigest(keys);
  // 64 MiB are allowed, and 95 % of them to be refilled.
  for (int i = 0; i < 57; ++i) WriteOne(node(0), SetOf(absl::StrCat("resident:", i), large));
  node(0).engine().Advance(clock_.Monotonic(), 1000);  // Frees what Store has dropped.
  const size_t before = node(0).engine().entries();
  StartRefill(AtRate(1000));
  FollowAll();
  executor_.RunFor(absl::Seconds(5));
  EXPECT_THAT(Filled(10), ElementsAre(0, 1, 2));
  EXPECT_EQ(node(0).engine().entries(), before + 3);
  EXPECT_EQ(Outcomes(RefillOutcome::kNoRoom), 7u);
  EXPECT_LT(refill_->warmth(), 0.5) << "it is not warm for all that";
  for (int i = 0; i < 57; ++i) EXPECT_TRUE(InL1(absl::StrCat("resident:", i)));
}

// What a hole has killed takes memory until it is freed, which is not at once.
TEST_F(SlotRefillTest, WaitsForTheMemoryOfWhatAHoleHasKilled) {
  const std::string large(1 << 20, 'x');
  for (int i = 0; i < 62; ++i) WriteOne(node(0), SetOf(absl::StrCat("{s}:old:", i), large));
  StoreHot(3);  // Drops the slot.
  StartRefill(AtRate(1000));
  FollowAll();
  executor_.RunFor(absl::Seconds(2));
  EXPECT_THAT(Filled(3), IsEmpty());
  EXPECT_EQ(Outcomes(RefillOutcome::kNoRoom), 0u);
  node(0).engine().Advance(clock_.Monotonic(), 10);
  executor_.RunFor(absl::Seconds(2));
  EXPECT_THAT(Filled(3), ElementsAre(0, 1, 2));
  EXPECT_EQ(refill_->warmth(), 1);
}

TEST_F(SlotRefillTest, LargeValuesAreReadNoFasterThanTheirBytesMayBe) {
  const std::string large(1 << 20, 'x');
  std::vector<HeatKey> keys;
  for (int i = 0; i < 20; ++i) {
    Store(KeyOf(i), large);
    keys.push_back({kSpace, KeyOf(i), static_cast<uint8_t>(60 - i)});
  }
  PlantDigest(keys);
  node(0).engine().Clear();
  RefillOptions options = AtRate(100);
  options.refill.bytes_per_second = 2 << 20;
  StartRefill(options);
  FollowAll();
  executor_.RunFor(absl::Seconds(3));
  EXPECT_NEAR(Filled(20).size(), 7, 3);
  executor_.RunFor(absl::Seconds(8));
  EXPECT_EQ(Filled(20).size(), 20u);
}

TEST_F(SlotRefillTest, WhatIsLateTogetherIsReadInSmallerBatches) {
  StoreHot(40);
  StartRefill(AtRate(10'000));
  FollowAll();
  store_.FailNext(absl::DeadlineExceededError("late"), 4);
  while (Filled(40).empty() && settled_.empty()) {
    executor_.RunFor(absl::Milliseconds(5));
  }
  EXPECT_EQ(Filled(40).size(), 2u) << "40, 20, 10, 5 and then 2";
  executor_.RunFor(absl::Seconds(5));
  EXPECT_EQ(Filled(40).size(), 40u);
  EXPECT_EQ(Outcomes(RefillOutcome::kLate), 0u);
}

TEST_F(SlotRefillTest, WhatIsLateAloneEachTimeIsGivenUpAndIsNotWarm) {
  StoreHot(3);
  StartRefill(AtRate(1000));
  FollowAll();
  store_.FailNext(absl::DeadlineExceededError("late"), 1000);
  executor_.RunFor(absl::Seconds(30));
  EXPECT_EQ(Outcomes(RefillOutcome::kLate), 3u);
  EXPECT_EQ(settled_.size(), 1u);
  EXPECT_EQ(refill_->warmth(), 0);
}

TEST_F(SlotRefillTest, WhatRedisRefusesToReadIsNotWarm) {
  StoreHot(2);
  StartRefill(AtRate(1000));
  FollowAll();
  store_.FailNext(absl::InternalError("no"), 1);
  executor_.RunFor(absl::Seconds(2));
  EXPECT_EQ(Outcomes(RefillOutcome::kFailed), 2u);
  EXPECT_EQ(refill_->warmth(), 0);
}

using RefillOfABudgetTest = RefillFixture;

TEST_F(RefillOfABudgetTest, NothingIsEvictedForItFromANamespacesBudget) {
  NamespacePolicy policy;
  policy.pools = {{.max_bytes = 64 << 10}};
  PolicyTable policies;
  policies.Set(kSpace, policy);
  StartNodes(1, /*l1_only=*/false, policies);
  const std::string value(4000, 'x');
  std::vector<HeatKey> keys;
  for (int i = 0; i < 30; ++i) {
    Store(KeyOf(i), value);
    keys.push_back({kSpace, KeyOf(i), static_cast<uint8_t>(60 - i)});
  }
  PlantDigest(keys);
  node(0).engine().Clear();
  WriteOne(node(0), SetOf("resident", value));
  const auto evicted = [this] {
    uint64_t count = 0;
    for (const NamespaceEngineStats& stats : node(0).engine().Stats()) {
      count += stats.counters.evicted(EvictionCause::kSize);
    }
    return count;
  };
  const uint64_t before = evicted();
  StartRefill();
  FollowAll();
  executor_.RunFor(absl::Seconds(5));
  EXPECT_TRUE(InL1(KeyOf(0)));
  EXPECT_TRUE(InL1("resident"));
  EXPECT_FALSE(InL1(KeyOf(29)));
  EXPECT_GT(Outcomes(RefillOutcome::kNoRoom), 10u);
  EXPECT_EQ(evicted(), before);
}

TEST_F(SlotRefillTest, JunkInRedisIsNoDigest) {
  Plant(Slot(), "junk");
  Plant(7, std::string(100'000, 'x'));
  store_.Plant(HeatKeyOf(8), "not even a record", absl::Hours(1));
  StartRefill(AtRate(1000));
  FollowAll();
  executor_.RunFor(absl::Seconds(1));
  EXPECT_EQ(refill_->warmth(), 1);
  EXPECT_EQ(refill_->expected_keys(), 0u);
}

TEST_F(SlotRefillTest, ADigestWhoseLifeIsOverIsNone) {
  StoreHot(2);
  Plant(Slot(), HeatDigest::Of({{kSpace, KeyOf(0), 9}}).bytes(), -absl::Seconds(1));
  StartRefill(AtRate(1000));
  EXPECT_EQ(refill_->expected_keys(), 0u);
}

TEST_F(SlotRefillTest, WhileRedisIsDownNothingIsKnownAndItGoesOnWhenItIsBack) {
  StoreHot(3);
  store_.SetAvailable(false);
  StartRefill(AtRate(1000));
  FollowAll();
  executor_.RunFor(absl::Seconds(30));
  EXPECT_EQ(refill_->warmth(), 0);
  EXPECT_LT(store_.calls().fetch, 100) << "less and less often";
  store_.SetAvailable(true);
  executor_.RunFor(absl::Seconds(5));
  EXPECT_THAT(Filled(3), ElementsAre(0, 1, 2));
  EXPECT_EQ(refill_->warmth(), 1);
}

TEST_F(SlotRefillTest, AnOutageAmidTheRefillLosesNoKey) {
  StoreHot(30);
  StartRefill(AtRate(50));
  FollowAll();
  executor_.RunFor(absl::Milliseconds(200));
  store_.SetAvailable(false);
  executor_.RunFor(absl::Seconds(60));
  store_.SetAvailable(true);
  executor_.RunFor(absl::Seconds(5));
  EXPECT_EQ(Filled(30).size(), 30u);
  EXPECT_EQ(Outcomes(RefillOutcome::kError), 0u);
}

TEST_F(SlotRefillTest, SwitchedOffReadsNothing) {
  StoreHot(3);
  const int fetches = store_.calls().fetch;
  StartRefill(AtRate(0));
  FollowAll();
  executor_.RunFor(absl::Seconds(5));
  EXPECT_EQ(store_.calls().fetch, fetches);
  EXPECT_THAT(Filled(3), IsEmpty());
  EXPECT_EQ(refill_->warmth(), 1) << "nobody waits for it";
}

TEST_F(SlotRefillTest, CountsInNoFigureOfUsers) {
  StoreHot(3);
  const auto figures = [this] {
    const Namespace& space = *node(0).context().namespaces.Resolve(kSpace);
    const NamespaceCounters& counters = space.counters;
    std::vector<uint64_t> all = {counters.l1_hits, counters.l2_hits, counters.misses,
                                 counters.errors, counters.not_admitted};
    for (const NamespaceEngineStats& stats : node(0).engine().Stats()) {
      all.push_back(stats.counters.hits);
      all.push_back(stats.counters.misses());
    }
    return all;
  };
  const std::vector<uint64_t> before = figures();
  StartRefill(AtRate(1000));
  FollowAll();
  executor_.RunFor(absl::Seconds(1));
  ASSERT_THAT(Filled(3), ElementsAre(0, 1, 2));
  EXPECT_EQ(figures(), before);
}

}  // namespace
}  // namespace meridian
