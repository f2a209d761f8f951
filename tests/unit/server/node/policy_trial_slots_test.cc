// A node while some of its slots try other policies: each key is written, filled and found by the
// policy of its slot.

#include <array>
#include <map>

#include "tests/unit/server/node/node_fixture.h"

namespace meridian {
namespace {

constexpr absl::Duration kBaseTtl = absl::Seconds(300);
constexpr absl::Duration kTrialTtl = absl::Seconds(100);

class PolicyTrialSlotsTest : public NodeFixture {
 protected:
  static std::shared_ptr<const PolicyTable> Table(absl::Duration ttl, uint32_t promotion_misses) {
    NamespacePolicy policy;
    policy.ttl_jitter = 0;
    policy.ttl = ttl;
    policy.promotion_misses = promotion_misses;
    auto table = std::make_shared<PolicyTable>();
    table->Set(kSpace, policy);
    return table;
  }
  void StartTrial(bool l1_only, uint32_t trial_promotion = 1) {
    StartNodes(1, l1_only, *Table(kBaseTtl, 1));
    node(0).context().namespaces.SetPolicies(PolicySet{.base = Table(kBaseTtl, 1),
                                                       .base_version = 1,
                                                       .trial = Table(kTrialTtl, trial_promotion),
                                                       .trial_version = 2,
                                                       .trial_percent = 30});
    for (int i = 0; i < 16; ++i) {
      const std::string key = absl::StrCat("key:", i);
      keys_[key] = TrialSlots(2, 30).Has(SlotOf(kSpace, key));
    }
  }
  absl::Duration L1Left(const std::string& key) {
    Entry entry;
    const absl::Duration now = clock_.Monotonic();
    return node(0).engine().Peek(node(0).KeyOf(key), now, &entry) ? entry.expires_at - now
                                                                  : absl::ZeroDuration();
  }
  std::vector<std::string> Keys() const {
    std::vector<std::string> keys;
    for (const auto& [key, tried] : keys_) keys.push_back(key);
    return keys;
  }

  std::map<std::string, bool> keys_;  // Whether it is in a slot of the trial.
};

TEST_F(PolicyTrialSlotsTest, Requirement0_20_AWriteOfManyKeysLivesByThePolicyOfEachSlot) {
  for (const bool l1_only : {false, true}) {
    nodes_.clear();
    StartTrial(l1_only);
    std::vector<WriteItem> items;
    for (const auto& [key, tried] : keys_) items.push_back(SetOf(key, "v"));
    Write(node(0), std::move(items));
    std::array<int, 2> in_l1 = {};
    for (const auto& [key, tried] : keys_) {
      // Beside a store, L1 refuses a write when another key that shares its counter of writes
      // (FillToken) was written after it was sent; alone it takes all of them.
      const absl::Duration left = L1Left(key);
      if (l1_only || left > absl::ZeroDuration()) {
        EXPECT_EQ(left, tried ? kTrialTtl : kBaseTtl) << key;
        ++in_l1[tried];
      }
      if (l1_only) continue;
      const absl::StatusOr<Record> record = ParseRecord(store_.Peek(kSpace, key).value_or(""));
      ASSERT_TRUE(record.ok()) << key;
      EXPECT_EQ(record->expires_at - clock_.Now(), tried ? kTrialTtl : kBaseTtl) << key;
    }
    EXPECT_GT(in_l1[false], 1);
    EXPECT_GT(in_l1[true], 1);
  }
}

TEST_F(PolicyTrialSlotsTest, Requirement0_20_AReadOfManyKeysFillsL1ByThePolicyOfEachSlot) {
  StartTrial(/*l1_only=*/false, /*trial_promotion=*/3);
  for (const auto& [key, tried] : keys_) WriteOne(node(0), SetOf(key, "v"));
  node(0).engine().Clear();
  Read(node(0), Keys());
  int in_trial = 0;
  for (const auto& [key, tried] : keys_) {
    in_trial += tried;
    EXPECT_EQ(L1Left(key) > absl::ZeroDuration(), !tried) << key << ": asked for once, of three";
  }
  EXPECT_GT(in_trial, 1);
  EXPECT_LT(in_trial, 12);
}

TEST_F(PolicyTrialSlotsTest, Requirement0_21_ReadsAreCountedUnderTheVersionOfTheirSlot) {
  StartTrial(/*l1_only=*/false);
  for (const auto& [key, tried] : keys_) WriteOne(node(0), SetOf(key, "v"));
  node(0).engine().Clear();
  Read(node(0), Keys());  // From L2 ...
  Read(node(0), Keys());  // ... and from L1.
  store_.FailNext(absl::UnavailableError("away"));
  node(0).engine().Clear();
  Read(node(0), Keys());
  uint64_t in_trial = 0;
  for (const auto& [key, tried] : keys_) in_trial += tried;
  const auto by_version = node(0).context().namespaces.Resolve(kSpace)->figures->ByVersion();
  ASSERT_EQ(by_version.size(), 2u);
  EXPECT_EQ(by_version[0].version, 1u);
  EXPECT_EQ(by_version[1].version, 2u);
  for (const ReadFigures::OfVersion& of : by_version) {
    const uint64_t keys = of.version == 2 ? in_trial : keys_.size() - in_trial;
    EXPECT_EQ(of.counts.l2.count(), keys);
    EXPECT_EQ(of.counts.l1.count(), keys);
    EXPECT_EQ(of.counts.errors, keys);
  }
}

}  // namespace
}  // namespace meridian
