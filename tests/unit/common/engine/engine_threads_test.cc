// What must hold when several threads use one engine. Meant for tsan; the counts hold anywhere.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/engine/engine.h"
#include "tests/unit/common/engine/engine_fixture.h"

namespace meridian {
namespace {

constexpr absl::Duration kNow = absl::Seconds(1000);

TEST(EngineThreadsTest, NoFillBringsBackWhatAWriterHasOvertaken) {
  // `truth` is the lower tier: a writer first changes it, then erases the key here. A fill that
  // read the old version before must not be visible after the erase.
  std::unique_ptr<Engine> engine = MakeEngine({.capacity_bytes = 1 << 20, .shard_bits = 1});
  const EntryKey key = KeyOf(*engine, "n", "k");
  std::atomic<uint64_t> truth{1};
  std::atomic<uint64_t> fills{0};
  int stale_reads = 0;
  std::atomic<bool> stop{false};

  std::vector<std::thread> fillers;
  for (int i = 0; i < 2; ++i) {
    fillers.emplace_back([&] {
      while (!stop.load()) {
        const FillToken token = engine->BeginFill(key);
        const Version version = V(truth.load());
        std::this_thread::yield();  // The lower tier takes its time.
        engine->PutFill(key, MakeEntry("v", version), kNow, token);
        fills.fetch_add(1);
      }
    });
  }
  for (uint64_t version = 2; version < 1'000; ++version) {
    truth.store(version);
    engine->Erase(key, V(version));
    const uint64_t before = fills.load();
    while (fills.load() < before + 2) {  // At least one fill that began before ends in here.
      Entry entry;
      if (engine->Peek(key, kNow, &entry)) {
        stale_reads += entry.version < V(version);
      }
    }
  }
  EXPECT_EQ(stale_reads, 0);
  stop = true;
  for (std::thread& filler : fillers) filler.join();
  ExpectConsistent(*engine);
}

TEST(EngineThreadsTest, CountersAreExactAfterEverybodyHasReturned) {
  constexpr int kThreads = 4;
  constexpr int kSteps = 20'000;
  std::unique_ptr<Engine> engine =
      MakeEngine({.capacity_bytes = 1 << 18, .capacity_entries = 500, .shard_bits = 2});
  std::array<EngineCounters, kThreads> counted;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 rng(t);
      for (int i = 0; i < kSteps; ++i) {
        const std::string name = absl::StrCat("k", rng() % 1000);
        const EntryKey key = KeyOf(*engine, absl::StrCat("n", rng() % 3), name);
        Entry entry;
        switch (rng() % 8) {
          case 0:
            counted[t].erases += engine->Erase(key, V(rng() % kSteps));
            break;
          case 1:
            if (rng() % 64 == 0) engine->DropSlot(key.slot);
            engine->Advance(kNow + absl::Milliseconds(i), 16);
            break;
          case 2:
          case 3: {
            entry = MakeEntry(std::string(rng() % 400, 'v'), V(1 + i),
                              kNow + absl::Milliseconds(i + rng() % 1000));
            counted[t].puts += engine->Put(key, entry, kNow) == PutOutcome::kStored;
            break;
          }
          case 4: {
            const FillToken token = engine->BeginFill(key);
            entry = MakeEntry("fill", V(1 + i));
            counted[t].fills += engine->PutFill(key, entry, kNow, token) == PutOutcome::kStored;
            break;
          }
          default:
            ++(engine->Get(key, kNow, &entry) ? counted[t].hits : counted[t].misses_by[0]);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EngineCounters expected;
  for (const EngineCounters& mine : counted) expected += mine;
  EngineCounters actual;
  for (const NamespaceEngineStats& stats : engine->Stats()) actual += stats.counters;
  EXPECT_EQ(actual.hits, expected.hits);
  EXPECT_EQ(actual.misses(), expected.misses());
  EXPECT_EQ(actual.puts, expected.puts);
  EXPECT_EQ(actual.fills, expected.fills);
  EXPECT_EQ(actual.erases, expected.erases);
  EXPECT_LE(engine->entries(), 500);
  EXPECT_LE(engine->bytes(), 1 << 18);
  ExpectConsistent(*engine);
}

TEST(EngineThreadsTest, NoVersionIsLostOrComesBackUnderPutFenceEvictAndOtherBudgets) {
  // A key is written by one thread alone, in ascending versions, so that each reader knows what may
  // be there: never what is older than something that it saw, nor what was there before a fence
  // that it knows to be over.
  constexpr int kWriters = 2;
  constexpr int kKeysOfEach = 300;
  constexpr int kSteps = 30'000;
  for (const char* policy : {"adaptive", "lru", "s3_fifo", "w_tinylfu"}) {
    std::unique_ptr<Engine> engine = MakeEngine(
        {.capacity_bytes = 1 << 20, .capacity_entries = 400, .shard_bits = 2, .policy = policy});
    ASSERT_TRUE(engine->SetPool(1, {.max_entries = 200, .policy = policy}).ok());
    ASSERT_TRUE(engine->SetPool(2, {.max_entries = 100, .policy = policy, .demote_to = 1}).ok());
    const auto name_of = [](int writer, int key) { return absl::StrCat("w", writer, ":", key); };
    // The version of the last write that has returned, and of the last fence that has.
    std::array<std::array<std::atomic<uint64_t>, kKeysOfEach>, kWriters> fenced = {};
    std::array<std::array<std::atomic<uint64_t>, kKeysOfEach>, kWriters> sent = {};
    std::atomic<int> writing{kWriters};
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int w = 0; w < kWriters; ++w) {
      threads.emplace_back([&, w] {
        std::mt19937 rng(w);
        for (uint64_t version = 1; version <= kSteps; ++version) {
          const int k = static_cast<int>(rng() % kKeysOfEach);
          const std::string name = name_of(w, k);
          const EntryKey key = KeyOf(*engine, "n", name);
          switch (rng() % 8) {
            case 0:
              engine->Erase(key, V(version));
              fenced[w][k] = version;
              break;
            case 1:
              if (rng() % 32 != 0) break;
              engine->DropSlot(key.slot);
              fenced[w][k] = version;
              break;
            case 2: {
              Entry entry;
              if (engine->Peek(key, kNow, &entry)) {
                const PoolId pool = static_cast<PoolId>(rng() % 3);
                engine->Adjust(key, entry.version, {.pool = pool});
              }
              break;
            }
            default: {
              Entry entry = MakeEntry(std::string(rng() % 300, 'v'), V(version));
              entry.pool = static_cast<PoolId>(rng() % 3);
              sent[w][k] = version;
              engine->Put(key, entry, kNow);
            }
          }
        }
        --writing;
      });
    }
    threads.emplace_back([&] {  // Budgets and policies change meanwhile.
      for (size_t i = 0; writing > 0; ++i) {
        const char* other = i % 2 == 0 ? "sieve" : policy;
        if (!engine->SetPool(2, {.max_entries = 20 + i % 180, .policy = other, .demote_to = 1})
                 .ok()) {
          ++wrong;
        }
        engine->Advance(kNow, 64);
        std::this_thread::yield();
      }
    });
    threads.emplace_back([&] {
      std::mt19937 rng(99);
      std::array<std::array<uint64_t, kKeysOfEach>, kWriters> seen = {};
      while (writing > 0) {
        const int w = static_cast<int>(rng() % kWriters);
        const int k = static_cast<int>(rng() % kKeysOfEach);
        const std::string name = name_of(w, k);
        const uint64_t fence = fenced[w][k];
        Entry entry;
        if (!engine->Get(KeyOf(*engine, "n", name), kNow, &entry)) continue;
        const uint64_t version = entry.version.hlc;
        if (version < fence || version < seen[w][k] || version > sent[w][k]) ++wrong;
        seen[w][k] = version;
      }
    });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0) << policy;
    EXPECT_LE(engine->entries(), 400) << policy;
    ExpectConsistent(*engine);
  }
}

TEST(EngineThreadsTest, ANamespaceHasOneIdForEverybody) {
  std::unique_ptr<Engine> engine = MakeEngine({});
  std::array<std::vector<NamespaceId>, 4> ids;
  std::vector<std::thread> threads;
  for (std::vector<NamespaceId>& mine : ids) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) mine.push_back(*engine->InternNamespace(absl::StrCat("n", i)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<NamespaceId>& mine : ids) EXPECT_EQ(mine, ids[0]);
  EXPECT_EQ(engine->Stats().size(), 500);
}

}  // namespace
}  // namespace meridian
