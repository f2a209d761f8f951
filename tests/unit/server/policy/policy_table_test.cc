#include "server/policy/policy_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/policy/policy_fields.h"

namespace meridian {
namespace {

using absl::Seconds;
using testing::HasSubstr;

absl::StatusOr<PolicyTable> Read(const std::string& yaml) {
  return PolicyTable::ReadFile("p.yaml", yaml, PolicyTable::FileKind::kPolicies);
}

// The message of a file that must be refused.
std::string ErrorOf(const std::string& yaml) {
  const absl::StatusOr<PolicyTable> table = Read(yaml);
  return table.ok() ? "no error" : std::string(table.status().message());
}

// The policy of `t`, whose fields are `yaml` in flow style.
NamespacePolicy Policy(const std::string& yaml) {
  const absl::StatusOr<PolicyTable> table = Read("namespaces:\n  t: {" + yaml + "}\n");
  EXPECT_TRUE(table.ok()) << table.status();
  return table.ok() ? table->Of("t") : NamespacePolicy();
}

std::string PolicyError(const std::string& yaml) {
  return ErrorOf("namespaces:\n  t: {" + yaml + "}\n");
}

TEST(PolicyTableTest, ANamespaceThatSaysNothingHasTheDefaults) {
  EXPECT_EQ(Policy(""), NamespacePolicy());
  EXPECT_EQ(Read("")->Of("any"), NamespacePolicy());
}

TEST(PolicyTableTest, TheDefaultsOfTheTableAreThoseOfThePolicy) {
  for (const PolicyField& field : PolicyFields()) {
    if (field.default_text.empty()) continue;
    const size_t dot = field.path.find('.');
    const std::string text = field.get(NamespacePolicy());
    if (field.path == "max_bytes" || field.path == "max_entries") {
      EXPECT_EQ(text, "") << "no budget";
    } else {
      EXPECT_EQ(text, field.default_text) << field.path << " " << dot;
    }
  }
}

TEST(PolicyTableTest, Requirement1_01_ANamespaceHasItsGoals) {
  const NamespacePolicy policy = Policy("goals: {hit_rate: 0.95, l1_p95: 5ms, l2_p95: 20ms}");
  EXPECT_EQ(policy.goals, (GoalsPolicy{.hit_rate = 0.95,
                                       .l1_p95 = absl::Milliseconds(5),
                                       .l2_p95 = absl::Milliseconds(20)}));
  EXPECT_THAT(policy.ToYaml(), HasSubstr("goals: {hit_rate: 0.95, l1_p95: 5ms, l2_p95: 20ms}\n"));
  EXPECT_THAT(NamespacePolicy().ToYaml(), testing::Not(HasSubstr("goals")));
}

TEST(PolicyTableTest, GoalsThatNobodyCanReachAreRefused) {
  const auto refused = [](const std::string& goals, const std::string& field,
                          const std::string& rule) {
    EXPECT_THAT(PolicyError("goals: {" + goals + "}"),
                testing::AllOf(HasSubstr("p.yaml:2: namespaces.t.goals." + field), HasSubstr(rule)))
        << goals;
  };
  refused("hit_rate: 95", "hit_rate", "is not a number from 0 to 1");
  refused("hit_rate: 95%", "hit_rate", "is not a number from 0 to 1");
  refused("l1_p95: 6s", "l1_p95", "is not from 0 to 5s");
  refused("l1_p95: fast", "l1_p95", "is not a duration");
  refused("l1_p95: 20ms, l2_p95: 5ms", "l2_p95", "l2_p95 5ms is shorter than l1_p95 20ms");
  refused("hit_rat: 0.9", "hit_rat", "did you mean hit_rate?");
}

TEST(PolicyTableTest, UnknownFieldsNameTheNearest) {
  EXPECT_THAT(ErrorOf("namespaces:\n  task:\n    tlt: 5m\n"),
              HasSubstr("p.yaml:3: namespaces.task.tlt: unknown; did you mean ttl? Known: ttl, "));
  EXPECT_THAT(ErrorOf("namespaces:\n  task:\n    adaptive_ttl:\n      boost_hit: 5\n"),
              HasSubstr("p.yaml:4: namespaces.task.adaptive_ttl.boost_hit: unknown; did you mean "
                        "boost_hits?"));
  EXPECT_THAT(ErrorOf("tiers:\n  hott: {}\n"),
              HasSubstr("p.yaml:2: tiers.hott: unknown; did you mean hot?"));
  EXPECT_THAT(ErrorOf("tiers:\n  hot: {maxbytes: 1}\n"),
              HasSubstr("p.yaml:2: tiers.hot.maxbytes: unknown; did you mean max_bytes?"));
  EXPECT_THAT(ErrorOf("namespace: {}\n"), HasSubstr("p.yaml:1: namespace: unknown; a policy file"));
}

TEST(PolicyTableTest, AFileIsOneDocument) {
  EXPECT_TRUE(Read("---\nnamespaces: {}\n").ok());
  EXPECT_THAT(ErrorOf("namespaces: {}\n---\nnonsense: 1\n"),
              HasSubstr("p.yaml:3: a second document begins"));
  EXPECT_THAT(ErrorOf("namespaces: {}\n---\n"), HasSubstr("a second document begins"));
}

TEST(PolicyTableTest, AnEmptySectionIsReportedWhereItStands) {
  EXPECT_EQ(ErrorOf("tiers: {}\nnamespaces:\n"),
            "p.yaml:2: namespaces: is empty; for none, write {}");
  EXPECT_EQ(ErrorOf("tiers:\n\nnamespaces: {}\n"), "p.yaml:1: tiers: is empty; for none, write {}");
}

TEST(PolicyTableTest, BadValuesNameFieldValueAndRule) {
  const struct {
    const char* yaml;
    const char* message;
  } kCases[] = {
      {"ttl: 0", "namespaces.t.ttl: '0' is not from 1ms to 365d"},
      {"ttl: 366d", "'366d' is not from 1ms to 365d"},
      {"ttl: [1s]", "namespaces.t.ttl: must be one value"},
      {"ttl: ", "namespaces.t.ttl: must be one value"},
      {"ttl_jitter: 1.5", "'1.5' is not a number from 0 to 1"},
      {"ttl_jitter: nan", "'nan' is not a number"},
      {"ttl_by_state: {a: x}", "namespaces.t.ttl_by_state: 'x' is not a duration"},
      {"ttl_by_state: 5s", "must be a map"},
      {"tier: lukewarm", "'lukewarm' is not one of hot, warm, cold"},
      {"tier: [warm, hot]", "hottest first"},
      {"tier: [hot, hot]", "hottest first"},
      {"tier: []", "names no tier"},
      {"eviction: magic", "namespaces.t.eviction: 'magic' is not one of "},
      {"priority: urgent", "'urgent' is not one of low, normal, high, critical"},
      {"cost: 9", "'9' is not a number from 0.125 to 8"},
      {"l1_ttl: 45s, adaptive_ttl: {boost_hits: 65001}",
       "namespaces.t.adaptive_ttl.boost_hits: '65001' is not a whole number from 0 to 65000"},
      {"l1_ttl: 45s, adaptive_ttl: {cut_hits: 65001}",
       "namespaces.t.adaptive_ttl.cut_hits: '65001' is not a whole number from 0 to 65000"},
      {"admission: {min_hits: 1000001}",
       "namespaces.t.admission.min_hits: '1000001' is not a whole number from 0 to 1000000"},
      {"promotion_misses: 0", "'0' is not a whole number from 1 to 100"},
      {"compression: {level: 10}", "namespaces.t.compression.level: '10' is not a whole number"},
      {"compression: 1024", "namespaces.t.compression: must be a map of fields"},
      {"key: {normalize: [upper]}", "'upper' is not one of trim, lowercase, collapse_spaces"},
      {"key: {hash: sha1}", "'sha1' is not one of none, md5, xxh3"},
      {"bypass_parameters: [\"a b\"]", "'a b' is not a word"},
      {"refresh: {ahead: 120%}", "'120%' is not a share from 0% to 100% or a duration"},
      {"replication: both", "'both' is not one of async, sync, invalidate_only, local"},
      {"ttl: 1s, ttl: 2s", "namespaces.t.ttl: given twice"},
      {"[a]: 1", "a key must be a plain word"},
  };
  for (const auto& each : kCases) {
    EXPECT_THAT(PolicyError(each.yaml),
                testing::AllOf(HasSubstr("p.yaml:2: "), HasSubstr(each.message)))
        << each.yaml;
  }
}

TEST(PolicyTableTest, ThresholdsOfHitsAreWithinWhatIsCounted) {
  const NamespacePolicy policy =
      Policy("l1_ttl: 45s, adaptive_ttl: {boost_hits: 65000, cut_hits: 64999}");
  EXPECT_EQ(policy.adaptive_ttl.boost_hits, 65000u);
  EXPECT_EQ(policy.adaptive_ttl.cut_hits, 64999u);
  EXPECT_THAT(ErrorOf("tiers:\n  warm:\n    promote_hits: 64\n"),
              HasSubstr("p.yaml:3: tiers.warm.promote_hits: '64' is not a whole number from 0 to "
                        "63"));
  const auto table =
      Read("tiers:\n  warm: {promote_hits: 63}\nnamespaces:\n  t: {tier: [hot, warm]}\n");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->Of("t").pools[1].promote_hits, 63u);
}

TEST(PolicyTableTest, RulesBetweenFieldsAreCheckedWhereTheyWereWritten) {
  const struct {
    const char* yaml;
    const char* message;
  } kCases[] = {
      {"ttl: 5s, ttl_min: 10s", "t.ttl: 5s is shorter than ttl_min 10s"},
      {"ttl: 5m, ttl_max: 1m", "t.ttl: 5m is longer than ttl_max 1m"},
      {"ttl_min: 5m, ttl_max: 1m", "t.ttl_min: ttl_min 5m is longer than ttl_max 1m"},
      {"ttl: 5m, l1_ttl: 6m", "t.l1_ttl: 6m is longer than ttl 5m"},
      {"ttl_max: 1m, ttl_by_state: {a: 2m}", "t.ttl_by_state: 2m is longer than ttl_max 1m"},
      {"adaptive_ttl: {}", "t.adaptive_ttl: needs l1_ttl"},
      {"l1_ttl: 45s, adaptive_ttl: {cut_hits: 50}", "cut_hits 50 is not below boost_hits 50"},
      {"l1_ttl: 45s, adaptive_ttl: {cut_ttl: 50s}",
       "t.adaptive_ttl.cut_ttl: cut_ttl 50s <= l1_ttl 45s"},
      {"l1_ttl: 45s, adaptive_ttl: {boost_ttl: 30s}", "t.adaptive_ttl.boost_ttl: "},
      {"ttl: 1m, l1_ttl: 45s, adaptive_ttl: {}", "boost_ttl 2m is longer than ttl 1m"},
      {"volatility: {high: 1m}", "t.volatility: needs high, medium and low"},
      {"volatility: {high: 3m, medium: 2m, low: 4m}", "t.volatility.high: what changes more"},
      {"volatility: {high: 1m, medium: 2m, low: 4m, medium_at: 0.8}",
       "t.volatility.medium_at: medium_at 0.8 is above high_at 0.7"},
      {"tier: [hot, warm], max_bytes: 1MB", "t.max_bytes: the namespace has several tiers"},
      {"ttl: 1m, refresh: {ahead: 2m}", "t.refresh.ahead: 2m is longer than the life in L1, 1m"},
      {"key: {hash_above: 9}", "t.key.hash_above: needs key.hash"},
  };
  for (const auto& each : kCases)
    EXPECT_THAT(PolicyError(each.yaml), HasSubstr(each.message)) << each.yaml;
  EXPECT_THAT(ErrorOf("namespaces:\n  t:\n    ttl: 5m\n    l1_ttl: 6m\n"), HasSubstr("p.yaml:4: "));
  EXPECT_THAT(ErrorOf("tiers:\n  hot: {ttl_max: 2h}\n"),
              HasSubstr("hot.ttl_max 2h is longer than warm.ttl_max 30m"));
}

TEST(PolicyTableTest, AGroupThatIsGivenIsOnUnlessItSaysOtherwise) {
  EXPECT_FALSE(Policy("").compression.enabled);
  EXPECT_TRUE(Policy("compression: {}").compression.enabled);
  EXPECT_TRUE(Policy("compression: {level: 1}").compression.enabled);
  EXPECT_FALSE(Policy("compression: {level: 1, enabled: false}").compression.enabled);
}

// 2-02, 2-03, 2-04.
TEST(PolicyTableTest, ATierGivesWhatANamespaceDoesNotSay) {
  const NamespacePolicy hot = Policy("tier: hot");
  EXPECT_EQ(hot.ttl, Seconds(300));
  EXPECT_EQ(hot.ttl_min, Seconds(60));
  EXPECT_EQ(hot.ttl_max, Seconds(300));
  ASSERT_EQ(hot.pools.size(), 1u);
  EXPECT_EQ(hot.pools[0].max_bytes, 50'000'000u);
  EXPECT_EQ(hot.pools[0].eviction, "lru");
  EXPECT_EQ(Policy("tier: warm").pools[0].max_bytes, 100'000'000u);
  EXPECT_EQ(Policy("tier: cold").pools[0].max_bytes, 200'000'000u);
  EXPECT_EQ(Policy("tier: cold").ttl, Seconds(7200));
  const NamespacePolicy both = Policy("tier: [hot, warm]");
  EXPECT_EQ(both.ttl_min, Seconds(60));
  EXPECT_EQ(both.ttl_max, Seconds(1800));
  ASSERT_EQ(both.pools.size(), 2u);
  EXPECT_EQ(both.pools[0].promote_hits, 0u) << "nothing is hotter";
  EXPECT_GT(both.pools[1].promote_hits, 0u);
}

TEST(PolicyTableTest, WhatANamespaceSaysBeatsItsTier) {
  const NamespacePolicy policy = Policy("tier: hot, ttl: 20s, max_bytes: 1MB, max_entries: 7");
  EXPECT_EQ(policy.ttl, Seconds(20));
  EXPECT_EQ(policy.ttl_min, Seconds(20)) << "widened";
  EXPECT_EQ(policy.pools[0].max_bytes, 1'000'000u);
  EXPECT_EQ(policy.pools[0].max_entries, 7u);
}

TEST(PolicyTableTest, TiersMayStandBelowWhatNamesThem) {
  const auto table =
      Read("namespaces:\n  a: {tier: hot}\ntiers:\n  hot: {ttl_max: 100s, max_bytes: 1MB}\n");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->Of("a").ttl, Seconds(100));
  EXPECT_EQ(table->Of("a").pools[0].max_bytes, 1'000'000u);
}

