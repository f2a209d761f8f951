#include "common/engine/warm_ledger.h"

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/unit/common/engine/engine_fixture.h"

namespace meridian {
namespace {

constexpr absl::Duration kNow = absl::Seconds(1000);

class WarmLedgerTest : public ::testing::Test {
 protected:
  std::string Name(int i) { return absl::StrCat("key:", i); }

  // `expires`: after kNow.
  PutOutcome Fill(const std::string& name, bool warms, uint64_t version = 1,
                  absl::Duration expires = absl::Hours(1), absl::Duration now = kNow) {
    const EntryKey key = KeyOf(*engine_, "task", name);
    Entry entry = MakeEntry("v", V(version), kNow + expires);
    if (warms) entry.warm_source = engine_->InternWarmSource("rule");
    return engine_->PutFill(key, std::move(entry), now, engine_->BeginFill(key));
  }
  bool Get(const std::string& name, absl::Duration now = kNow) {
    Entry entry;
    return engine_->Get(KeyOf(*engine_, "task", name), now, &entry);
  }
  bool Look(const std::string& name) {
    const EntryKey key = KeyOf(*engine_, "task", name);
    Lookup answer;
    engine_->GetBatch({&key, 1}, kNow, &answer, LookKind::kWarming);
    return answer.found;
  }
  WarmedCounts Counts() {
    const auto stats = engine_->WarmedStats();
    if (stats.empty()) return {};
    EXPECT_EQ(stats.size(), 1u);
    EXPECT_EQ(stats[0].source, "rule");
    EXPECT_EQ(stats[0].name_space, "task");
    return stats[0].counts;
  }

