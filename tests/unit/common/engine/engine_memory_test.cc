// What the engine's memory promises: a hit allocates nothing, pages follow what is stored although
// the sizes of values drift, and nothing is leaked or moved under a reader.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/engine/engine.h"
#include "common/engine/eviction_policy.h"
#include "tests/unit/common/engine/engine_fixture.h"

namespace {
std::atomic<size_t> allocations{0};
}

// Every allocation of this program by new is counted.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // g++ 12, where they are inlined.
void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace meridian {
namespace {

constexpr absl::Duration kNow = absl::Seconds(1000);

TEST(EngineMemoryTest, AHitAllocatesNothing) {
  for (const std::string& policy : EvictionPolicyNames()) {
    std::unique_ptr<Engine> engine =
        MakeEngine({.capacity_bytes = 1 << 20, .shard_bits = 1, .policy = policy});
    std::vector<EntryKey> keys;
    const std::vector<std::string> names = {"a", "b", "c", "d"};
    for (const std::string& name : names) {
      keys.push_back(KeyOf(*engine, "n", name));
      engine->Put(keys.back(), MakeEntry(std::string(500 * keys.size(), 'v'), V(1)), kNow);
    }
    const size_t pages = engine->BlockMemory().page_bytes;
    Entry entry;
    const size_t before = allocations.load();
    for (int i = 0; i < 10'000; ++i) {
      if (!engine->Get(keys[i % keys.size()], kNow, &entry)) std::abort();
    }
    EXPECT_EQ(engine->BlockMemory().page_bytes, pages);
    EXPECT_EQ(allocations.load(), before) << policy;
  }
  const size_t before = allocations.load();
  const std::string* const counted = new std::string(100, 'x');
  EXPECT_GE(allocations.load(), before + 2) << "the counter counts";
  delete counted;
}

TEST(EngineMemoryTest, PagesFollowWhatIsStoredAlthoughSizesDrift) {
  // Old entries that are asked for again and again keep a part of every page of their size alive;
  // the rest is replaced by other sizes, round after round.
  std::unique_ptr<Engine> engine = MakeEngine({.capacity_bytes = 4 << 20, .shard_bits = 0});
  uint64_t number = 0;
  for (size_t size = 40; size <= 1000; size += 60) {
    for (int i = 0; i < 30'000; ++i) {
      const std::string name = absl::StrCat("k", number++);
      engine->Put(KeyOf(*engine, "n", name), MakeEntry(std::string(size, 'v'), V(1)), kNow);
      const std::string hot = absl::StrCat("k", number / 50 * 50 % 20'000);
      Entry entry;
      if (!engine->Get(KeyOf(*engine, "n", hot), kNow, &entry)) {
        engine->Put(KeyOf(*engine, "n", hot), MakeEntry(std::string(size, 'h'), V(1)), kNow);
      }
    }
    const double pages = static_cast<double>(engine->BlockMemory().page_bytes);
    // Two pages too many for each of the 67 sizes is the promise, and 6 % of rounding.
    EXPECT_LE(pages, 1.06 * static_cast<double>(engine->bytes()) + 2 * 67 * 16384.0) << size;
    EXPECT_LE(pages, 1.15 * (4 << 20)) << size;
  }
  ExpectConsistent(*engine);
}

TEST(EngineMemoryTest, ValuesThatAReaderHoldsStayWhereTheyAre) {
  std::unique_ptr<Engine> engine = MakeEngine({.capacity_bytes = 1 << 20, .shard_bits = 0});
  std::vector<std::string> names;
  std::vector<Entry> held;
  for (int i = 0; i < 3000; ++i) {
    names.push_back(absl::StrCat("k", i));
    const EntryKey key = KeyOf(*engine, "n", names.back());
    engine->Put(key, MakeEntry(absl::StrCat("value ", i, std::string(100, ' ')), V(1)), kNow);
    if (i % 50 != 0) continue;
    held.emplace_back();
    ASSERT_TRUE(engine->Get(key, kNow, &held.back()));
  }
  std::vector<const char*> addresses;
  for (const Entry& entry : held) addresses.push_back(entry.value.view().data());
  for (int i = 0; i < 3000; ++i) {
    if (i % 10 != 0) engine->Erase(KeyOf(*engine, "n", names[i]), V(1));
  }
  const size_t before = engine->BlockMemory().page_bytes;
  for (int i = 0; i < 400; ++i) {  // New sizes: their pages make the engine empty sparse ones.
    const std::string name = absl::StrCat("other", i);
    engine->Put(KeyOf(*engine, "n", name), MakeEntry(std::string(300 + i, 'v'), V(1)), kNow);
  }
  EXPECT_LT(engine->BlockMemory().page_bytes, before + 30 * 16384);
  for (size_t i = 0; i < held.size(); ++i) {
    EXPECT_EQ(held[i].value.view().data(), addresses[i]);
    EXPECT_EQ(held[i].value.view().substr(0, 6 + 1), absl::StrCat("value ", i * 50).substr(0, 7));
  }
  for (int i = 0; i < 3000; i += 10) {  // Moved or not, all are found, with their bytes.
    Entry entry;
    ASSERT_TRUE(engine->Get(KeyOf(*engine, "n", names[i]), kNow, &entry)) << i;
    EXPECT_EQ(entry.value.view(), absl::StrCat("value ", i, std::string(100, ' ')));
  }
  const size_t entries = engine->entries();
  EXPECT_EQ(engine->Advance(absl::Hours(2), 100'000), entries);
  EXPECT_EQ(engine->entries(), 0);
}

}  // namespace
}  // namespace meridian
