#include "server/policy/policy_trial.h"

#include <gtest/gtest.h>

#include "server/policy/policy_fields.h"

namespace meridian {
namespace {

TEST(TrialSlotsTest, Requirement0_20_ALargerShareHasTheSlotsOfASmallerOneAndMore) {
  const TrialSlots ten(7, 10);
  const TrialSlots half(7, 50);
  const TrialSlots all(7, 100);
  EXPECT_EQ(TrialSlots(7, 0).size(), 0u);
  EXPECT_EQ(ten.size(), 102u);
  EXPECT_EQ(half.size(), 512u);
  EXPECT_EQ(all.size(), kSlotCount);
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    EXPECT_TRUE(!ten.Has(slot) || half.Has(slot)) << slot;
  }
}

TEST(TrialSlotsTest, AnotherVersionIsTriedOnOtherSlots) {
  const TrialSlots one(1, 10);
  const TrialSlots two(2, 10);
  int both = 0;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) both += one.Has(slot) && two.Has(slot);
  EXPECT_LT(both, 30) << "about 10 of 102 by chance";
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    EXPECT_EQ(one.Has(slot), TrialSlots(1, 10).Has(slot)) << "every node chooses alike";
  }
}

PolicyTable Table(const std::string& yaml) {
  PolicyTable table;
  const absl::Status status = table.ReadText("test.yaml", yaml);
  EXPECT_TRUE(status.ok()) << status;
  return table;
}

// Every field that can be given, with another value than the default.
constexpr char kOther[] = R"(task:
  {ttl: 40s, l1_ttl: 20s, ttl_min: 2ms, ttl_max: 1h, ttl_jitter: 0.2, ttl_by_state: {open: 30s},
   volatility: {base: 0.9, high_at: 0.8, medium_at: 0.5, high: 10s, medium: 20s, low: 40s},
   adaptive_ttl: {boost_hits: 60, boost_ttl: 30s, cut_hits: 6, cut_ttl: 10s}, stale: {max: 1s},
   refresh: {ahead: 20%}, tier: warm, max_bytes: 9000, max_entries: 90, eviction: fifo,
   priority: high, cost: 2, admission: {max_size: 99, min_hits: 9}, promotion_misses: 3,
   compression: {threshold: 99, min_saving: 0.2, level: 1},
   key: {normalize: trim, hash: md5, hash_above: 9}, bypass_parameters: fresh, replication: sync,
   sync_regions: 1, write_without_redis: accept, lease_ttl: 3s,
   goals: {hit_rate: 0.9, l1_p95: 5ms, l2_p95: 20ms},
   origin: {address: "localhost:1", tls: true, ca_file: /ca, timeout: 2s, soft_timeout: 9ms,
            concurrency: 3, batch_window: 2ms, batch_size: 7, rate: 9, retries: 3,
            negative_ttl: 3s}})";

TEST(TrialPolicyTest, WhatBelongsToTheNamespaceAsAWholeWaitsForAllSlots) {
  const NamespacePolicy base;
  const NamespacePolicy other = Table(kOther).Of("task");
  const NamespacePolicy tried = TrialPolicy(base, other);
  for (const PolicyField& field : PolicyFields()) {
    EXPECT_NE(field.get(other), field.get(base)) << field.path << ": not in kOther";
    const bool whole = IsOfWholeNamespace(field.path);
    EXPECT_EQ(field.get(tried), field.get(whole ? base : other)) << field.path;
  }
}

}  // namespace
}  // namespace meridian