  std::unique_ptr<Engine> engine_ =
      MakeEngine({.capacity_bytes = 1 << 20, .capacity_entries = 8, .shard_bits = 0});
};

TEST_F(WarmLedgerTest, TheFirstHitUsesAndTheEndWithoutOneDoesNot) {
  Fill("a", true);
  Fill("b", true);
  Fill("asked", false);
  EXPECT_EQ(Counts(), (WarmedCounts{2, 0, 0, 0}));
  EXPECT_TRUE(Get("a"));
  EXPECT_TRUE(Get("a"));
  EXPECT_TRUE(Get("asked"));
  EXPECT_EQ(Counts(), (WarmedCounts{2, 1, 0, 0}));
  engine_->Erase(KeyOf(*engine_, "task", "b"), V(9));
  engine_->Erase(KeyOf(*engine_, "task", "a"), V(9));
  EXPECT_EQ(Counts(), (WarmedCounts{2, 1, 1, 0}));
}

TEST_F(WarmLedgerTest, WhatExpiresOrIsReplacedUnaskedIsUnused) {
  Fill("a", true, 1, absl::Seconds(1));
  Fill("b", true);
  engine_->Put(KeyOf(*engine_, "task", "b"), MakeEntry("new", V(2)), kNow);
  EXPECT_EQ(Counts(), (WarmedCounts{2, 0, 1, 0}));
  EXPECT_TRUE(Get("b"));
  EXPECT_EQ(Counts(), (WarmedCounts{2, 0, 1, 0})) << "the value that is hit was not warmed";
  engine_->Advance(kNow + absl::Seconds(2), 100);
  EXPECT_EQ(Counts(), (WarmedCounts{2, 0, 2, 0}));
}

constexpr absl::Duration kMinute = absl::Minutes(1);

TEST_F(WarmLedgerTest, AFillOfTheSameVersionGivesItsLaterExpiryAndNothingElse) {
  Fill("a", false, 2, kMinute);
  EXPECT_EQ(Fill("a", false, 2, 2 * kMinute), PutOutcome::kRenewed);
  EXPECT_EQ(Fill("a", false, 2, kMinute), PutOutcome::kStale);
  EXPECT_EQ(Fill("a", false, 1, 9 * kMinute), PutOutcome::kStale) << "an older value";
  EXPECT_TRUE(Get("a", kNow + 2 * kMinute - absl::Seconds(1)));
  EXPECT_FALSE(Get("a", kNow + 2 * kMinute));
  // The wheel knows of it.
  engine_->Advance(kNow + 2 * kMinute - absl::Seconds(1), 100);
  EXPECT_EQ(engine_->entries(), 1u);
  engine_->Advance(kNow + 2 * kMinute + absl::Seconds(1), 100);
  EXPECT_EQ(engine_->entries(), 0u);
  EXPECT_EQ(CountersOf(*engine_, "task").fills, 1u);
}

TEST_F(WarmLedgerTest, NothingIsRenewedAgainstAFenceOrADelete) {
  const EntryKey key = KeyOf(*engine_, "task", "a");
  const auto renew = [&](FillToken token) {
    return engine_->PutFill(key, MakeEntry("v", V(1), kNow + 2 * kMinute), kNow, token);
  };
  Fill("a", false, 1, kMinute);
  const FillToken before = engine_->BeginFill(key);
  engine_->Erase(key, V(2));
  EXPECT_EQ(renew(before), PutOutcome::kOvertaken);
  EXPECT_FALSE(Get("a"));

  Fill("a", false, 1, kMinute);
  ASSERT_TRUE(engine_->fences().Add(key.name_space, FenceScope::kNamespace, "", 5));
  EXPECT_EQ(renew(engine_->BeginFill(key)), PutOutcome::kOvertaken);
  EXPECT_FALSE(Get("a"));
}

// A hit before the entry's old expiry would have been one without the load.
TEST_F(WarmLedgerTest, WhatIsLoadedAnewIsUsedByAHitAfterItsOldExpiry) {
  for (const uint64_t version : {1, 2}) {  // The same value, or another one.
    const std::string name = Name(static_cast<int>(version));
    const WarmedCounts before = Counts();
    Fill(name, false, 1, kMinute);
    EXPECT_TRUE(Get(name));
    EXPECT_EQ(Fill(name, true, version, 3 * kMinute),
              version == 1 ? PutOutcome::kRenewed : PutOutcome::kStored);
    EXPECT_EQ(Counts().warmed, before.warmed + 1);
    EXPECT_TRUE(Get(name));
    EXPECT_TRUE(Get(name, kNow + kMinute - absl::Seconds(1)));
    EXPECT_EQ(Counts().used, before.used);
    EXPECT_TRUE(Get(name, kNow + kMinute + absl::Seconds(1)));
    EXPECT_TRUE(Get(name, kNow + kMinute + absl::Seconds(2)));
    EXPECT_EQ(Counts().used, before.used + 1) << "once";
  }
  engine_->Clear();
  EXPECT_EQ(Counts(), (WarmedCounts{2, 2, 0, 0}));
}

// There will be no hit after its old expiry: nobody need wait to know it.
TEST_F(WarmLedgerTest, WhatHasNoEndIsLoadedAnewInVain) {
  for (const uint64_t version : {1, 2}) {  // The same value, or another one.
    Fill("a", false, 1, absl::InfiniteDuration());
    Fill("a", true, version, absl::InfiniteDuration());
    EXPECT_EQ(Counts(), (WarmedCounts{version, 0, version, 0}));
    EXPECT_TRUE(Get("a"));
  }
  engine_->Clear();
  EXPECT_EQ(Counts(), (WarmedCounts{2, 0, 2, 0}));
}

TEST_F(WarmLedgerTest, WhatIsLoadedAnewAndEndsWithoutSuchAHitIsUnused) {
  for (const uint64_t version : {1, 2}) {
    Fill("a", false, 1, kMinute);
    Fill("a", true, version, 3 * kMinute);
    EXPECT_TRUE(Get("a", kNow + kMinute - absl::Seconds(1)));
    engine_->Clear();
    EXPECT_EQ(Counts(), (WarmedCounts{version, 0, version, 0}));
  }
}

// A refresh every second of what lives a minute: of all the loads only the last may be use.
TEST_F(WarmLedgerTest, WhatIsLoadedAnewAgainAndAgainWasLoadedInVain) {
  Fill("a", false, 1, kMinute);
  for (int second = 1; second <= 30; ++second) {
    const absl::Duration now = kNow + absl::Seconds(second);
    Fill("a", true, 1, absl::Seconds(second) + kMinute, now);
    EXPECT_TRUE(Get("a", now));
  }
  EXPECT_EQ(Counts(), (WarmedCounts{30, 0, 29, 0}));
  EXPECT_TRUE(Get("a", kNow + kMinute + absl::Milliseconds(29'500)));
  EXPECT_EQ(Counts(), (WarmedCounts{30, 1, 29, 0}));
  // And when it makes no life longer, at once.
  EXPECT_EQ(Fill("a", true, 1, kMinute + absl::Seconds(30)), PutOutcome::kStale);
  EXPECT_EQ(Counts(), (WarmedCounts{31, 1, 30, 0}));
}

TEST_F(WarmLedgerTest, WhatIsLoadedAnewKeepsItsHits) {
  Fill("a", false, 1, kMinute);
  for (int i = 0; i < 5; ++i) Get("a");
  Fill("a", true, 1, 2 * kMinute);
  Get("a");
  Entry entry;
  ASSERT_TRUE(engine_->Peek(KeyOf(*engine_, "task", "a"), kNow, &entry));
  EXPECT_EQ(entry.hits, 6);
}

// Else a source whose loads have no room would cost as many as it likes.
TEST_F(WarmLedgerTest, WhatThePolicyRefusesWasLoadedInVain) {
  engine_ = MakeEngine(
      {.capacity_bytes = 1 << 20, .capacity_entries = 8, .shard_bits = 0, .policy = "w_tinylfu"});
  for (int i = 0; i < 8; ++i) {
    Fill(Name(i), false);
    for (int hit = 0; hit < 20; ++hit) Get(Name(i));
  }
  for (int i = 0; i < 100; ++i) Fill(absl::StrCat("warm:", i), true);
  int stay = 0;
  for (int i = 0; i < 100; ++i) stay += Look(absl::StrCat("warm:", i)) ? 1 : 0;
  EXPECT_LT(stay, 8) << "the test does not test";
  EXPECT_EQ(Counts().warmed, 100u);
  EXPECT_EQ(Counts().unused, static_cast<uint64_t>(100 - stay));
}

TEST_F(WarmLedgerTest, WhatIsOvertakenOrOverIsNotCounted) {
  const EntryKey key = KeyOf(*engine_, "task", "a");
  const FillToken token = engine_->BeginFill(key);
  engine_->Erase(key, V(5));
  Entry entry = MakeEntry("v", V(1), kNow + absl::Hours(1));
  entry.warm_source = engine_->InternWarmSource("rule");
  EXPECT_EQ(engine_->PutFill(key, std::move(entry), kNow, token), PutOutcome::kOvertaken);
  EXPECT_EQ(Fill("gone", true, 1, absl::ZeroDuration()), PutOutcome::kExpired);
  EXPECT_EQ(Counts(), (WarmedCounts{0, 0, 0, 0}));
}

TEST_F(WarmLedgerTest, AVictimThatIsAskedForSoonWasDisplaced) {
  for (int i = 0; i < 8; ++i) Fill(Name(i), false);
  Fill("warm", true);
  EXPECT_EQ(Counts().displaced, 0u);
  int missing = 0;
  for (int i = 0; i < 8; ++i) missing += Get(Name(i)) ? 0 : 1;
  EXPECT_EQ(missing, 1);
  EXPECT_EQ(Counts(), (WarmedCounts{1, 0, 0, 1}));
  for (int i = 0; i < 8; ++i) Get(Name(i));
  EXPECT_EQ(Counts().displaced, 1u) << "once";
  // A victim of somebody who asked is nobody's fault; nor is one that is asked for much later.
  Fill("asked", false);
  Fill("warm2", true);
  const absl::Duration later = kNow + absl::Seconds(WarmLedger::kSoonSeconds + 2);
  for (int i = 0; i < 8; ++i) Get(Name(i), later);
  EXPECT_EQ(Counts().displaced, 1u);
}

TEST_F(WarmLedgerTest, LooksThatWarmLeaveStatisticsAlone) {
  Fill("a", true);
  EXPECT_TRUE(Look("a"));
  EXPECT_FALSE(Look("absent"));
  EXPECT_EQ(CountersOf(*engine_, "task").hits, 0u);
  EXPECT_EQ(CountersOf(*engine_, "task").misses(), 0u);
  EXPECT_EQ(Counts(), (WarmedCounts{1, 0, 0, 0})) << "its own look has used it";
}

TEST_F(WarmLedgerTest, MoreSourcesThanThereAreNumbersAreOthers) {
  for (int i = 0; i < 40; ++i) {
    EXPECT_LE(engine_->InternWarmSource(absl::StrCat("s", i)), kMaxWarmSources);
  }
  EXPECT_EQ(engine_->InternWarmSource("s39"), kMaxWarmSources);
  const EntryKey key = KeyOf(*engine_, "task", "a");
  Entry entry = MakeEntry("v", V(1), kNow + absl::Hours(1));
  entry.warm_source = engine_->InternWarmSource("s39");
  engine_->PutFill(key, std::move(entry), kNow, engine_->BeginFill(key));
  ASSERT_EQ(engine_->WarmedStats().size(), 1u);
  EXPECT_EQ(engine_->WarmedStats()[0].source, "other");
}

TEST(WarmLedgerCellsTest, AFullLedgerFollowsNoMoreAndForgetsTheOldestVictim) {
  WarmLedger ledger(8, 8);
  const auto hash = [](uint64_t i) { return i << 20; };  // All of one set.
  for (uint64_t i = 1; i <= 20; ++i) {
    EXPECT_EQ(ledger.Mark(hash(i), 1, 0, 0), i <= 8);
    ledger.AddVictim(hash(i), 1, static_cast<int64_t>(i) * 1'000'000'000);
  }
  int marks = 0;
  int victims = 0;
  for (uint64_t i = 1; i <= 20; ++i) {
    marks += ledger.TakeMark(hash(i));
    victims += ledger.TakeVictim(hash(i), 21'000'000'000);
    if (i == 12) {
      EXPECT_EQ(marks, 8) << "the first ones";
      EXPECT_EQ(victims, 0) << "the last ones";
    }
  }
  EXPECT_EQ(marks, 8);
  EXPECT_EQ(victims, 8);
  EXPECT_FALSE(ledger.has_marks());
  EXPECT_FALSE(ledger.has_victims());
}

TEST(WarmLedgerCellsTest, AMarkIsDueAtItsTimeAlsoWhenTheTicksComeRound) {
  const auto at = [](absl::Duration time) { return absl::ToInt64Nanoseconds(time); };
  const absl::Duration year = absl::Hours(24 * 365);
  for (const absl::Duration now : {absl::ZeroDuration(), kNow, year, 3 * year}) {
    for (const absl::Duration life : {absl::Seconds(1), absl::Hours(1), absl::Hours(24 * 100)}) {
      WarmLedger ledger(8, 8);
      EXPECT_TRUE(ledger.Mark(7, 1, at(now + life), at(now)));
      EXPECT_FALSE(ledger.IsDue(7, at(now)));
      EXPECT_FALSE(ledger.IsDue(7, at(now + life - absl::Milliseconds(1)))) << now << " " << life;
      EXPECT_TRUE(ledger.IsDue(7, at(now + life + absl::Milliseconds(250)))) << now << " " << life;
    }
    WarmLedger ledger(8, 8);
    EXPECT_TRUE(ledger.Mark(7, 1, std::numeric_limits<int64_t>::max(), at(now)));
    EXPECT_FALSE(ledger.IsDue(7, at(now + absl::Hours(24 * 100)))) << "it never ended";
    EXPECT_TRUE(ledger.Mark(8, 1, 0, at(now)));
    EXPECT_TRUE(ledger.IsDue(8, at(now)));
    EXPECT_EQ(ledger.TakeMark(7), 1);
    EXPECT_TRUE(ledger.IsDue(7, at(now))) << "there is none";
  }
}

// The books balance whatever happens: what is neither used nor unused waits in memory.
TEST_F(WarmLedgerTest, EveryMarkEnds) {
  uint64_t random = 1;
  for (int i = 0; i < 20'000; ++i) {
    random = random * 6364136223846793005 + 1442695040888963407;
    const std::string name = Name(static_cast<int>(random >> 60));
    switch (random >> 40 & 7) {
      case 0:
      case 1:
        Fill(name, true, 1 + static_cast<uint64_t>(i));
        break;
      case 2:
        // The same version, with another life.
        if (Entry entry; engine_->Peek(KeyOf(*engine_, "task", name), kNow, &entry)) {
          Fill(name, true, entry.version.hlc, absl::Seconds(random >> 50 & 1023));
        }
        break;
      case 3:
        Fill(name, false, 1 + static_cast<uint64_t>(i));
        break;
      case 4:
        engine_->Erase(KeyOf(*engine_, "task", name), V(1 + static_cast<uint64_t>(i)));
        break;
      default:
        Get(name);
    }
    const WarmedCounts counts = Counts();
    ASSERT_LE(counts.used + counts.unused, counts.warmed);
    ASSERT_LE(counts.warmed - counts.used - counts.unused, engine_->entries()) << i;
  }
  engine_->Clear();
  const WarmedCounts counts = Counts();
  EXPECT_EQ(counts.used + counts.unused, counts.warmed);
  EXPECT_GT(counts.used, 100u);
  EXPECT_GT(counts.unused, 100u);
  EXPECT_GT(counts.displaced, 100u);
}

}  // namespace
}  // namespace meridian
