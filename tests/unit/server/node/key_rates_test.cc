// KeyRates: which keys it knows, and how near its rates are to the true ones.

#include "server/node/key_rates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"

namespace meridian {
namespace {

void Count(KeyRates& rates, const std::string& key, absl::Duration now) {
  if (rates.IsSampled()) rates.Count(Hash64(key), key, now);
}

TEST(KeyRatesTest, ASteadyRateIsRightSoonAndStaysSo) {
  KeyRates rates({.sample = 1});
  absl::Duration now = absl::Hours(1);
  const absl::Duration begin = now;
  for (int i = 0; i < 200'000; ++i) {
    Count(rates, "ten", now);  // A second.
    if (i % 10 == 0) Count(rates, "one", now);
    now += absl::Milliseconds(100);
    if (now - begin < absl::Seconds(10) || i % 1000 != 0) continue;
    const std::vector<KeyRate> top = rates.Top(10, now);
    ASSERT_EQ(top.size(), 2u);
    EXPECT_EQ(top[0].key, "ten");
    ASSERT_NEAR(top[0].per_second, 10, 1) << now - begin;
    ASSERT_NEAR(top[1].per_second, 1, 0.3) << now - begin;
  }
}

TEST(KeyRatesTest, OldReadsAreForgottenByHalfEveryHalfLife) {
  KeyRates rates({.sample = 1, .half_life = absl::Minutes(1)});
  absl::Duration now = absl::Hours(1);
  for (int i = 0; i < 6000; ++i) {
    Count(rates, "k", now);
    now += absl::Milliseconds(100);
  }
  const double before = rates.Top(1, now)[0].per_second;
  EXPECT_NEAR(rates.Top(1, now + absl::Minutes(1))[0].per_second, before / 2, before / 50);
  EXPECT_LT(rates.Top(1, now + absl::Hours(10))[0].per_second, 1e-9);
  now += absl::Hours(1000);  // Weights of such a time do not fit into a double.
  for (int i = 0; i < 6000; ++i) {
    Count(rates, "k", now);
    now += absl::Milliseconds(100);
  }
  EXPECT_NEAR(rates.Top(1, now)[0].per_second, 10, 0.5);
}

// 100,000 keys by Zipf's law at 20,000 reads a second, one in 16 is looked at.
TEST(KeyRatesTest, TheHottestOfManyAreKnownByTheirRates) {
  constexpr size_t kKeys = 100'000;
  constexpr double kReads = 20'000;
  KeyRates rates;
  std::vector<double> shares(kKeys);
  for (size_t i = 0; i < kKeys; ++i) shares[i] = 1 / std::pow(static_cast<double>(i + 1), 1.0);
  std::discrete_distribution<size_t> zipf(shares.begin(), shares.end());
  double sum = 0;
  for (const double share : shares) sum += share;
  std::mt19937 random(7);
  std::vector<std::string> names;
  for (size_t i = 0; i < kKeys; ++i) names.push_back(absl::StrCat("key:", i));
  absl::Duration now = absl::Hours(1);
  for (int i = 0; i < 2'400'000; ++i) {
    Count(rates, names[zipf(random)], now);
    now += absl::Seconds(1) / kReads;
  }
  const std::vector<KeyRate> top = rates.Top(50, now);
  ASSERT_EQ(top.size(), 50u);
  int known = 0;
  for (size_t i = 0; i < top.size(); ++i) {
    const size_t rank = static_cast<size_t>(std::stoi(top[i].key.substr(4)));
    known += rank < 60 ? 1 : 0;
    if (i >= 10) continue;
    EXPECT_LT(rank, 13u) << i;
    const double true_rate = kReads * shares[rank] / sum;
    EXPECT_NEAR(top[i].per_second, true_rate, 0.2 * true_rate) << top[i].key;
  }
  EXPECT_GE(known, 45) << "the fiftieth has one in 600 of the reads";
}

TEST(KeyRatesTest, KeysThatAreAskedForOnceAreNeverHotBecauseOfOthers) {
  KeyRates rates({.counters = 10, .sample = 1});
  absl::Duration now = absl::Hours(1);
  for (int i = 0; i < 100'000; ++i) {
    Count(rates, absl::StrCat("once:", i), now);
    now += absl::Milliseconds(1);
  }
  const std::vector<KeyRate> top = rates.Top(1000, now);
  EXPECT_EQ(top.size(), 10u) << "bounded";
  for (const KeyRate& rate : top) EXPECT_LT(rate.per_second, 0.1) << rate.key;
  EXPECT_TRUE(KeyRates().Top(10, now).empty());
}

TEST(KeyRatesTest, ThreadsThatCountAtOnceLoseNothing) {
  constexpr int kThreads = 4;
  constexpr int kEach = 10'000;
  KeyRates rates({.sample = 1});
  const absl::Duration now = absl::Hours(1);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&rates, t, now] {
      for (int i = 0; i < kEach; ++i) {
        Count(rates, i % 2 == 0 ? "all" : absl::StrCat("of ", t), now);
        if (i % 1000 == 0) rates.Top(10, now);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<KeyRate> top = rates.Top(10, now);
  ASSERT_EQ(top.size(), 1u + kThreads);
  EXPECT_EQ(top[0].key, "all");
  for (int t = 0; t < kThreads; ++t) {
    EXPECT_NEAR(top[0].per_second / top[static_cast<size_t>(t) + 1].per_second, kThreads, 1e-6);
  }
}

}  // namespace
}  // namespace meridian
