#include "common/engine/adaptive_policy.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/common/engine/engine_fixture.h"

namespace meridian {
namespace {

// A read-through cache: what is missed is put.
class Cache {
 public:
  explicit Cache(EngineOptions options) : engine_(MakeEngine(std::move(options))) {}

  bool Ask(int key, size_t size = 1, int weight = 0, absl::Duration ttl = absl::Hours(1)) {
    const std::string name = absl::StrCat(key);
    Entry entry;
    if (engine_->Get(KeyOf(*engine_, "n", name), now_, &entry)) return true;
    entry = MakeEntry(std::string(size, 'v'), V(++version_), now_ + ttl);
    entry.weight = static_cast<int8_t>(weight);
    engine_->Put(KeyOf(*engine_, "n", name), std::move(entry), now_);
    return false;
  }
  bool Has(int key) {
    Entry entry;
    const std::string name = absl::StrCat(key);
    return engine_->Peek(KeyOf(*engine_, "n", name), now_, &entry);
  }
  void Pass(absl::Duration time) {
    now_ += time;
    engine_->Advance(now_, 1000);
  }
  Engine& engine() { return *engine_; }
  absl::Duration now() const { return now_; }

 private:
  std::unique_ptr<Engine> engine_;
  uint64_t version_ = 0;
  absl::Duration now_ = absl::Seconds(1);
};

EngineOptions Entries(size_t entries, const char* policy = "adaptive") {
  return {.capacity_entries = entries, .shard_bits = 0, .policy = policy, .hash_seed = 1};
}

double HitRatioOfLoop(Cache& cache, int keys, int rounds) {
  int hits = 0;
  for (int i = 0; i < keys * rounds; ++i) hits += cache.Ask(i % keys) ? 1 : 0;
  return static_cast<double>(hits) / (keys * rounds);
}

TEST(AdaptivePolicyTest, ALoopOfTwiceTheCapacityIsAnsweredNearlyHalf) {
  Cache cache(Entries(500));
  HitRatioOfLoop(cache, 1000, 10);
  EXPECT_GT(HitRatioOfLoop(cache, 1000, 10), 0.45);
  Cache lru(Entries(500, "lru"));
  EXPECT_EQ(HitRatioOfLoop(lru, 1000, 10), 0);
}

TEST(AdaptivePolicyTest, ShardsThatAreSmallLearnTogether) {
  EngineOptions options = Entries(512);
  options.shard_bits = 5;  // 16 entries each: too few to learn anything from alone.
  Cache cache(options);
  HitRatioOfLoop(cache, 700, 10);
  EXPECT_GT(HitRatioOfLoop(cache, 700, 10), 0.55);  // The most is 0.73.
}

// A scan of twenty times the capacity passes while one request of five is for the hot keys.
TEST(AdaptivePolicyTest, HotKeysSurviveAScan) {
  const auto run = [](const char* policy) {
    Cache cache(Entries(1000, policy));
    std::mt19937 random(1);
    for (int i = 0; i < 12'000; ++i) cache.Ask(static_cast<int>(random() % 600));
    int hits = 0;
    int asked = 0;
    for (int key = 1000; key < 21'000; ++key) {
      cache.Ask(key);
      if (key % 4 != 0) continue;
      ++asked;
      hits += cache.Ask(static_cast<int>(random() % 600)) ? 1 : 0;
    }
    return static_cast<double>(hits) / asked;
  };
  EXPECT_GT(run("adaptive"), 0.95);
  EXPECT_LT(run("lru"), 0.5);
}

TEST(AdaptivePolicyTest, RefusesNewcomersThatAreWorthLessThanAllThatIsThere) {
  Cache cache(Entries(1000));
  std::mt19937 random(1);
  for (int i = 0; i < 50'000; ++i) {
    cache.Ask(static_cast<int>(random() % 1000));
    if (i % 2 == 0) cache.Ask(10'000 + i);
  }
  EXPECT_GT(CountersOf(cache.engine(), "n").evicted(EvictionCause::kAdmission), 5000u);
}

TEST(AdaptivePolicyTest, FollowsFromRecencyToALoopAndBack) {
  Cache cache(Entries(500));
  std::mt19937 random(2);
  int next = 1'000'000;
  const auto moving = [&](int requests) {
    int hits = 0;
    for (int i = 0; i < requests; ++i) {
      if (i % 4 == 0) ++next;
      hits += cache.Ask(next - static_cast<int>(random() % 100)) ? 1 : 0;
    }
    return static_cast<double>(hits) / requests;
  };
  EXPECT_GT(moving(20'000), 0.7);
  HitRatioOfLoop(cache, 1000, 20);
  EXPECT_GT(HitRatioOfLoop(cache, 1000, 10), 0.4);
  moving(10'000);
  EXPECT_GT(moving(20'000), 0.7);
}

TEST(AdaptivePolicyTest, TheSameSeedDoesTheSame) {
  const auto run = [](uint64_t seed) {
    EngineOptions options = Entries(200);
    options.hash_seed = seed;
    Cache cache(options);
    std::mt19937 random(9);
    std::vector<bool> hits;
    for (int i = 0; i < 20'000; ++i) {
      hits.push_back(cache.Ask(static_cast<int>(random() % (random() % 2000 + 1))));
    }
    return hits;
  };
  EXPECT_EQ(run(5), run(5));
}

TEST(AdaptivePolicyTest, WhatCostsMoreStaysLonger) {
  Cache cache(Entries(500));
  std::mt19937 random(4);
  int hits[2] = {0, 0};
  for (int i = 0; i < 200'000; ++i) {
    const int key = static_cast<int>(random() % 2000);
    const bool dear = key % 2 == 1;
    if (cache.Ask(key, 1, dear ? 3 : 0) && i > 50'000) ++hits[dear ? 1 : 0];
  }
  EXPECT_GT(hits[1], 3 * hits[0] / 2);
}

TEST(AdaptivePolicyTest, SmallEntriesStayWhereBytesAreShortUnlessBytesAreTheGoal) {
  const auto hits_of_small = [](const char* policy) {
    Cache cache({.capacity_bytes = 400'000, .shard_bits = 0, .policy = policy, .hash_seed = 1});
    std::mt19937 random(4);
    int small_hits = 0;
    for (int i = 0; i < 100'000; ++i) {
      const int key = static_cast<int>(random() % 2000);
      const bool small = key % 2 == 1;
      if (cache.Ask(key, small ? 50 : 1000) && small && i > 50'000) ++small_hits;
    }
    EXPECT_LE(cache.engine().bytes(), 400'000u);
    return small_hits;
  };
  const int for_hits = hits_of_small("adaptive");
  const int for_bytes = hits_of_small("adaptive_bytes");
  EXPECT_GT(for_hits, 20'000);  // Of 25,000 requests: nearly all small entries fit.
  EXPECT_LT(for_bytes, for_hits * 3 / 4);
}

// Every operation there is, at sizes down to one entry: bounds hold, counters agree.
TEST(AdaptivePolicyTest, RandomOperationsKeepTheBounds) {
  for (const size_t entries : {1u, 2u, 3u, 100u}) {
    for (const char* policy : {"adaptive", "adaptive_bytes"}) {
      EngineOptions options = Entries(entries, policy);
      options.capacity_bytes = entries * 300;
      Cache cache(options);
      std::mt19937 random(static_cast<uint32_t>(entries));
      uint64_t version = uint64_t{1} << 40;
      for (int i = 0; i < 30'000; ++i) {
        const int key = static_cast<int>(random() % (random() % 300 + 1));
        const std::string name = absl::StrCat(key);
        const EntryKey entry_key = KeyOf(cache.engine(), "n", name);
        switch (random() % 10) {
          case 0:
            cache.engine().Erase(entry_key, V(++version));
            break;
          case 1:
            cache.engine().Put(entry_key,
                               MakeEntry(std::string(random() % 200, 'w'), V(++version),
                                         cache.now() + absl::Seconds(5)),
                               cache.now());
            break;
          case 2:
            cache.Pass(absl::Milliseconds(100));
            break;
          default:
            cache.Ask(key, random() % 150, static_cast<int>(random() % 7) - 3, absl::Seconds(10));
        }
        ASSERT_LE(cache.engine().entries(), entries);
        ASSERT_LE(cache.engine().bytes(), entries * 300);
      }
      ExpectConsistent(cache.engine());
    }
  }
}

}  // namespace
}  // namespace meridian
