#include "common/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/common/engine/engine_fixture.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kNow = absl::Seconds(1000);

class EngineTest : public testing::Test {
 protected:
  EntryKey Key(std::string_view key) { return KeyOf(*engine_, "task", key); }
  PutOutcome Put(std::string_view key, std::string_view value, uint64_t hlc,
                 absl::Duration expires_at = absl::Hours(1)) {
    return engine_->Put(Key(key), MakeEntry(value, V(hlc), expires_at), kNow);
  }
  // The value, or "-" for a miss.
  std::string Get(std::string_view key, absl::Duration now = kNow) {
    Entry entry;
    return engine_->Get(Key(key), now, &entry) ? std::string(entry.value.view()) : "-";
  }
  void Reset(EngineOptions options) { engine_ = MakeEngine(std::move(options)); }

  std::unique_ptr<Engine> engine_ = MakeEngine({.capacity_bytes = 1 << 20, .shard_bits = 2});
};

TEST(EngineOptionsTest, ValidateNamesTheFieldAndTheValue) {
  EXPECT_TRUE(EngineOptions{}.Validate().ok());
  EXPECT_THAT(EngineOptions{.shard_bits = 11}.Validate().message(), HasSubstr("shard_bits is 11"));
  EXPECT_THAT(EngineOptions{.shard_bits = -1}.Validate().message(), HasSubstr("shard_bits is -1"));
  EXPECT_THAT(EngineOptions{.capacity_bytes = 0}.Validate().message(),
              HasSubstr("capacity_bytes is 0"));
  EXPECT_THAT((EngineOptions{.capacity_entries = 31, .shard_bits = 5}.Validate().message()),
              HasSubstr("capacity_entries is 31"));
  EXPECT_TRUE((EngineOptions{.capacity_entries = 32, .shard_bits = 5}.Validate().ok()));
  EXPECT_THAT(EngineOptions{.policy = "nonesuch"}.Validate().message(), HasSubstr("'nonesuch'"));
  EXPECT_EQ(Engine::Create({.policy = "nonesuch"}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(EngineTest, GivesBackEverythingThatWasPut) {
  char* raw;
  Entry entry = {.value = Buffer::Uninitialized(5, &raw),
                 .version = V(7, 3),
                 .expires_at = kNow + absl::Milliseconds(1),
                 .raw_size = 900,
                 .encoding = Encoding::kZlib,
                 .tags = Buffer::CopyOf("tags")};
  std::copy_n("a\0b\0c", 5, raw);
  const std::string key("k\0\xff", 3);
  ASSERT_EQ(engine_->Put(Key(key), entry, kNow), PutOutcome::kStored);
  EXPECT_EQ(engine_->bytes(), EntryCharge(3, entry));
  EXPECT_EQ(EntryCharge(3, entry), kEntryOverheadBytes + kExtraOverheadBytes + 3 + 5 + 4);

  Entry got;
  ASSERT_TRUE(engine_->Get(Key(key), kNow, &got));
  EXPECT_EQ(got.value.view(), entry.value.view());
  EXPECT_EQ(got.version, V(7, 3));
  EXPECT_EQ(got.expires_at, kNow + absl::Milliseconds(1));
  EXPECT_EQ(got.raw_size, 900);
  EXPECT_EQ(got.encoding, Encoding::kZlib);
  EXPECT_EQ(got.tags.view(), "tags");
}

TEST_F(EngineTest, ReadersShareTheBytesOfAValueOfWhateverSize) {
  for (const size_t size : {size_t{1}, kMaxInlineValue, kMaxInlineValue + 1, size_t{50'000}}) {
    Put("k", std::string(size, 'v'), size);
    Entry one;
    Entry two;
    ASSERT_TRUE(engine_->Get(Key("k"), kNow, &one));
    ASSERT_TRUE(engine_->Get(Key("k"), kNow, &two));
    EXPECT_EQ(one.value.view(), std::string(size, 'v'));
    EXPECT_EQ(one.value.view().data(), two.value.view().data()) << "the value was copied";
  }
  const Entry large = MakeEntry(std::string(kMaxInlineValue + 1, 'v'), V(60'000));
  engine_->Put(Key("k"), large, kNow);
  Entry got;
  ASSERT_TRUE(engine_->Get(Key("k"), kNow, &got));
  EXPECT_EQ(got.value.view().data(), large.value.view().data()) << "a large value was copied";
}

TEST_F(EngineTest, AValueOutlivesItsEntryAndTheEngine) {
  Put("k", "value", 1);
  Entry evicted;
  ASSERT_TRUE(engine_->Get(Key("k"), kNow, &evicted));
  Put("k", "other", 2);
  Entry last;
  ASSERT_TRUE(engine_->Get(Key("k"), kNow, &last));
  engine_.reset();
  EXPECT_EQ(evicted.value.view(), "value");
  EXPECT_EQ(last.value.view(), "other");
}

TEST_F(EngineTest, AVersionOfARegionThatIsOneTooManyIsKeptWhole) {
  for (uint16_t region = 1; region <= 100; ++region) {
    const std::string key = absl::StrCat("k", region);
    const Version version = V((uint64_t{1} << 63) + region, static_cast<uint16_t>(region * 601));
    engine_->Put(Key(key), MakeEntry("v", version), kNow);
    Entry entry;
    ASSERT_TRUE(engine_->Get(Key(key), kNow, &entry));
    EXPECT_EQ(entry.version, version);
  }
}

TEST_F(EngineTest, TheSameKeyInTwoNamespacesIsTwoEntries) {
  engine_->Put(KeyOf(*engine_, "a", "k"), MakeEntry("1", V(1)), kNow);
  engine_->Put(KeyOf(*engine_, "b", "k"), MakeEntry("2", V(1)), kNow);
  Entry entry;
  ASSERT_TRUE(engine_->Get(KeyOf(*engine_, "a", "k"), kNow, &entry));
  EXPECT_EQ(entry.value.view(), "1");
  ASSERT_TRUE(engine_->Get(KeyOf(*engine_, "b", "k"), kNow, &entry));
  EXPECT_EQ(entry.value.view(), "2");
}

TEST_F(EngineTest, KeysWithEqualHashesAreTwoEntries) {
  // Tables and policies go by the low half of the hash: among 2^18 keys some have the same.
  std::unordered_map<uint32_t, std::string> seen;
  std::string first;
  std::string second;
  for (int i = 0; second.empty(); ++i) {
    ASSERT_LT(i, 1 << 22);
    const std::string key = absl::StrCat("key", i);
    const auto [at, added] = seen.emplace(static_cast<uint32_t>(Key(key).hash), key);
    if (added) continue;
    first = at->second;
    second = key;
  }
  const EntryKey one = Key(first);
  const EntryKey two = Key(second);
  engine_->Put(one, MakeEntry("1", V(1)), kNow);
  engine_->Put(two, MakeEntry("2", V(1)), kNow);
  EXPECT_TRUE(engine_->Erase(one, V(1)));
  Entry entry;
  EXPECT_FALSE(engine_->Peek(one, kNow, &entry));
  ASSERT_TRUE(engine_->Peek(two, kNow, &entry));
  EXPECT_EQ(entry.value.view(), "2");
}

TEST_F(EngineTest, ABatchOfGetsAnswersAndCountsAsSingleOnesDo) {
  const EngineOptions options = {
      .capacity_bytes = 1 << 20, .capacity_entries = 300, .shard_bits = 3, .policy = "lru"};
  std::unique_ptr<Engine> one_by_one = MakeEngine(options);
  std::unique_ptr<Engine> batched = MakeEngine(options);
  std::mt19937 rng(5);
  std::vector<std::string> names;
  for (int i = 0; i < 500; ++i) names.push_back(absl::StrCat("key:", i));
  std::array<Lookup, Engine::kMaxBatch> answers;
  absl::Duration now = kNow;
  for (int round = 0; round < 2000; ++round) {
    const std::string& name = names[rng() % names.size()];
    const Entry entry = MakeEntry(name, V(1 + round), now + absl::Milliseconds(rng() % 500));
    one_by_one->Put(KeyOf(*one_by_one, "n", name), entry, now);
    batched->Put(KeyOf(*batched, "n", name), entry, now);
    std::shuffle(names.begin(), names.end(), rng);
    std::vector<EntryKey> keys;
    const size_t count = rng() % (Engine::kMaxBatch + 1);
    for (size_t i = 0; i < count; ++i) {
      keys.push_back(KeyOf(*batched, "n", names[i]));
    }
    batched->GetBatch(keys, now, answers.data());
    for (size_t i = 0; i < keys.size(); ++i) {
      Entry expected;
      const bool found = one_by_one->Get(KeyOf(*one_by_one, "n", names[i]), now, &expected);
      ASSERT_EQ(answers[i].found, found);
      if (found) {
        ASSERT_EQ(answers[i].entry.version, expected.version);
        ASSERT_EQ(answers[i].entry.value.view(), expected.value.view());
      } else {
        ASSERT_EQ(answers[i].token, batched->BeginFill(keys[i]));
      }
    }
    now += absl::Milliseconds(1);
  }
  EXPECT_EQ(batched->Stats()[0].counters.hits, one_by_one->Stats()[0].counters.hits);
  EXPECT_EQ(batched->Stats()[0].counters.misses_by, one_by_one->Stats()[0].counters.misses_by);
  EXPECT_GT(batched->Stats()[0].counters.hits, 1000u);
  const EntryKey twice = KeyOf(*batched, "n", "twice");
  batched->Put(twice, MakeEntry("v", V(1)), now);
  batched->GetBatch(std::vector<EntryKey>{twice, twice}, now, answers.data());
  EXPECT_TRUE(answers[0].found && answers[1].found);
  batched->GetBatch({}, now, answers.data());
}

TEST_F(EngineTest, TheNewestVersionStaysInWhateverOrderTheyCome) {
  std::vector<Version> versions = {V(1), V(2, 1), V(2, 2), V(3)};
  do {
    for (const Version& version : versions) {
      engine_->Put(Key("k"), MakeEntry(version.ToText(), version), kNow);
    }
    EXPECT_EQ(Get("k"), V(3).ToText());
    engine_->Clear();
  } while (std::next_permutation(versions.begin(), versions.end()));
}

TEST_F(EngineTest, TheSameVersionChangesNothingWhileItLives) {
  EXPECT_EQ(Put("k", "first", 5), PutOutcome::kStored);
  EXPECT_EQ(Put("k", "again", 5), PutOutcome::kStale);
  EXPECT_EQ(Put("k", "older", 4), PutOutcome::kStale);
  EXPECT_EQ(Get("k"), "first");
}

TEST_F(EngineTest, AnEntryIsInvisibleFromTheInstantOfItsExpiry) {
  const absl::Duration expiry = kNow + absl::Nanoseconds(1'500'000);
  Put("k", "v", 1, expiry + absl::Nanoseconds(99'999));  // Expiries are whole units of 100 us.
  EXPECT_EQ(Get("k", expiry - absl::Nanoseconds(1)), "v");
  EXPECT_EQ(Get("k", expiry), "-");
  Entry entry;
  EXPECT_FALSE(engine_->Peek(Key("k"), expiry, &entry));
}

TEST_F(EngineTest, AdvanceFreesAnEntryAtTheTickAfterItsExpiryAndNotBefore) {
  Put("k", "v", 1, kNow + absl::Nanoseconds(1'500'001));
  EXPECT_EQ(engine_->Advance(kNow + absl::Nanoseconds(1'999'999), 10), 0);
  EXPECT_EQ(engine_->entries(), 1);
  EXPECT_EQ(engine_->Advance(kNow + absl::Milliseconds(2), 10), 1);
  EXPECT_EQ(engine_->bytes(), 0);
  EXPECT_EQ(CountersOf(*engine_, "task").evicted(EvictionCause::kTtl), 1);
}

TEST_F(EngineTest, ExpiriesFarAwayAreKept) {
  for (const absl::Duration at : {absl::Hours(24 * 365 * 13), absl::InfiniteDuration()}) {
    Put("k", "v", 1, at);
    Entry entry;
    ASSERT_TRUE(engine_->Get(Key("k"), kNow, &entry));
    EXPECT_EQ(entry.expires_at, at);
    engine_->Clear();
  }
}

TEST_F(EngineTest, AnExpiredEntryKeepsOlderVersionsOutAndLetsItsOwnBackIn) {
  const absl::Duration later = kNow + absl::Seconds(2);
  Put("k", "v5", 5, kNow + absl::Seconds(1));
  EXPECT_EQ(engine_->Put(Key("k"), MakeEntry("v4", V(4)), later), PutOutcome::kStale);
  EXPECT_EQ(Get("k", later), "-");
  EXPECT_EQ(engine_->Put(Key("k"), MakeEntry("v5", V(5)), later), PutOutcome::kStored);
  EXPECT_EQ(Get("k", later), "v5");
}

TEST_F(EngineTest, AnEntryThatHasExpiredAlreadyOnlyRemovesTheOlderOne) {
  Put("k", "old", 1);
  EXPECT_EQ(Put("k", "new", 2, kNow), PutOutcome::kExpired);
  EXPECT_EQ(Get("k"), "-");
  EXPECT_EQ(engine_->entries(), 0);
}

TEST_F(EngineTest, AValueLargerThanAShardOnlyRemovesTheOlderOne) {
  const std::string fits((1 << 18) - kEntryOverheadBytes - kExtraOverheadBytes - 1, 'x');
  EXPECT_EQ(Put("k", fits, 1), PutOutcome::kStored);
  EXPECT_EQ(engine_->bytes(), 1 << 18);
  EXPECT_EQ(Put("k", fits + "x", 1), PutOutcome::kStale);
  EXPECT_EQ(Put("k", fits + "x", 2), PutOutcome::kTooLarge);
  EXPECT_EQ(Get("k"), "-");
  EXPECT_EQ(engine_->bytes(), 0);
}

TEST_F(EngineTest, ACapacityBelowOneEntryHoldsNothing) {
  Reset({.capacity_bytes = 1, .shard_bits = 0});
  EXPECT_EQ(Put("k", "v", 1), PutOutcome::kTooLarge);
  EXPECT_EQ(engine_->entries(), 0);
}

TEST_F(EngineTest, KeysOfAllSizesWork) {
  for (const size_t size : {0, 1, 1024, 65535}) {
    const std::string key(size, 'k');
    EXPECT_EQ(Put(key, "v", 1), PutOutcome::kStored) << size;
    EXPECT_EQ(Get(key), "v") << size;
  }
  EXPECT_EQ(Put(std::string(65536, 'k'), "v", 1), PutOutcome::kTooLarge);
}

TEST_F(EngineTest, TheLeastRecentlyUsedEntryGoesFirst) {
  Reset({.capacity_bytes = 1 << 20, .capacity_entries = 2, .shard_bits = 0});
  Put("a", "1", 1);
  Put("b", "2", 1);
  Get("a");
  Put("c", "3", 1);
  EXPECT_EQ(Get("b"), "-");
  EXPECT_EQ(Get("a") + Get("c"), "13");
  EXPECT_EQ(CountersOf(*engine_, "task").evicted(EvictionCause::kSize), 1);
}

TEST_F(EngineTest, PeekChangesNeitherRecencyNorStatistics) {
  Reset({.capacity_bytes = 1 << 20, .capacity_entries = 2, .shard_bits = 0});
  Put("a", "1", 1);
  Put("b", "2", 1);
  const EngineCounters before = CountersOf(*engine_, "task");
  Entry entry;
  EXPECT_TRUE(engine_->Peek(Key("a"), kNow, &entry));
  EXPECT_EQ(CountersOf(*engine_, "task"), before);
  Put("c", "3", 1);
  EXPECT_FALSE(engine_->Peek(Key("a"), kNow, &entry));
}

TEST_F(EngineTest, EraseRemovesOnlyWhatIsNotNewer) {
  Put("k", "v", 5);
  EXPECT_TRUE(engine_->IsBehind(Key("k"), V(6)));
  EXPECT_FALSE(engine_->IsBehind(Key("k"), V(5)));
  EXPECT_TRUE(engine_->IsBehind(Key("absent"), V(1)));
  EXPECT_FALSE(engine_->Erase(Key("k"), V(4)));
  EXPECT_EQ(Get("k"), "v");
  EXPECT_TRUE(engine_->Erase(Key("k"), V(5)));
  EXPECT_FALSE(engine_->Erase(Key("k"), V(5)));
  EXPECT_EQ(Get("k"), "-");
  EXPECT_EQ(CountersOf(*engine_, "task").erases, 1);
}

TEST_F(EngineTest, AFillThatNothingOvertookIsStored) {
  const FillToken token = engine_->BeginFill(Key("k"));
  EXPECT_EQ(engine_->PutFill(Key("k"), MakeEntry("v", V(1)), kNow, token), PutOutcome::kStored);
  EXPECT_EQ(Get("k"), "v");
  EXPECT_EQ(CountersOf(*engine_, "task").fills, 1);
  EXPECT_EQ(CountersOf(*engine_, "task").puts, 0);
}

TEST_F(EngineTest, AFillIsOvertakenByAPutAnEraseADropAndAClear) {
  const std::vector<std::function<void()>> overtakers = {
      [&] { Put("k", "v", 1); },
      [&] { engine_->Put(Key("k"), MakeEntry("v", V(1), kNow), kNow); },
      [&] { engine_->Erase(Key("k"), V(9)); },  // Absent: the case that versions cannot decide.
      [&] { engine_->DropSlot(Key("k").slot); },
      [&] { engine_->Clear(); },
  };
  for (size_t i = 0; i < overtakers.size(); ++i) {
    engine_->Clear();
    const FillToken token = engine_->BeginFill(Key("k"));
    overtakers[i]();
    const std::string before = Get("k");
    EXPECT_EQ(engine_->PutFill(Key("k"), MakeEntry("fill", V(2)), kNow, token),
              PutOutcome::kOvertaken)
        << i;
    EXPECT_EQ(Get("k"), before) << i;
  }
}

TEST_F(EngineTest, AnOvertakenWriteIsNotStoredAndRemovesWhatIsOlder) {
  Put("k", "v1", 1);
  const FillToken token = engine_->BeginFill(Key("k"));
  engine_->Erase(Key("absent and in another slot"), V(9));
  EXPECT_EQ(engine_->PutWritten(Key("k"), MakeEntry("v2", V(2)), kNow, token), PutOutcome::kStored);
  EXPECT_EQ(Get("k"), "v2");

  // A newer write elsewhere was dropped here while v4 waited for its answer.
  const FillToken second = engine_->BeginFill(Key("k"));
  engine_->Erase(Key("k"), V(1));  // Too old to remove anything; it overtakes all the same.
  EXPECT_EQ(engine_->PutWritten(Key("k"), MakeEntry("v4", V(4)), kNow, second),
            PutOutcome::kOvertaken);
  EXPECT_EQ(Get("k"), "-");
}

TEST_F(EngineTest, AWriteVoidsTheFillsThatItOvertook) {
  const FillToken fill = engine_->BeginFill(Key("k"));
  const FillToken write = engine_->BeginFill(Key("k"));
  ASSERT_EQ(engine_->PutWritten(Key("k"), MakeEntry("v2", V(2)), kNow, write), PutOutcome::kStored);
  engine_->Clear();
  EXPECT_EQ(engine_->PutFill(Key("k"), MakeEntry("v1", V(1)), kNow, fill), PutOutcome::kOvertaken);
}

TEST_F(EngineTest, AFillOfAWatchedKeyIsVoidedByItsOwnChangesAlone) {
  const std::vector<std::function<void()>> changes = {
      [&] { Put("k", "v", 3); },
      [&] { engine_->Erase(Key("k"), V(9)); },
      [&] { engine_->DropSlot(Key("k").slot); },
      [&] { engine_->Clear(); },
      [&] { engine_->Erase(Key("k"), V(1)); },  // Late: it voids nothing.
  };
  const size_t voiding = changes.size() - 1;
  for (size_t i = 0; i <= changes.size(); ++i) {
    engine_->Clear();
    const KeyWatch watch = engine_->Watch(Key("k"));
    const FillToken token = engine_->BeginFill(Key("k"));
    // All counters that keys may share.
    for (int n = 0; n < 5000; ++n) engine_->Erase(Key(absl::StrCat("other ", n)), V(1));
    EXPECT_NE(token.writes, engine_->BeginFill(Key("k")).writes) << "theirs is shared";
    if (i < changes.size()) changes[i]();
    EXPECT_EQ(engine_->PutFill(Key("k"), MakeEntry("fill", V(2)), kNow, token),
              i < voiding ? PutOutcome::kOvertaken : PutOutcome::kStored)
        << i;
  }
}

TEST_F(EngineTest, AWatchKnowsTheNewestChangeOfItsKey) {
  EXPECT_FALSE(KeyWatch().newest().is_set());
  Put("k", "v", 7);
  const FillToken before = engine_->BeginFill(Key("k"));
  {
    const KeyWatch watch = engine_->Watch(Key("k"));
    EXPECT_FALSE(watch.newest().is_set()) << "before the watch";
    EXPECT_EQ(before.change, 0);
    const uint64_t begin = engine_->BeginFill(Key("k")).change;
    EXPECT_GT(begin, 0);
    engine_->Erase(Key("other"), V(100));
    engine_->Erase(Key("k"), V(8));
    engine_->Erase(Key("k"), V(3));
    EXPECT_EQ(watch.newest(), V(8));
    EXPECT_GT(engine_->BeginFill(Key("k")).change, begin);
    const KeyWatch second = engine_->Watch(Key("k"));
    EXPECT_EQ(second.newest(), V(8)) << "as long as one of them is there";
  }
  EXPECT_EQ(engine_->BeginFill(Key("k")).change, 0);
  {
    FillToken of_earlier_watch;
    {
      const KeyWatch earlier = engine_->Watch(Key("k"));
      of_earlier_watch = engine_->BeginFill(Key("k"));
    }
    engine_->Erase(Key("k"), V(20));
    const KeyWatch later = engine_->Watch(Key("k"));
    EXPECT_EQ(engine_->PutFill(Key("k"), MakeEntry("v", V(9)), kNow, of_earlier_watch),
              PutOutcome::kOvertaken);
  }
  // A fill that began when nobody watched is void as ever, although somebody does now.
  const KeyWatch watch = engine_->Watch(Key("k"));
  EXPECT_EQ(engine_->PutFill(Key("k"), MakeEntry("v", V(9)), kNow, before), PutOutcome::kOvertaken);
}

TEST_F(EngineTest, AWatchMayOutliveTheEngine) {
  std::unique_ptr<Engine> engine = MakeEngine({.capacity_bytes = 1 << 20, .shard_bits = 1});
  const KeyWatch watch = engine->Watch(KeyOf(*engine, "n", "k"));
  engine.reset();
  EXPECT_GT(watch.newest(), V(1)) << "what it was is gone, and more is not known";
}

TEST_F(EngineTest, TwoFillsOfOneKeyDoNotVoidEachOther) {
  const FillToken one = engine_->BeginFill(Key("k"));
  const FillToken two = engine_->BeginFill(Key("k"));
  EXPECT_EQ(engine_->PutFill(Key("k"), MakeEntry("v1", V(1)), kNow, one), PutOutcome::kStored);
  EXPECT_EQ(engine_->PutFill(Key("k"), MakeEntry("v2", V(2)), kNow, two), PutOutcome::kStored);
  EXPECT_EQ(Get("k"), "v2");
}

TEST_F(EngineTest, ADroppedSlotIsInvisibleAtOnceAndFreedByAdvance) {
  std::vector<std::string> keys;
  for (int i = 0; i < 200; ++i) keys.push_back(absl::StrCat("{tag}", i));
  for (const std::string& key : keys) Put(key, "v", 5);
  Put("other", "v", 5);
  ASSERT_NE(Key("other").slot, Key(keys[0]).slot);

  engine_->DropSlot(Key(keys[0]).slot);
  for (const std::string& key : keys) EXPECT_EQ(Get(key), "-");
  EXPECT_TRUE(engine_->IsBehind(Key(keys[0]), V(1)));
  EXPECT_EQ(Get("other"), "v");
  EXPECT_EQ(engine_->entries(), 201);

  EXPECT_EQ(Put(keys[7], "older, but after the drop", 4), PutOutcome::kStored);
  size_t freed = 0;
  for (int i = 0; i < 100; ++i) {
    const size_t now_freed = engine_->Advance(kNow, 10);
    EXPECT_LE(now_freed, 10);
    freed += now_freed;
  }
  EXPECT_EQ(freed, 199);
  EXPECT_EQ(engine_->entries(), 2);
  EXPECT_EQ(Get(keys[7]), "older, but after the drop");
  EXPECT_EQ(CountersOf(*engine_, "task").evicted(EvictionCause::kFence), 200);
  ExpectConsistent(*engine_);
}

TEST_F(EngineTest, AnEntryDoesNotComeBackHoweverOftenItsSlotIsDropped) {
  for (int drops = 1; drops <= 300; ++drops) {
    Put("k", "v", 1);
    ASSERT_EQ(Get("k"), "v");
    for (int i = 0; i < drops; ++i) {
      engine_->DropSlot(Key("k").slot);
      ASSERT_EQ(Get("k"), "-") << drops << " " << i;
    }
  }
  ExpectConsistent(*engine_);
}

TEST_F(EngineTest, AdvanceFreesNoMoreThanItsLimitAndEverythingInTheEnd) {
  for (int i = 0; i < 1000; ++i) Put(absl::StrCat("k", i), "v", 1, kNow + absl::Seconds(70));
  size_t calls = 0;
  size_t freed = 0;
  while (freed < 1000 && calls < 1000) {
    const size_t now_freed = engine_->Advance(kNow + absl::Seconds(71), 7);
    EXPECT_LE(now_freed, 7);
    freed += now_freed;
    ++calls;
  }
  EXPECT_EQ(engine_->entries(), 0);
  EXPECT_GE(calls, 1000 / 7);
  EXPECT_LE(calls, 300);
}

TEST_F(EngineTest, ClearRemovesEverythingAndSaysHowMuch) {
  for (int i = 0; i < 100; ++i) Put(absl::StrCat("k", i), "v", 1);
  EXPECT_EQ(engine_->Clear(), 100);
  EXPECT_EQ(engine_->entries(), 0);
  EXPECT_EQ(engine_->bytes(), 0);
  EXPECT_EQ(engine_->Clear(), 0);
  ExpectConsistent(*engine_);
}

TEST_F(EngineTest, CapacityIsDividedOverTheShardsWithoutLoss) {
  Reset({.capacity_bytes = 1 << 20, .capacity_entries = 10, .shard_bits = 2});
  for (int i = 0; i < 1000; ++i) Put(absl::StrCat("k", i), "v", 1);
  EXPECT_EQ(engine_->entries(), 10);
  ExpectConsistent(*engine_);
}

TEST_F(EngineTest, StatisticsAreKeptByNamespace) {
  const EntryKey one = KeyOf(*engine_, "one", "k");
  const EntryKey two = KeyOf(*engine_, "two", "k");
  Entry entry;
  EXPECT_FALSE(engine_->Get(one, kNow, &entry));
  engine_->Put(one, MakeEntry("v", V(1)), kNow);
  engine_->Put(one, MakeEntry("v", V(2)), kNow);
  engine_->Put(one, MakeEntry("v", V(2)), kNow);
  EXPECT_TRUE(engine_->Get(one, kNow, &entry));
  EXPECT_TRUE(engine_->Get(one, kNow, &entry));
  EXPECT_FALSE(engine_->Get(two, kNow, &entry));

  EngineCounters expected = {.hits = 2, .misses_by = {1}, .puts = 2, .entries = 1};
  expected.bytes = kEntryOverheadBytes + 2;
  expected.evictions[static_cast<size_t>(EvictionCause::kReplaced)] = 1;
  EXPECT_EQ(CountersOf(*engine_, "one"), expected);
  EXPECT_EQ(CountersOf(*engine_, "two"), (EngineCounters{.misses_by = {1}}));
  EXPECT_EQ(EvictionCauseName(EvictionCause::kReplaced), "replaced");
}

TEST_F(EngineTest, TheThousandFirstNamespaceIsRefused) {
  for (size_t i = 0; i < Engine::kMaxNamespaces; ++i) {
    EXPECT_EQ(engine_->InternNamespace(absl::StrCat("n", i)), i + 1);
  }
  EXPECT_EQ(engine_->InternNamespace("one more"), std::nullopt);
  EXPECT_EQ(engine_->InternNamespace("n0"), 1);
}

TEST_F(EngineTest, AWalkFindsWhatIsVisibleInTheSlotsAskedFor) {
  std::vector<bool> slots(kSlotCount, true);
  for (int i = 0; i < 500; ++i) Put(absl::StrCat("k", i), "v", 1);
  Put("expires", "v", 1, kNow + absl::Seconds(1));
  Put("dropped", "v", 1);
  engine_->DropSlot(Key("dropped").slot);
  slots[Key("k7").slot] = false;
  std::set<std::string> found;
  std::vector<ResidentKey> keys;
  Engine::WalkPlace place;
  bool more = true;
  for (int pieces = 0; more; ++pieces) {
    ASSERT_LT(pieces, 10'000);
    keys.clear();
    more = engine_->Walk(&place, 4, slots, kNow + absl::Seconds(2), &keys);
    for (const ResidentKey& key : keys) {
      EXPECT_EQ(engine_->NamespaceNames()[key.name_space - 1u], "task");
      EXPECT_EQ(key.slot, Key(key.key).slot);
      found.insert(key.key);
    }
    // What comes while it walks makes the table grow, and hides nothing.
    Put(absl::StrCat("later", pieces), "v", 1);
  }
  for (int i = 0; i < 500; ++i) {
    const std::string key = absl::StrCat("k", i);
    const bool wanted = Key(key).slot != Key("k7").slot && Key(key).slot != Key("dropped").slot;
    EXPECT_EQ(found.count(key), wanted ? 1u : 0u) << key;
  }
  EXPECT_EQ(found.count("expires"), 0u);
  EXPECT_EQ(found.count("dropped"), 0u);
}

}  // namespace
}  // namespace meridian
