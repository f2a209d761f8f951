// What policies do to entries while a node serves: lives in both tiers, admission, promotion,
// pools.

#include "server/node/entry_rules.h"

#include <algorithm>
#include <functional>

#include "tests/unit/server/node/node_fixture.h"

namespace meridian {
namespace {

class EntryRulesTest : public NodeFixture {
 protected:
  // One node whose namespace has the default policy, without jitter, as `change` leaves it.
  void Start(const std::function<void(NamespacePolicy&)>& change, bool l1_only = false) {
    NamespacePolicy policy;
    policy.ttl_jitter = 0;
    policy.ttl = absl::Seconds(300);
    change(policy);
    PolicyTable policies;
    policies.Set(kSpace, policy);
    StartNodes(1, l1_only, policies);
  }
  // Life of the key's entry in L1; zero: it is not there.
  absl::Duration L1Left(const std::string& key) {
    Entry entry;
    const absl::Duration now = clock_.Monotonic();
    return node(0).engine().Peek(node(0).KeyOf(key), now, &entry) ? entry.expires_at - now
                                                                  : absl::ZeroDuration();
  }
  absl::Duration L2Left(const std::string& key) {
    const std::string bytes = store_.Peek(kSpace, key).value_or("");
    const absl::StatusOr<Record> record = ParseRecord(bytes);
    return record.ok() ? record->expires_at - clock_.Now() : absl::ZeroDuration();
  }
  PoolId PoolOf(const std::string& key) {
    Entry entry;
    return node(0).engine().Peek(node(0).KeyOf(key), clock_.Monotonic(), &entry) ? entry.pool : 99;
  }
  void ReadTimes(const std::string& key, int times) {
    for (int i = 0; i < times; ++i) ReadOne(node(0), key);
  }
  WriteItem SetWithState(std::string_view key, std::string_view state) {
    WriteItem item = SetOf(key, "v");
    item.state_hint = state;
    return item;
  }
  const Namespace& name_space() { return *node(0).context().namespaces.Resolve(kSpace); }
};

TEST_F(EntryRulesTest, Line4_02TheStateOfAValueChoosesItsTtl) {
  Start([](NamespacePolicy& policy) { policy.ttl_by_state["in_progress"] = absl::Seconds(60); });
  WriteOne(node(0), SetWithState("a", "in_progress"));
  WriteOne(node(0), SetWithState("b", "completed"));
  EXPECT_EQ(L2Left("a"), absl::Seconds(60));
  EXPECT_EQ(L1Left("a"), absl::Seconds(60));
  EXPECT_EQ(L2Left("b"), absl::Seconds(300));
}

TEST_F(EntryRulesTest, L1AndL2HaveTtlsOfTheirOwn) {
  Start([](NamespacePolicy& policy) { policy.l1_ttl = absl::Seconds(45); });
  WriteOne(node(0), SetOf("k", "v"));
  EXPECT_EQ(L2Left("k"), absl::Seconds(300));
  EXPECT_EQ(L1Left("k"), absl::Seconds(45));
  clock_.Advance(absl::Seconds(280));
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L2");
  EXPECT_EQ(L1Left("k"), absl::Seconds(20)) << "L1 never outlives L2";
}

TEST_F(EntryRulesTest, JitterShortensWhatThePolicyGaveAndNothingElse) {
  Start([](NamespacePolicy& policy) { policy.ttl_jitter = 0.1; });
  absl::Duration shortest = absl::InfiniteDuration();
  absl::Duration longest = absl::ZeroDuration();
  for (int i = 0; i < 200; ++i) {
    const std::string key = absl::StrCat("k", i);
    WriteOne(node(0), SetOf(key, "v"));
    EXPECT_LE(L1Left(key), L2Left(key) + absl::Milliseconds(1));
    shortest = std::min(shortest, L2Left(key));
    longest = std::max(longest, L2Left(key));
  }
  EXPECT_LE(longest, absl::Seconds(300));
  EXPECT_GT(longest, absl::Seconds(295));
  EXPECT_LT(shortest, absl::Seconds(275));
  EXPECT_GE(shortest, absl::Seconds(270));
  WriteOne(node(0), SetOf("explicit", "v", absl::Seconds(100)));
  EXPECT_EQ(L2Left("explicit"), absl::Seconds(100));
}

TEST_F(EntryRulesTest, Line0_08MoreThan50HitsLengthenTheLifeInL1AndFewerThan5CutIt) {
  Start([](NamespacePolicy& policy) {
    policy.l1_ttl = absl::Seconds(45);
    policy.adaptive_ttl.enabled = true;
  });
  WriteOne(node(0), SetOf("hot", "v"));
  WriteOne(node(0), SetOf("warm", "v"));
  WriteOne(node(0), SetOf("cold", "v"));
  ReadTimes("hot", 50);
  ReadTimes("warm", 5);
  ReadTimes("cold", 4);
  EXPECT_EQ(L1Left("hot"), absl::Seconds(45)) << "50 hits are not more than 50";
  ReadTimes("hot", 1);
  EXPECT_EQ(L1Left("hot"), absl::Seconds(120));
  clock_.Advance(absl::Seconds(121));
  for (const char* key : {"hot", "warm", "cold"}) EXPECT_EQ(Show(ReadOne(node(0), key)), "v@L2");
  EXPECT_EQ(L1Left("hot"), absl::Seconds(120));
  EXPECT_EQ(L1Left("warm"), absl::Seconds(45));
  EXPECT_EQ(L1Left("cold"), absl::Seconds(20));
  EXPECT_EQ(name_space().counters.boosts, 1);
}

// The largest thresholds that a policy may have are counted up to.
TEST_F(EntryRulesTest, Line0_08TheLargestThresholdsOfHitsWork) {
  Start([](NamespacePolicy& policy) {
    policy.l1_ttl = absl::Seconds(45);
    policy.adaptive_ttl.enabled = true;
    policy.adaptive_ttl.boost_hits = kMaxResidenceHits;
    policy.adaptive_ttl.cut_hits = kMaxResidenceHits - 1;
  });
  WriteOne(node(0), SetOf("hot", "v"));
  WriteOne(node(0), SetOf("warm", "v"));
  WriteOne(node(0), SetOf("cold", "v"));
  ReadTimes("hot", kMaxResidenceHits);
  ReadTimes("warm", kMaxResidenceHits - 1);
  ReadTimes("cold", kMaxResidenceHits - 2);
  EXPECT_EQ(L1Left("hot"), absl::Seconds(45));
  ReadTimes("hot", 1);
  EXPECT_EQ(L1Left("hot"), absl::Seconds(120));
  ReadTimes("hot", 1000);
  EXPECT_EQ(name_space().counters.boosts, 1) << "a count that stands still earns nothing more";
  clock_.Advance(absl::Seconds(121));
  for (const char* key : {"hot", "warm", "cold"}) EXPECT_EQ(Show(ReadOne(node(0), key)), "v@L2");
  EXPECT_EQ(L1Left("hot"), absl::Seconds(120));
  EXPECT_EQ(L1Left("warm"), absl::Seconds(45));
  EXPECT_EQ(L1Left("cold"), absl::Seconds(20));
}

TEST_F(EntryRulesTest, Line0_08ABoostNeverOutlivesL2) {
  Start([](NamespacePolicy& policy) {
    policy.l1_ttl = absl::Seconds(45);
    policy.adaptive_ttl.enabled = true;
  });
  WriteOne(node(0), SetOf("k", "v", absl::Seconds(60)));
  clock_.Advance(absl::Seconds(10));
  ReadTimes("k", 51);
  EXPECT_EQ(L1Left("k"), absl::Seconds(50));
}

TEST_F(EntryRulesTest, Line2_05TheVolatilityOfAKeyChoosesItsTtl) {
  Start([](NamespacePolicy& policy) {  // The row of tasks.
    policy.ttl = absl::Seconds(600);
    policy.volatility = {.enabled = true,
                         .base = 1.0,
                         .high_at = 0.45,
                         .medium_at = 0.3,
                         .high = absl::Seconds(60),
                         .medium = absl::Seconds(300),
                         .low = absl::Seconds(600)};
  });
  const auto life_after = [&](int updates) {
    const std::string key = absl::StrCat("key:", updates);
    for (int i = 0; i <= updates; ++i) WriteOne(node(0), SetOf(key, "v"));
    return L2Left(key);
  };
  EXPECT_EQ(life_after(0), absl::Seconds(600));
  EXPECT_EQ(life_after(1), absl::Seconds(600)) << "score (1 + 0.1) / 4";
  EXPECT_EQ(life_after(3), absl::Seconds(300)) << "score (1 + 0.3) / 4";
  EXPECT_EQ(life_after(9), absl::Seconds(60)) << "score (1 + 0.9) / 4";
}

TEST_F(EntryRulesTest, Line2_06AVolatileKeyIsNeverBoosted) {
  Start([](NamespacePolicy& policy) {
    policy.l1_ttl = absl::Seconds(45);
    policy.adaptive_ttl.enabled = true;
    policy.volatility = {.enabled = true,
                         .base = 1.0,
                         .high_at = 0.45,
                         .medium_at = 0.3,
                         .high = absl::Seconds(60),
                         .medium = absl::Seconds(150),
                         .low = absl::Seconds(300)};
  });
  WriteOne(node(0), SetOf("calm", "v"));
  EXPECT_EQ(L2Left("calm"), absl::Seconds(300));
  for (int i = 0; i < 11; ++i) WriteOne(node(0), SetOf("volatile", "v"));
  EXPECT_EQ(L2Left("volatile"), absl::Seconds(60)) << "10 updates a day: score 0.5";
  ReadTimes("calm", 51);
  ReadTimes("volatile", 51);
  EXPECT_EQ(L1Left("calm"), absl::Seconds(120));
  EXPECT_EQ(L1Left("volatile"), absl::Seconds(45));
}

TEST_F(EntryRulesTest, Line0_17SmallOrPopularValuesGoIntoL1AndTheRestStaysInL2) {
  Start([](NamespacePolicy& policy) { policy.admission.enabled = true; });
  WriteOne(node(0), SetOf("small", std::string(99, 'x')));
  WriteOne(node(0), SetOf("large", std::string(100, 'x')));
  EXPECT_GT(L1Left("small"), absl::ZeroDuration());
  EXPECT_EQ(L1Left("large"), absl::ZeroDuration());
  ReadTimes("large", 50);
  EXPECT_EQ(L1Left("large"), absl::ZeroDuration());
  clock_.Advance(absl::Milliseconds(1));
  ReadTimes("large", 1);
  EXPECT_GT(L1Left("large"), absl::ZeroDuration()) << "the 51st request";
  EXPECT_EQ(name_space().counters.not_admitted, 51);
}

TEST_F(EntryRulesTest, Line0_05MissesOfWhatIsNotAdmittedSaySo) {
  Start([](NamespacePolicy& policy) { policy.admission.enabled = true; });
  ReadTimes("large", 1);
  WriteOne(node(0), SetOf("large", std::string(100, 'x')));
  ReadTimes("large", 3);
  const EngineCounters counters = node(0).engine().Stats()[0].counters;
  EXPECT_EQ(counters.missed(MissCause::kNew), 1u);
  EXPECT_EQ(counters.missed(MissCause::kAdmission), 3u);
}

TEST_F(EntryRulesTest, Line0_17AValueThatIsNotAdmittedReplacesWhatL1Had) {
  Start([](NamespacePolicy& policy) { policy.admission.enabled = true; });
  WriteOne(node(0), SetOf("k", "small"));
  WriteOne(node(0), SetOf("k", std::string(500, 'x')));
  EXPECT_EQ(Show(ReadOne(node(0), "k")), std::string(500, 'x') + "@L2");
}

TEST_F(EntryRulesTest, Line0_17WithoutAStoreEverythingGoesIntoL1) {
  Start([](NamespacePolicy& policy) { policy.admission.enabled = true; }, /*l1_only=*/true);
  WriteOne(node(0), SetOf("k", std::string(500, 'x')));
  EXPECT_EQ(Show(ReadOne(node(0), "k")), std::string(500, 'x') + "@L1");
}

TEST_F(EntryRulesTest, Line0_13AValueIsPromotedAfterThreeMisses) {
  Start([](NamespacePolicy& policy) { policy.promotion_misses = 3; });
  WriteOne(node(0), SetOf("k", "v"));
  for (int round = 0; round < 2; ++round) {
    node(0).engine().Clear();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L2");
    EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L1") << "the count began anew";
  }
}

TEST_F(EntryRulesTest, Line4_10ByDefaultTheFirstL2HitPromotes) {
  Start([](NamespacePolicy&) {});
  WriteOne(node(0), SetOf("k", "v"));
  node(0).engine().Clear();
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L2");
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L1");
}

TEST_F(EntryRulesTest, AHitNearTheEndOfItsLifeInL1IsRefreshedOnceInTheBackground) {
  Start([](NamespacePolicy& policy) {
    policy.l1_ttl = absl::Seconds(40);
    policy.refresh.ahead_share = 0.25;
  });
  WriteOne(node(0), SetOf("k", "v"));
  clock_.Advance(absl::Seconds(29));
  ReadOne(node(0), "k");
  EXPECT_EQ(L1Left("k"), absl::Seconds(11)) << "not yet";
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L1");
  EXPECT_EQ(L1Left("k"), absl::Seconds(40));
  EXPECT_EQ(name_space().counters.refreshes, 1);
  // A newer value, of which the changelog has not told yet.
  Record record;
  record.version = Version{node(0).versions().last() + 1, RegionId("eu")};
  record.expires_at = clock_.Now() + absl::Hours(1);
  record.value = "new";
  std::string bytes;
  AppendRecord(record, &bytes);
  store_.Plant(L2Key{SlotOf(kSpace, "k"), kSpace, "k"}, bytes, absl::Hours(1));
  clock_.Advance(absl::Seconds(35));
  EXPECT_THAT(Show(ReadOne(node(0), "k")), testing::EndsWith("@L1"));
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "new@L1");
  EXPECT_EQ(name_space().counters.refreshes, 2);
}

TEST_F(EntryRulesTest, AHitIsNotRefreshedWhenL2LivesNoLonger) {
  Start([](NamespacePolicy& policy) {
    policy.l1_ttl = absl::Seconds(40);
    policy.refresh.ahead_share = 0.5;
  });
  WriteOne(node(0), SetOf("k", "v", absl::Seconds(40)));
  clock_.Advance(absl::Seconds(30));
  ReadOne(node(0), "k");
  EXPECT_EQ(name_space().counters.refreshes, 0);
}

TEST_F(EntryRulesTest, StaleAnswersAreBoundedByThePolicy) {
  Start([](NamespacePolicy& policy) { policy.stale_max = absl::Seconds(3); });
  WriteOne(node(0), SetOf("k", "v", absl::Seconds(10)));
  ReadOptions options;
  options.max_stale = absl::Hours(1);
  clock_.Advance(absl::Seconds(13));
  EXPECT_EQ(Show(ReadOne(node(0), "k", options)), "v@L2 stale");
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(Show(ReadOne(node(0), "k", options)), "miss");
}

TEST_F(EntryRulesTest, AValueIsKeptForAsLongAsItMayBeStale) {
  Start([](NamespacePolicy& policy) { policy.stale_max = absl::Minutes(30); });
  WriteOne(node(0), SetOf("k", "v", absl::Seconds(10)));
  ReadOptions options;
  options.max_stale = absl::Hours(1);
  clock_.Advance(absl::Minutes(29));
  EXPECT_EQ(Show(ReadOne(node(0), "k", options)), "v@L2 stale");
}

TEST_F(EntryRulesTest, Line2_12AValueStartsInThePoolOfItsLifeAndItsHitsMoveItUp) {
  Start([](NamespacePolicy& policy) {
    policy.pools = {{.tier = "hot", .max_bytes = 1 << 20, .ttl_max = absl::Seconds(60)},
                    {.tier = "warm", .max_bytes = 2 << 20, .promote_hits = 3}};
  });
  WriteOne(node(0), SetOf("short", "v", absl::Seconds(30)));
  WriteOne(node(0), SetOf("long", "v"));
  const PoolId hot = name_space().pool(0);
  const PoolId warm = name_space().pool(1);
  EXPECT_NE(hot, kSharedPool);
  EXPECT_NE(hot, warm);
  EXPECT_EQ(PoolOf("short"), hot);
  EXPECT_EQ(PoolOf("long"), warm);
  ReadTimes("long", 2);
  EXPECT_EQ(PoolOf("long"), warm);
  ReadTimes("long", 1);
  EXPECT_EQ(PoolOf("long"), hot);
  EXPECT_EQ(name_space().counters.pool_promotions, 1);
}

// What `put(key, value, level, ttl)` asks for: the level by the life of the value.
TEST_F(EntryRulesTest, Line2_11APutHasItsLevelAndItsTtlInBothTiers) {
  Start([](NamespacePolicy& policy) {
    policy.pools = {{.tier = "hot", .max_bytes = 1 << 20, .ttl_max = absl::Seconds(60)},
                    {.tier = "warm", .max_bytes = 2 << 20, .promote_hits = 3}};
  });
  WriteOne(node(0), SetOf("resolved", "v", absl::Seconds(45)));
  WriteOne(node(0), SetOf("stable", "v", absl::Seconds(900)));
  EXPECT_EQ(PoolOf("resolved"), name_space().pool(0));
  EXPECT_EQ(PoolOf("stable"), name_space().pool(1));
  EXPECT_EQ(L1Left("resolved"), absl::Seconds(45));
  EXPECT_EQ(L2Left("resolved"), absl::Seconds(45));
  EXPECT_EQ(L2Left("stable"), absl::Seconds(900));
}

TEST_F(EntryRulesTest, Line2_12TheLargestNumberOfHitsThatPromoteIsCounted) {
  Start([](NamespacePolicy& policy) {
    policy.pools = {{.tier = "hot", .max_bytes = 1 << 20, .ttl_max = absl::Seconds(60)},
                    {.tier = "warm", .max_bytes = 2 << 20, .promote_hits = kMaxEntryHits}};
  });
  WriteOne(node(0), SetOf("k", "v"));
  ReadTimes("k", kMaxEntryHits - 1);
  EXPECT_EQ(PoolOf("k"), name_space().pool(1));
  ReadTimes("k", 1);
  EXPECT_EQ(PoolOf("k"), name_space().pool(0));
}

TEST_F(EntryRulesTest, Line2_12WhatTheHotPoolHasNoRoomForMovesDown) {
  Start([](NamespacePolicy& policy) {
    policy.pools = {{.tier = "hot", .max_entries = 2}, {.tier = "warm", .max_entries = 10}};
  });
  for (int i = 0; i < 3; ++i) WriteOne(node(0), SetOf(absl::StrCat("k", i), "v"));
  EXPECT_EQ(PoolOf("k0"), name_space().pool(1));
  EXPECT_EQ(PoolOf("k2"), name_space().pool(0));
}

TEST_F(EntryRulesTest, Line1_08PriorityAndCostAreTheWeightOfAnEntry) {
  Start([](NamespacePolicy& policy) {
    policy.priority = Priority::kHigh;
    policy.cost = 4;
  });
  WriteOne(node(0), SetOf("k", "v"));
  Entry entry;
  ASSERT_TRUE(node(0).engine().Peek(node(0).KeyOf("k"), clock_.Monotonic(), &entry));
  EXPECT_EQ(entry.weight, 3);
}

// A call that meets a reload: its keys were formed by the policy of before.
TEST_F(EntryRulesTest, ACallEndsWithThePolicyThatItBeganWith) {
  for (const bool l1_only : {false, true}) {
    nodes_.clear();
    Start([](NamespacePolicy& policy) { policy.l1_ttl = absl::Seconds(20); }, l1_only);
    const SlotPolicies before = node(0).context().namespaces.Resolve(kSpace)->policies();
    call_policies_ = &before;
    PolicyTable later;
    NamespacePolicy policy;
    policy.ttl_jitter = 0;
    policy.ttl = absl::Seconds(100);
    policy.l1_ttl = absl::Seconds(10);
    later.Set(kSpace, policy);
    node(0).context().namespaces.SetPolicies(std::make_shared<const PolicyTable>(later));
    WriteOne(node(0), SetOf("during", "v"));
    EXPECT_EQ(L1Left("during"), absl::Seconds(20));
    if (!l1_only) {
      EXPECT_EQ(L2Left("during"), absl::Seconds(300));
      node(0).engine().Clear();
      EXPECT_EQ(Show(ReadOne(node(0), "during")), "v@L2");
      EXPECT_EQ(L1Left("during"), absl::Seconds(20));
    }
    call_policies_ = nullptr;
    WriteOne(node(0), SetOf("after", "v"));
    EXPECT_EQ(L1Left("after"), absl::Seconds(10));
  }
}

}  // namespace
}  // namespace meridian
