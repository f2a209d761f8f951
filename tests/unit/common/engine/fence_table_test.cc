#include "common/engine/fence_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/engine/tag_list.h"
#include "tests/unit/common/engine/engine_fixture.h"

namespace meridian {
namespace {

constexpr NamespaceId kAuth = 1;
constexpr NamespaceId kTask = 2;

TEST(FenceTableTest, AFenceKillsWhatItCoversAndIsNotNewer) {
  FenceTable fences;
  EXPECT_FALSE(fences.Covers(kAuth, "user:1:read", "", 1));
  EXPECT_TRUE(fences.Add(kAuth, FenceScope::kPrefix, "user:1:", 100));
  EXPECT_TRUE(fences.Covers(kAuth, "user:1:read", "", 99));
  EXPECT_TRUE(fences.Covers(kAuth, "user:1:read", "", 100));
  EXPECT_FALSE(fences.Covers(kAuth, "user:1:read", "", 101));
  EXPECT_TRUE(fences.Covers(kAuth, "user:1:", "", 1)) << "the prefix itself is a key too";
  EXPECT_FALSE(fences.Covers(kAuth, "user:1", "", 1));
  EXPECT_FALSE(fences.Covers(kAuth, "user:12:read", "", 1));
  EXPECT_FALSE(fences.Covers(kTask, "user:1:read", "", 1)) << "another namespace";

  EXPECT_TRUE(fences.Add(kAuth, FenceScope::kTag, "team", 200));
  const std::string tags = EncodeTags({"x", "team"});
  EXPECT_TRUE(fences.Covers(kAuth, "a", tags, 200));
  EXPECT_FALSE(fences.Covers(kAuth, "a", tags, 201));
  EXPECT_FALSE(fences.Covers(kAuth, "a", EncodeTags({"tea", "m"}), 1));
  EXPECT_FALSE(fences.Covers(kAuth, "team", "", 1)) << "a tag is no key";

  EXPECT_TRUE(fences.Add(kTask, FenceScope::kNamespace, "", 300));
  EXPECT_TRUE(fences.Covers(kTask, "anything", "", 300));
  EXPECT_FALSE(fences.Covers(kTask, "anything", "", 301));
  EXPECT_FALSE(fences.Covers(kAuth, "anything", "", 1));
}

TEST(FenceTableTest, AnOlderFenceChangesNothing) {
  FenceTable fences;
  EXPECT_TRUE(fences.Add(kAuth, FenceScope::kPrefix, "a:", 100));
  const uint64_t changes = fences.changes();
  EXPECT_FALSE(fences.Add(kAuth, FenceScope::kPrefix, "a:", 100));
  EXPECT_FALSE(fences.Add(kAuth, FenceScope::kPrefix, "a:", 50));
  EXPECT_TRUE(fences.Add(kAuth, FenceScope::kNamespace, "", 200));
  EXPECT_FALSE(fences.Add(kAuth, FenceScope::kPrefix, "b:", 150)) << "said already";
  EXPECT_EQ(fences.changes(), changes + 1);
  EXPECT_EQ(fences.size(), 0u) << "the namespace's fence has taken the older one's place";
}

TEST(FenceTableTest, PrefixesEndAtAColonAndAreNotTooDeep) {
  EXPECT_EQ(FenceTable::PrefixDepth(""), 0);
  EXPECT_EQ(FenceTable::PrefixDepth("user"), 0);
  EXPECT_EQ(FenceTable::PrefixDepth("user:"), 1);
  EXPECT_EQ(FenceTable::PrefixDepth("auth:user:1:"), 3);
  EXPECT_EQ(FenceTable::PrefixDepth(std::string(32, ':')), 32);
  EXPECT_EQ(FenceTable::PrefixDepth(std::string(33, ':')), 0);
}

TEST(FenceTableTest, NewestOfKeyLeavesTagsOut) {
  FenceTable fences;
  EXPECT_EQ(fences.NewestOfKey(kAuth, "a:b:c"), 0u);
  fences.Add(kAuth, FenceScope::kPrefix, "a:", 100);
  fences.Add(kAuth, FenceScope::kPrefix, "a:b:", 90);
  fences.Add(kAuth, FenceScope::kTag, "t", 500);
  EXPECT_EQ(fences.NewestOfKey(kAuth, "a:b:c"), 100u);
  fences.Add(kAuth, FenceScope::kPrefix, "a:b:", 110);
  EXPECT_EQ(fences.NewestOfKey(kAuth, "a:b:c"), 110u);
  EXPECT_EQ(fences.NewestOfKey(kAuth, "a:x"), 100u);
  fences.Add(kAuth, FenceScope::kNamespace, "", 105);
  EXPECT_EQ(fences.NewestOfKey(kAuth, "a:b:c"), 110u);
  EXPECT_EQ(fences.NewestOfKey(kAuth, "x"), 105u);
  EXPECT_TRUE(fences.HasTags(kAuth));
  EXPECT_FALSE(fences.HasTags(kTask));
}

TEST(FenceTableTest, NewestOfAFenceIsThatOfWhatCoversAsMuch) {
  FenceTable fences;
  EXPECT_EQ(fences.NewestOf(kAuth, FenceScope::kTag, "t"), 0u);
  fences.Add(kAuth, FenceScope::kTag, "t", 100);
  fences.Add(kAuth, FenceScope::kPrefix, "t:", 190);
  EXPECT_EQ(fences.NewestOf(kAuth, FenceScope::kTag, "t"), 100u);
  EXPECT_EQ(fences.NewestOf(kAuth, FenceScope::kTag, "other"), 0u);
  EXPECT_EQ(fences.NewestOf(kAuth, FenceScope::kNamespace, ""), 0u);
  EXPECT_EQ(fences.NewestOf(kTask, FenceScope::kTag, "t"), 0u);
  fences.Add(kAuth, FenceScope::kNamespace, "", 95);
  EXPECT_EQ(fences.NewestOf(kAuth, FenceScope::kTag, "t"), 100u);
  EXPECT_EQ(fences.NewestOf(kAuth, FenceScope::kTag, "other"), 95u);
  fences.Add(kAuth, FenceScope::kNamespace, "", 105);
  EXPECT_EQ(fences.NewestOf(kAuth, FenceScope::kTag, "t"), 105u);
}

// Against a list of all fences that ever were.
TEST(FenceTableTest, SaysWhatAListOfAllFencesSays) {
  std::mt19937 random(7);
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const auto key = [&] {
    std::string text;
    for (int i = pick(4); i >= 0; --i) absl::StrAppend(&text, pick(4), pick(3) == 0 ? "" : ":");
    return text.empty() ? std::string(":") : text;
  };
  FenceTable fences;
  std::vector<std::tuple<NamespaceId, FenceScope, std::string, uint64_t>> all;
  for (int round = 0; round < 20'000; ++round) {
    const auto name_space = static_cast<NamespaceId>(1 + pick(3));
    if (round % 40 == 0) {
      std::string name = key();
      FenceScope scope = FenceScope::kTag;
      if (pick(2) == 0) {
        scope = FenceScope::kPrefix;
        name += ':';
      } else if (pick(40) == 0) {
        scope = FenceScope::kNamespace;
        name.clear();
      }
      const uint64_t hlc = static_cast<uint64_t>(round + 1 - pick(400) + 400);
      fences.Add(name_space, scope, name, hlc);
      all.emplace_back(name_space, scope, name, hlc);
    }
    const std::string asked = key();
    std::vector<std::string> tags;
    for (int i = pick(3); i > 0; --i) tags.push_back(key());
    const uint64_t hlc = static_cast<uint64_t>(round + 1 - pick(20'000) + 20'000 - 19'000);
    const bool dead = std::any_of(all.begin(), all.end(), [&](const auto& fence) {
      const auto& [of, scope, name, clock] = fence;
      if (of != name_space || clock < hlc) return false;
      if (scope == FenceScope::kNamespace) return true;
      if (scope == FenceScope::kPrefix) return asked.compare(0, name.size(), name) == 0;
      return std::count(tags.begin(), tags.end(), name) > 0;
    });
    ASSERT_EQ(fences.Covers(name_space, asked, EncodeTags(tags), hlc), dead)
        << asked << " at " << hlc << ", round " << round;
  }
}

TEST(FenceTableTest, AFullTableKillsMoreNeverLess) {
  FenceTable fences;
  fences.Add(kTask, FenceScope::kTag, "kept", 5);
  const size_t count = FenceTable::kMaxFences + 1000;
  for (size_t i = 1; i <= count; ++i) {
    fences.Add(kAuth, FenceScope::kPrefix, absl::StrCat("user:", i, ":"), i);
  }
  EXPECT_LE(fences.size(), FenceTable::kMaxFences);
  for (size_t i = 1; i <= count; ++i) {
    ASSERT_TRUE(fences.Covers(kAuth, absl::StrCat("user:", i, ":read"), "", i)) << i;
  }
  EXPECT_FALSE(fences.Covers(kAuth, "other", "", count)) << "the newer half is as it was";
  EXPECT_FALSE(fences.Covers(kTask, "a", EncodeTags({"other"}), 1)) << "another namespace";
  EXPECT_TRUE(fences.Covers(kTask, "a", EncodeTags({"kept"}), 5));
}

TEST(FenceTableTest, ReadersNeverMissAFenceThatWasThereBefore) {
  FenceTable fences;
  std::atomic<uint64_t> done{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const uint64_t hlc = done.load(std::memory_order_acquire);
        if (hlc == 0) continue;
        EXPECT_TRUE(fences.Covers(kAuth, absl::StrCat("k:", hlc, ":x"), "", hlc));
      }
    });
  }
  for (uint64_t hlc = 1; hlc <= FenceTable::kMaxFences * 2; ++hlc) {
    fences.Add(kAuth, FenceScope::kPrefix, absl::StrCat("k:", hlc, ":"), hlc);
    done.store(hlc, std::memory_order_release);
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

class EngineFenceTest : public testing::Test {
 protected:
  EntryKey Key(std::string_view key) { return KeyOf(*engine_, "auth", key); }
  bool Has(std::string_view key) {
    Entry entry;
    return engine_->Get(Key(key), absl::ZeroDuration(), &entry);
  }
  NamespaceId id() { return *engine_->InternNamespace("auth"); }

  std::unique_ptr<Engine> engine_ = MakeEngine({.capacity_bytes = 1 << 20, .shard_bits = 2});
};

TEST_F(EngineFenceTest, WhatIsFencedIsGoneAtOnceAndWhatComesAfterIsServed) {
  Entry tagged = MakeEntry("v", V(10));
  tagged.tags = Buffer::CopyOf(EncodeTags({"team:7"}));
  engine_->Put(Key("user:1:read"), MakeEntry("v", V(10)), absl::ZeroDuration());
  engine_->Put(Key("user:2:read"), MakeEntry("v", V(10)), absl::ZeroDuration());
  engine_->Put(Key("other"), tagged, absl::ZeroDuration());

  engine_->fences().Add(id(), FenceScope::kPrefix, "user:1:", 20);
  EXPECT_FALSE(Has("user:1:read"));
  EXPECT_TRUE(Has("user:2:read"));
  EXPECT_TRUE(Has("other"));
  engine_->fences().Add(id(), FenceScope::kTag, "team:7", 20);
  EXPECT_FALSE(Has("other"));
  EXPECT_TRUE(engine_->IsBehind(Key("other"), V(1)));

  EXPECT_EQ(engine_->Put(Key("user:1:read"), MakeEntry("old", V(20)), absl::ZeroDuration()),
            PutOutcome::kOvertaken);
  EXPECT_EQ(engine_->Put(Key("user:1:read"), MakeEntry("new", V(21)), absl::ZeroDuration()),
            PutOutcome::kStored);
  EXPECT_TRUE(Has("user:1:read"));
  engine_->fences().Add(id(), FenceScope::kNamespace, "", 30);
  EXPECT_FALSE(Has("user:1:read"));
  EXPECT_FALSE(Has("user:2:read"));
  ExpectConsistent(*engine_);
}

TEST_F(EngineFenceTest, AFillThatAFenceHasOvertakenIsNotPutIn) {
  const FillToken token = engine_->BeginFill(Key("user:1:read"));
  engine_->fences().Add(id(), FenceScope::kPrefix, "user:1:", 20);
  EXPECT_EQ(
      engine_->PutFill(Key("user:1:read"), MakeEntry("old", V(19)), absl::ZeroDuration(), token),
      PutOutcome::kOvertaken);
  EXPECT_FALSE(Has("user:1:read"));
  EXPECT_EQ(
      engine_->PutFill(Key("user:1:read"), MakeEntry("new", V(21)), absl::ZeroDuration(), token),
      PutOutcome::kStored);
}

TEST_F(EngineFenceTest, ATouchedEntryIsAsOldAsItsWrite) {
  Entry touched = MakeEntry("v", V(30));
  touched.written = V(10).hlc;
  engine_->Put(Key("user:1:read"), touched, absl::ZeroDuration());
  Entry found;
  ASSERT_TRUE(engine_->Get(Key("user:1:read"), absl::ZeroDuration(), &found));
  EXPECT_EQ(found.written, V(10).hlc);
  EXPECT_EQ(found.version, V(30));
  engine_->fences().Add(id(), FenceScope::kPrefix, "user:1:", V(9).hlc);
  EXPECT_TRUE(Has("user:1:read"));
  engine_->fences().Add(id(), FenceScope::kPrefix, "user:1:", V(20).hlc);
  EXPECT_FALSE(Has("user:1:read"));
  touched.version = V(40);
  EXPECT_EQ(engine_->Put(Key("user:1:read"), touched, absl::ZeroDuration()),
            PutOutcome::kOvertaken);
  ExpectConsistent(*engine_);
}

TEST_F(EngineFenceTest, WhatIsDeadGuardsAgainstWhatItHadReplaced) {
  Entry tagged = MakeEntry("newer", V(10));
  tagged.tags = Buffer::CopyOf(EncodeTags({"team:7"}));
  engine_->Put(Key("k"), tagged, absl::ZeroDuration());
  engine_->fences().Add(id(), FenceScope::kTag, "team:7", V(20).hlc);
  EXPECT_EQ(engine_->Put(Key("k"), MakeEntry("older", V(9)), absl::ZeroDuration()),
            PutOutcome::kStale);
  EXPECT_FALSE(Has("k"));
  EXPECT_EQ(engine_->Put(Key("k"), MakeEntry("other", V(11)), absl::ZeroDuration()),
            PutOutcome::kStored);
  EXPECT_TRUE(Has("k"));
}

TEST_F(EngineFenceTest, MemoryComesBackWithoutAnybodyAsking) {
  for (int i = 0; i < 1000; ++i) {
    engine_->Put(Key(absl::StrCat("user:", i % 2, ":", i)), MakeEntry("v", V(10)),
                 absl::ZeroDuration());
  }
  const size_t before = engine_->entries();
  engine_->fences().Add(id(), FenceScope::kPrefix, "user:1:", 20);
  EXPECT_EQ(engine_->entries(), before);
  for (int i = 0; i < 100; ++i) engine_->Advance(absl::Seconds(i), 1000);
  EXPECT_EQ(engine_->entries(), before / 2);
  EXPECT_EQ(CountersOf(*engine_, "auth").evictions[static_cast<size_t>(EvictionCause::kFence)],
            before / 2);
  ExpectConsistent(*engine_);
}

}  // namespace
}  // namespace meridian
