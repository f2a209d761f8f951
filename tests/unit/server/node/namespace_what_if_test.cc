#include "server/node/namespace_what_if.h"

#include <cmath>
#include <functional>
#include <random>

#include "tests/unit/server/node/node_fixture.h"

namespace meridian {
namespace {

using testing::HasSubstr;

class NamespaceWhatIfTest : public NodeFixture {
 protected:
  // Which key is asked for, of so many.
  using Traffic = std::function<int(int request)>;

  static PolicyTable Table(const std::string& policy) {
    PolicyTable table;
    EXPECT_TRUE(table.ReadText("test.yaml", "task: {" + policy + "}").ok());
    return table;
  }
  void Start(const std::string& policy, int keys) {
    StartNodes(1, /*l1_only=*/false, Table(policy));
    for (int i = 0; i < keys; ++i) {
      WriteOne(node(0), SetOf(absl::StrCat("key:", i), std::string(50, 'v'), absl::Hours(48)));
    }
    node(0).engine().Clear();
  }
  // The hit rate of L1 over the second half of `requests`, ten a second.
  double Run(const Traffic& traffic, int requests) {
    const Namespace& task = *node(0).context().namespaces.Resolve(kSpace);
    uint64_t before = 0;
    for (int i = 0; i < requests; ++i) {
      if (i == requests / 2) before = task.counters.l1_hits;
      clock_.Advance(absl::Milliseconds(100));
      ReadOne(node(0), absl::StrCat("key:", traffic(i)));
      if (i % 100 == 0) {
        node(0).engine().Advance(clock_.Monotonic(), 10'000);
        FitTrafficLogs(node(0).context());
      }
    }
    return static_cast<double>(task.counters.l1_hits - before) / (requests - requests / 2);
  }
  std::variant<NamespaceWhatIf, Error> Ask(CacheShape asked, const char* name = kSpace) {
    return AskWhatIf(node(0).context(), name, std::move(asked));
  }
  NamespaceWhatIf Answer(CacheShape asked) {
    auto result = Ask(std::move(asked));
    const Error* error = std::get_if<Error>(&result);
    EXPECT_EQ(error, nullptr) << error->message;
    return error == nullptr ? std::get<NamespaceWhatIf>(result) : NamespaceWhatIf();
  }
  Error ErrorOf(CacheShape asked, const char* name = kSpace) {
    auto result = Ask(std::move(asked), name);
    return std::holds_alternative<Error>(result) ? std::get<Error>(result) : Error();
  }
  // What the question says of the traffic under `before` is what is measured under `after`.
  void ExpectGoodPrediction(const Traffic& traffic, int keys, const std::string& before,
                            const CacheShape& asked, const std::string& after) {
    constexpr int kRequests = 30'000;
    Start(before, keys);
    const double measured = Run(traffic, kRequests);
    const NamespaceWhatIf result = Answer(asked);
    EXPECT_NEAR(result.answer.hit_rate, measured, 0.02);
    EXPECT_NEAR(result.answer.replayed_hit_rate, measured, 0.02);
    node(0).context().namespaces.SetPolicies(std::make_shared<const PolicyTable>(Table(after)));
    const double later = Run(traffic, kRequests);
    EXPECT_NEAR(result.answer.predicted_hit_rate, later, 0.02);
    EXPECT_GT(std::abs(later - measured), 0.02) << "the question must matter";
  }

  std::mt19937_64 random_{42};
};

// Skewed: the rank is a power of a uniform number.
int Skewed(std::mt19937_64* random, int keys, double exponent) {
  const double u = std::uniform_real_distribution<double>(0, 1)(*random);
  return static_cast<int>(keys * std::pow(u, exponent));
}

TEST_F(NamespaceWhatIfTest, Line0_06FifteenHundredItemsForFortyFiveSeconds) {
  ExpectGoodPrediction([this](int) { return Skewed(&random_, 3000, 3); }, 3000,
                       "max_entries: 1000, l1_ttl: 60s, ttl_jitter: 0, eviction: lru",
                       {.max_entries = 1500, .ttl = absl::Seconds(45)},
                       "max_entries: 1500, l1_ttl: 45s, ttl_jitter: 0, eviction: lru");
}

TEST_F(NamespaceWhatIfTest, AScanAmongFavouritesUnderAnotherPolicy) {
  ExpectGoodPrediction(
      [this](int i) { return i % 2 == 0 ? Skewed(&random_, 2000, 2) : 2000 + i / 2 % 4000; }, 6000,
      "max_entries: 500, eviction: fifo", {.max_entries = 800, .policy = "s3_fifo"},
      "max_entries: 800, eviction: s3_fifo");
}

TEST_F(NamespaceWhatIfTest, ALoopThatBeginsToFit) {
  ExpectGoodPrediction([](int i) { return i % 900; }, 900, "max_entries: 600, eviction: adaptive",
                       {.max_entries = 1000}, "max_entries: 1000, eviction: adaptive");
}

// The client writes what it missed, for ten seconds or for what the policy says.
class NamespaceWhatIfLifeTest : public NamespaceWhatIfTest {
 protected:
  double RunReadThrough(absl::Duration written_for) {
    constexpr int kRequests = 20'000;
    const Namespace& task = *node(0).context().namespaces.Resolve(kSpace);
    uint64_t before = 0;
    for (int i = 0; i < kRequests; ++i) {
      if (i == kRequests / 2) before = task.counters.l1_hits;
      clock_.Advance(absl::Milliseconds(100));
      const std::string key = absl::StrCat("key:", Skewed(&random_, 400, 2));
      const uint64_t found = task.counters.l1_hits + task.counters.l2_hits;
      ReadOne(node(0), key);
      if (task.counters.l1_hits + task.counters.l2_hits == found) {
        WriteOne(node(0), SetOf(key, std::string(50, 'v'), written_for));
      }
      if (i % 100 == 0) node(0).engine().Advance(clock_.Monotonic(), 10'000);
    }
    return static_cast<double>(task.counters.l1_hits - before) / (kRequests - kRequests / 2);
  }
  // Asks under `life` what `asked` would do, and then does it: policies by text.
  void ExpectGoodPrediction(const std::string& life, absl::Duration written_for,
                            absl::Duration asked, const std::string& later, bool matters) {
    SCOPED_TRACE(life + " -> " + later);
    const auto table = [](const std::string& text) {
      return Table("max_entries: 1000, eviction: lru, " + text);
    };
    StartNodes(1, /*l1_only=*/false, table(life));
    const double measured = RunReadThrough(written_for);
    const WhatIfAnswer answer = Answer({.ttl = asked}).answer;
    EXPECT_NEAR(answer.replayed_hit_rate, measured, 0.02);
    node(0).context().namespaces.SetPolicies(std::make_shared<const PolicyTable>(table(later)));
    const double after = RunReadThrough(written_for);
    EXPECT_NEAR(answer.predicted_hit_rate, after, 0.02) << measured;
    EXPECT_EQ(std::abs(after - measured) > 0.05, matters) << measured << " then " << after;
  }
  static constexpr absl::Duration kTen = absl::Seconds(10);
};

TEST_F(NamespaceWhatIfLifeTest, AnL1TtlAboveTheValuesOwnLife) {
  ExpectGoodPrediction("l1_ttl: 60s", kTen, absl::Seconds(45), "l1_ttl: 45s", false);
}
TEST_F(NamespaceWhatIfLifeTest, ATtlAboveWhatTheWriterChose) {
  ExpectGoodPrediction("ttl: 1h", kTen, absl::Seconds(45), "ttl: 45s", false);
}
TEST_F(NamespaceWhatIfLifeTest, AnL1TtlBelowTheValuesOwnLife) {
  ExpectGoodPrediction("l1_ttl: 60s", kTen, absl::Seconds(3), "l1_ttl: 3s", true);
}
TEST_F(NamespaceWhatIfLifeTest, AnL1TtlThatGrowsUpToTheValuesOwnLife) {
  ExpectGoodPrediction("l1_ttl: 3s", kTen, absl::Seconds(45), "l1_ttl: 45s", true);
}
TEST_F(NamespaceWhatIfLifeTest, AnL1TtlThatGrowsUpToThePolicysTtl) {
  ExpectGoodPrediction("l1_ttl: 3s, ttl: 10s", {}, absl::Seconds(45), "l1_ttl: 10s, ttl: 10s",
                       true);
}
TEST_F(NamespaceWhatIfLifeTest, WithoutAnL1TtlTheQuestionIsAboutTheTtl) {
  ExpectGoodPrediction("ttl: 45s", {}, absl::Seconds(10), "ttl: 10s", true);
}
TEST_F(NamespaceWhatIfLifeTest, AlsoWhenTheTtlGrows) {
  ExpectGoodPrediction("ttl: 10s", {}, absl::Seconds(45), "ttl: 45s", true);
}

TEST_F(NamespaceWhatIfTest, WithoutABudgetTheRoomIsWhatTheOthersLeave) {
  Start("ttl: 1h", 100);
  Run([](int i) { return i % 100; }, 3000);
  const NamespaceWhatIf result = Answer({.policy = "fifo"});
  EXPECT_EQ(result.present.policy, "lru");
  EXPECT_EQ(result.present.max_entries, 0);
  EXPECT_EQ(result.present.max_bytes, size_t{64} << 20);
  EXPECT_EQ(result.asked.max_bytes, result.present.max_bytes);
  EXPECT_GT(result.answer.requests, 1000);
  EXPECT_NEAR(absl::ToDoubleSeconds(result.span), 300, 15);
}

TEST_F(NamespaceWhatIfTest, WhatCannotBeAnsweredSaysWhy) {
  Start("ttl: 1h", 10);
  EXPECT_EQ(ErrorOf({.policy = ""}).reason, reason::kFieldInvalid);
  EXPECT_EQ(ErrorOf({.policy = "best"}).details.field, "policy");
  EXPECT_THAT(ErrorOf({.policy = "best"}).message, HasSubstr("adaptive"));
  EXPECT_EQ(ErrorOf({.max_entries = 5}, "nobody").reason, reason::kNoTraffic);
  const Error few = ErrorOf({.max_entries = 5});
  EXPECT_EQ(few.reason, reason::kNoTraffic);
  EXPECT_THAT(few.message, HasSubstr("ask again when there are 500"));
  for (size_t i = 1; i < Namespaces::kMaxTrafficLogs; ++i) {
    node(0).context().namespaces.Resolve(absl::StrCat("n", i));
  }
  EXPECT_NE(node(0).context().namespaces.Resolve("n1")->traffic, nullptr);
  EXPECT_EQ(node(0).context().namespaces.Resolve("late")->traffic, nullptr);
  EXPECT_THAT(ErrorOf({.max_entries = 5}, "late").message, HasSubstr("not followed"));
}

}  // namespace
}  // namespace meridian
