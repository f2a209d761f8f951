// config/ holds a profile for each of the five source systems. Every figure of theirs is read back
// here through the parser of the node; the tests name the lines of docs/requirements.md.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "server/policy/node_config.h"

namespace meridian {
namespace {

using absl::Seconds;

NodeConfig Profile(const std::string& name) {
  const std::string file =
      std::string(std::getenv("MERIDIAN_SOURCE_DIR")) + "/config/" + name + ".yaml";
  const char* const argv[] = {"meridian-node", "--config", file.c_str()};
  absl::StatusOr<std::optional<NodeConfig>> config = NodeConfig::Parse(3, argv, {});
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() && config->has_value() ? **std::move(config) : NodeConfig();
}

TEST(PersonaProfileTest, L1Has1500ItemsFor45Seconds_0_06) {
  const NodeConfig config = Profile("persona");
  EXPECT_EQ(config.l1_max_entries, 1500u);
  EXPECT_LE(config.l1_max_bytes, 4'000'000u);
  EXPECT_EQ(config.policies.Of("persona").l1_ttl, Seconds(45));
}

TEST(PersonaProfileTest, HitsMoveTheTtl_0_08) {
  const AdaptiveTtl adaptive = Profile("persona").policies.Of("persona").adaptive_ttl;
  EXPECT_TRUE(adaptive.enabled);
  EXPECT_EQ(adaptive.boost_hits, 50u);
  EXPECT_EQ(adaptive.boost_ttl, Seconds(120));
  EXPECT_EQ(adaptive.cut_hits, 5u);
  EXPECT_EQ(adaptive.cut_ttl, Seconds(20));
}

TEST(PersonaProfileTest, Lifetimes_0_04_0_07_0_14_0_15) {
  const PolicyTable policies = Profile("persona").policies;
  EXPECT_EQ(policies.Of("persona").ttl, Seconds(300));
  EXPECT_EQ(policies.Of("persona-warm").ttl, Seconds(3600));
  EXPECT_EQ(policies.Of("persona-warm").l1_ttl, absl::ZeroDuration()) << "as long as in L2";
  EXPECT_EQ(policies.Of("recommend").ttl, Seconds(600));
  ASSERT_EQ(policies.Of("recommend").pools.size(), 1u);
  EXPECT_EQ(policies.Of("recommend").pools[0].max_entries, 500u);
  EXPECT_EQ(policies.Of("item").ttl, Seconds(300));
}

TEST(PersonaProfileTest, PromotionCompressionAdmission_0_13_0_16_0_17) {
  const PolicyTable policies = Profile("persona").policies;
  const NamespacePolicy& persona = policies.Of("persona");
  EXPECT_EQ(persona.promotion_misses, 3u);
  for (const auto& [name, policy] : policies.named()) {
    if (name == "persona-warm") continue;
    EXPECT_TRUE(policy.compression.enabled) << name;
    EXPECT_EQ(policy.compression.threshold, 1024u) << name;
  }
  EXPECT_TRUE(persona.admission.enabled);
  EXPECT_EQ(persona.admission.max_size, 100u);
  EXPECT_EQ(persona.admission.min_hits, 50u);
}

TEST(AiPlatformProfileTest, TtlsByType_1_06) {
  const PolicyTable policies = Profile("ai-platform").policies;
  EXPECT_EQ(policies.Of("auth").ttl, Seconds(900));
  EXPECT_EQ(policies.Of("session").ttl, Seconds(600));
  EXPECT_EQ(policies.Of("generation").ttl, Seconds(300));
  EXPECT_EQ(policies.Of("team").ttl, Seconds(1200));
  EXPECT_EQ(policies.Of("system").ttl, Seconds(3600));
}

TEST(AiPlatformProfileTest, MemoryPrioritiesCompressionConnections_1_08_1_09) {
  const NodeConfig config = Profile("ai-platform");
  EXPECT_EQ(config.l1_max_bytes, 300'000'000u);
  EXPECT_EQ(config.l2_connections, 25u);
  EXPECT_EQ(config.policies.Of("auth").priority, Priority::kCritical);
  EXPECT_EQ(config.policies.Of("session").priority, Priority::kHigh);
  EXPECT_EQ(config.policies.Of("team").priority, Priority::kHigh);
  EXPECT_EQ(config.policies.Of("generation").priority, Priority::kNormal);
  EXPECT_EQ(config.policies.Of("system").priority, Priority::kLow);
  for (const auto& [name, policy] : config.policies.named()) {
    EXPECT_TRUE(policy.compression.enabled) << name;
    EXPECT_EQ(policy.compression.threshold, 1024u) << name;
  }
}

TEST(ContextProfileTest, Tiers_2_01_2_02_2_03_2_04) {
  const NodeConfig config = Profile("context");
  EXPECT_EQ(config.l1_max_bytes, 200'000'000u);
  const struct {
    int ttl_min, ttl_max;
    uint64_t megabytes;
  } kExpected[] = {{60, 300, 50}, {600, 1800, 100}, {3600, 7200, 200}};
  const HeatTiers shipped = ShippedTiers();
  for (size_t i = 0; i < 3; ++i) {
    const HeatTier& tier = config.policies.tiers()[i];
    EXPECT_EQ(tier.ttl_min, Seconds(kExpected[i].ttl_min)) << tier.name;
    EXPECT_EQ(tier.ttl_max, Seconds(kExpected[i].ttl_max)) << tier.name;
    EXPECT_EQ(tier.max_bytes, kExpected[i].megabytes * 1'000'000) << tier.name;
    EXPECT_EQ(tier, shipped[i]) << "the profile spells out what is shipped";
  }
  EXPECT_EQ(shipped[0].eviction, "lru");
}

TEST(ContextProfileTest, TheMatrix_2_05) {
  const PolicyTable policies = Profile("context").policies;
  const struct {
    const char* type;
    int high, medium, low;
    std::vector<std::string> tiers;
  } kMatrix[] = {
      {"task", 60, 300, 600, {"hot", "warm"}},  {"project", 300, 900, 1800, {"warm"}},
      {"user", 180, 600, 900, {"hot", "warm"}}, {"git_branch", 600, 1200, 1800, {"warm"}},
      {"agent", 1800, 3600, 7200, {"cold"}},    {"template", 3600, 7200, 14400, {"cold"}},
      {"context", 300, 600, 1200, {"warm"}},
  };
  EXPECT_EQ(policies.named().size(), std::size(kMatrix));
  for (const auto& row : kMatrix) {
    const NamespacePolicy& policy = policies.Of(row.type);
    EXPECT_TRUE(policy.volatility.enabled) << row.type;
    EXPECT_EQ(policy.volatility.high, Seconds(row.high)) << row.type;
    EXPECT_EQ(policy.volatility.medium, Seconds(row.medium)) << row.type;
    EXPECT_EQ(policy.volatility.low, Seconds(row.low)) << row.type;
    EXPECT_LE(policy.ttl_min, Seconds(row.high)) << "no bound of a tier changes a figure";
    EXPECT_GE(policy.ttl_max, Seconds(row.low)) << row.type;
    std::vector<std::string> tiers;
    for (const PoolPolicy& pool : policy.pools) tiers.push_back(pool.tier);
    EXPECT_EQ(tiers, row.tiers) << row.type;
  }
}

TEST(ChatProfileTest, TtlKeyAndBounds_3_09_3_10_3_15_3_16) {
  const NodeConfig config = Profile("chat");
  const NamespacePolicy& policy = config.policies.Of("context");
  EXPECT_EQ(policy.ttl, Seconds(300));
  EXPECT_EQ(policy.l1_ttl, absl::ZeroDuration()) << "the same in both tiers";
  EXPECT_EQ(policy.key.hash, KeyHash::kMd5);
  EXPECT_TRUE(policy.key.trim && policy.key.lowercase && policy.key.collapse_spaces);
  ASSERT_EQ(policy.pools.size(), 1u);
  EXPECT_EQ(policy.pools[0].max_entries, 100u);
  EXPECT_EQ(policy.pools[0].eviction, "lru");
  EXPECT_LE(config.l1_max_bytes, 100'000'000u);
}

TEST(AssessmentProfileTest, TtlByState_4_02) {
  const NamespacePolicy policy = Profile("assessment").policies.Of("assessment");
  EXPECT_EQ(policy.ttl, Seconds(300));
  EXPECT_EQ(policy.ttl_by_state.at("in_progress"), Seconds(60));
  EXPECT_EQ(policy.ttl_by_state.size(), 1u);
}

TEST(AssessmentProfileTest, DashboardRecommendationsPromotion_4_03_4_04_4_10) {
  const PolicyTable policies = Profile("assessment").policies;
  EXPECT_EQ(policies.Of("dashboard").ttl, Seconds(60));
  EXPECT_EQ(policies.Of("recommendations").ttl, Seconds(300));
  EXPECT_EQ(policies.Of("recommendations").bypass_parameters,
            (std::vector<std::string>{"agent_filter", "confidence_min", "category_filter"}));
  for (const auto& [name, policy] : policies.named())
    EXPECT_EQ(policy.promotion_misses, 1u) << name;
}

// Each source has its own goal, and gets it: 1-01, 2-13, 3-15, 4-07, 4-12; of source 000 each type.
TEST(ProfilesTest, TheGoalsAreThoseOfTheSources_0_01_1_01_2_13_3_15_4_07) {
  const auto all = [](const std::string& name, double hit_rate, int l1_ms, int l2_ms) {
    const PolicyTable policies = Profile(name).policies;
    EXPECT_FALSE(policies.named().empty()) << name;
    for (const auto& [name_space, policy] : policies.named()) {
      EXPECT_EQ(policy.goals, (GoalsPolicy{.hit_rate = hit_rate,
                                           .l1_p95 = absl::Milliseconds(l1_ms),
                                           .l2_p95 = absl::Milliseconds(l2_ms)}))
          << name << " " << name_space;
    }
    EXPECT_EQ(policies.fallback().goals, GoalsPolicy()) << name;
  };
  all("ai-platform", 0.95, 5, 20);
  all("context", 0.85, 50, 50);
  all("chat", 0.75, 100, 100);
  all("assessment", 0.70, 1, 5);
  for (const char* name : {"persona", "persona-tuned"}) {
    const PolicyTable policies = Profile(name).policies;
    EXPECT_EQ(policies.Of("persona").goals.hit_rate, 0.87) << name;
    EXPECT_EQ(policies.Of("recommend").goals.hit_rate, 0.45) << name;
    EXPECT_EQ(policies.Of("item").goals.hit_rate, 0.50) << name;
    EXPECT_EQ(policies.Of("persona-warm").goals, GoalsPolicy()) << name << ": what warming brings";
  }
}

}  // namespace
}  // namespace meridian
