#include "server/refill/heat_saver.h"

#include "tests/unit/server/refill/refill_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;

class HeatSaverTest : public RefillFixture {
 protected:
  void SetUp() override {
    StartNodes(1);
    RefillOptions options;
    options.saver.interval = kRound;
    StartRefill(options);
    FollowAll();
    executor_.RunFor(absl::Seconds(1));
  }

  // In L1, and asked for so often.
  void Heat(const std::string& key, int reads) {
    for (int i = 0; i < reads; ++i) ReadOne(node(0), key);
  }
  void Round() { executor_.RunFor(kRound + absl::Seconds(2)); }
  // "key=weight", hottest first; "none" when nothing is saved.
  std::vector<std::string> Saved() const {
    const std::optional<HeatDigest> digest = SavedDigest(Slot());
    if (!digest) return {"none"};
    std::vector<std::string> shown;
    for (size_t place = HeatDigest::First(); place != digest->End(); place = digest->Next(place)) {
      const HeatDigest::Item item = digest->At(place);
      shown.push_back(absl::StrCat(std::string(item.key), "=", int{item.weight}));
    }
    return shown;
  }

  static constexpr absl::Duration kRound = absl::Seconds(10);
};

TEST_F(HeatSaverTest, SavesWhatL1AnsweredMostOfEachSlotAndNothingThatNobodyAskedFor) {
  for (int i = 0; i < 3; ++i) WriteOne(node(0), SetOf(KeyOf(i), "v"));
  WriteOne(node(0), SetOf("{other}", "v"));
  Heat(KeyOf(0), 3);
  Heat(KeyOf(1), 9);
  Heat("{other}", 2);
  EXPECT_THAT(Saved(), ElementsAre("none"));
  Round();
  EXPECT_THAT(Saved(), ElementsAre("{s}:1=9", "{s}:0=3"));
  const std::optional<HeatDigest> other = SavedDigest(SlotOf(kSpace, "{other}"));
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->At(HeatDigest::First()).key, "{other}");
  EXPECT_EQ(refill_->saved_digests(), 2u) << "slots without heat are not saved";
}

TEST_F(HeatSaverTest, KeepsTheHottestOfMore) {
  for (int i = 0; i < 80; ++i) {
    WriteOne(node(0), SetOf(KeyOf(i), "v"));
    Heat(KeyOf(i), i < 64 ? 2 : 4);
  }
  Round();
  const std::optional<HeatDigest> digest = SavedDigest(Slot());
  ASSERT_TRUE(digest.has_value());
  EXPECT_EQ(digest->size(), 64u);
  EXPECT_EQ(digest->weight(), 16u * 4 + 48 * 2);
}

TEST_F(HeatSaverTest, IsInNoChangelogAndNoListOfNamespaces) {
  WriteOne(node(0), SetOf(KeyOf(0), "v"));
  Heat(KeyOf(0), 3);
  Round();
  ASSERT_THAT(Saved(), ElementsAre("{s}:0=3"));
  std::optional<std::vector<LogPosition>> ends;
  store_.LogEnds({HeatKeyOf(Slot()).slot}, clock_.Now() + absl::Seconds(1),
                 [&](absl::StatusOr<std::vector<LogPosition>> answer) { ends = *answer; });
  executor_.RunDue();
  ASSERT_TRUE(ends.has_value());
  EXPECT_EQ(ends->at(0), LogPosition());
  for (const Namespace* name_space : node(0).context().namespaces.List()) {
    EXPECT_EQ(name_space->name, kSpace);
  }
}

TEST_F(HeatSaverTest, SavesOnlyWhatSaysSomethingElse) {
  WriteOne(node(0), SetOf(KeyOf(0), "v", absl::Hours(20)));
  WriteOne(node(0), SetOf(KeyOf(1), "v", absl::Hours(20)));
  Heat(KeyOf(0), 40);
  Heat(KeyOf(1), 20);
  Round();
  const size_t writes = store_.calls().applied_writes;
  Round();
  Heat(KeyOf(1), 1);
  Round();
  EXPECT_EQ(store_.calls().applied_writes, writes) << "nothing to speak of has changed";
  Heat(KeyOf(1), 20);
  Round();
  EXPECT_EQ(store_.calls().applied_writes, writes + 1);
  EXPECT_THAT(Saved(), ElementsAre("{s}:1=41", "{s}:0=40"));
  executor_.RunFor(absl::Hours(4));
  EXPECT_EQ(store_.calls().applied_writes, writes + 2) << "it would end";
  EXPECT_TRUE(SavedDigest(Slot()).has_value());
}

TEST_F(HeatSaverTest, AHotKeyThatWasWrittenAnewKeepsItsPlaceAndLosesItSlowly) {
  WriteOne(node(0), SetOf(KeyOf(0), "v"));
  Heat(KeyOf(0), 40);
  Round();
  WriteOne(node(0), SetOf(KeyOf(0), "w"));
  Heat(KeyOf(0), 1);
  Round();
  EXPECT_THAT(Saved(), ElementsAre("{s}:0=40"));
  executor_.RunFor(absl::Minutes(5));
  EXPECT_THAT(Saved(), ElementsAre("{s}:0=20"));
  executor_.RunFor(absl::Minutes(30));
  EXPECT_THAT(Saved(), ElementsAre("{s}:0=1")) << "what its hits say";
}

TEST_F(HeatSaverTest, AKeyThatHasLeftL1IsForgottenWithinAMinute) {
  WriteOne(node(0), SetOf(KeyOf(0), "v"));
  WriteOne(node(0), SetOf(KeyOf(1), "v"));
  Heat(KeyOf(0), 40);
  Heat(KeyOf(1), 2);
  Round();
  WriteOne(node(0), InvalidateOf(KeyOf(0)));
  Round();
  EXPECT_THAT(Saved(), ElementsAre("{s}:0=20", "{s}:1=2"));
  executor_.RunFor(absl::Minutes(1));
  EXPECT_THAT(Saved(), ElementsAre("{s}:1=2"));
}

TEST_F(HeatSaverTest, WhatRedisDidNotTakeIsSavedWhenItIsBack) {
  WriteOne(node(0), SetOf(KeyOf(0), "v"));
  Heat(KeyOf(0), 3);
  store_.SetAvailable(false);
  Round();
  store_.SetAvailable(true);
  EXPECT_THAT(Saved(), ElementsAre("none"));
  Round();
  EXPECT_THAT(Saved(), ElementsAre("{s}:0=3"));
}

TEST_F(HeatSaverTest, WarmthIsTheShareOfTheHeatThatL1StillHas) {
  WriteOne(node(0), SetOf(KeyOf(0), "v"));
  WriteOne(node(0), SetOf(KeyOf(1), "v"));
  EXPECT_EQ(refill_->warmth(), 1) << "nothing is known to be hot";
  Heat(KeyOf(0), 40);
  Heat(KeyOf(1), 40);
  Round();
  EXPECT_EQ(refill_->warmth(), 1);
  node(0).engine().Erase(node(0).KeyOf(KeyOf(0)), node(0).versions().Next());
  Round();
  EXPECT_NEAR(refill_->warmth(), 40.0 / 60, 0.01) << "one key, and half of what the other had";
}

}  // namespace
}  // namespace meridian