TEST(PolicyTableTest, ThereAreAsManyPoolsAsTheEngineHas) {
  std::string yaml = "namespaces:\n";
  for (size_t i = 0; i < PolicyTable::kMaxPoolsInAll; ++i)
    absl::StrAppend(&yaml, "  n", i, ": {tier: hot}\n");
  EXPECT_TRUE(Read(yaml).ok());
  EXPECT_THAT(ErrorOf(yaml + "  more: {tier: hot}\n"), HasSubstr("p.yaml:129: namespaces.more: "));
}

TEST(PolicyTableTest, WhatIsPrintedReadsBackTheSame) {
  for (const char* yaml :
       {"", "ttl: 90m, l1_ttl: 45s, adaptive_ttl: {boost_hits: 9}", "tier: hot, max_bytes: 3MiB",
        "tier: [hot, warm], ttl_by_state: {in_progress: 60s, \"null\": 5m}",
        "max_entries: 100, eviction: lru", "volatility: {base: 0.5, high: 1m, medium: 2m, low: 3m}",
        "refresh: {ahead: 20%}", "refresh: {ahead: 1500ms}, stale: {max: 1h}",
        "key: {normalize: [trim, lowercase], hash: md5, hash_above: 64}",
        "bypass_parameters: [a, \"x:y\", \"-\"], priority: critical, cost: 0.5, replication: local",
        "admission: {max_size: 1KiB}, promotion_misses: 3, ttl_jitter: 0, compression: "
        "{min_saving: 0.2}",
        "origin: {address: db.example:7500}, lease_ttl: 3s",
        "origin: {negative_ttl: 0}, lease_ttl: 3s",
        "origin: {address: \"[::1]:7500\", tls: true, ca_file: /etc/ca.pem, timeout: 2s, "
        "soft_timeout: 0, concurrency: 4, batch_window: 0, batch_size: 10, rate: 50, retries: 0, "
        "negative_ttl: 30s}"}) {
    const NamespacePolicy policy = Policy(yaml);
    PolicyTable again;
    const std::string text = absl::StrReplaceAll("t:\n" + policy.ToYaml(), {{"\n", "\n  "}});
    const absl::Status status = again.ReadText("again.yaml", text);
    EXPECT_TRUE(status.ok()) << status << "\n" << text;
    EXPECT_EQ(again.Of("t"), policy) << text;
  }
}

}  // namespace
}  // namespace meridian
