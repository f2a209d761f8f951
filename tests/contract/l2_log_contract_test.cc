// One suite for every L2Store: changelogs, cursors, and walks through all keys.

#include <algorithm>
#include <set>

#include "gmock/gmock.h"
#include "tests/contract/l2_store_contract.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_P(L2StoreContractTest, TheChangelogHoldsEveryAppliedChangeInOrder) {
  const L2Key key = Key("{s}a");
  const L2Key other = Key("{s}b", "session");
  const L2Key same_slot = {key.slot, "session", "b"};
  ASSERT_EQ(Outcome(Put(key, V(1), "one")), L2WriteOutcome::kApplied);
  ASSERT_EQ(Outcome(Put(key, V(1), "one")), L2WriteOutcome::kStale);
  ASSERT_EQ(Outcome(Put(same_slot, V(2, kElsewhere), "two")), L2WriteOutcome::kApplied);
  ASSERT_EQ(Outcome(Delete(key, V(3))), L2WriteOutcome::kApplied);
  ASSERT_EQ(Outcome(Put(other, V(9), "elsewhere")), L2WriteOutcome::kApplied);

  const std::vector<LogEntry> log = LogOf(key.slot);
  ASSERT_THAT(log, SizeIs(3));
  EXPECT_EQ(log[0].version, V(1));
  EXPECT_EQ(log[0].name_space, "task");
  EXPECT_EQ(log[0].key, "{s}a");
  EXPECT_EQ(log[1].version, V(2, kElsewhere));
  EXPECT_EQ(log[1].name_space, "session");
  EXPECT_EQ(log[2].version, V(3));
  EXPECT_LT(log[0].position, log[1].position);
  EXPECT_LT(log[1].position, log[2].position);
}

// Whether a record that is gone was a delete: the log remembers what the store may have forgotten.
TEST_P(L2StoreContractTest, TheChangelogTellsRemovalsThatAreToBeRemembered) {
  const L2Key key = Key("a");
  L2Write drop = Delete(key, V(4));
  drop.evictable = true;
  L2Write brief = Delete(key, V(5));
  brief.retention = kEvictableRetention;
  for (const L2Write& write : {Put(key, V(1), "T"), Delete(key, V(2)), Put(key, V(3), "v"), drop,
                               brief}) {
    ASSERT_EQ(Outcome(write), L2WriteOutcome::kApplied);
  }
  std::vector<bool> removals;
  for (const LogEntry& entry : LogOf(key.slot)) removals.push_back(entry.removal);
  EXPECT_THAT(removals, ElementsAre(false, true, false, false, false));
}

TEST_P(L2StoreContractTest, ReadingTheChangelogInPiecesSkipsAndRepeatsNothing) {
  const L2Key key = Key("a");
  std::vector<L2Write> writes;
  for (int i = 0; i < 50; ++i) writes.push_back(Put(key, V(i), "v"));
  harness_->Apply(writes);
  std::vector<Version> seen;
  LogPosition after;
  while (true) {
    const std::vector<LogEntry> piece = LogOf(key.slot, after, 7);
    if (piece.empty()) break;
    EXPECT_LE(piece.size(), 7u);
    for (const LogEntry& entry : piece) seen.push_back(entry.version);
    after = piece.back().position;
  }
  ASSERT_THAT(seen, SizeIs(50));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(seen[i], V(i));
  EXPECT_THAT(*harness_->LogEnds({key.slot}), ElementsAre(after));
}

TEST_P(L2StoreContractTest, TheChangeCountMovesWithEveryChangeAndWithNothingElse) {
  const L2Key key = Key("a");
  harness_->Apply({Put(key, V(1), "v")});
  const uint64_t first = *harness_->ChangeCount();
  EXPECT_NE(first, 0u);
  LogOf(key.slot, LogPosition{}, 10);
  EXPECT_EQ(*harness_->ChangeCount(), first);
  harness_->Apply({Put(key, V(2), "v")});
  const uint64_t second = *harness_->ChangeCount();
  EXPECT_NE(second, first);
  harness_->ApplyReplicated("eu", key.slot, {7, 0}, {Put(key, V(3), "v")});
  EXPECT_NE(*harness_->ChangeCount(), second);
}

TEST_P(L2StoreContractTest, SlotsWithoutNewsAreLeftOut) {
  const std::vector<L2Key> keys = {Key("a"), Key("b"), Key("c")};
  ASSERT_NE(keys[0].slot, keys[1].slot);
  harness_->Apply({Put(keys[0], V(1), "one"), Put(keys[2], V(1), "three")});
  const auto ends = harness_->LogEnds({keys[0].slot, keys[1].slot, keys[2].slot});
  ASSERT_TRUE(ends.ok()) << ends.status();
  EXPECT_EQ((*ends)[1], LogPosition());
  const auto slices =
      harness_->ReadLogs({{keys[0].slot, (*ends)[0]}, {keys[1].slot, {}}, {keys[2].slot, {}}}, 10);
  ASSERT_TRUE(slices.ok()) << slices.status();
  ASSERT_THAT(*slices, SizeIs(1));
  EXPECT_EQ(slices->front().slot, keys[2].slot);
  EXPECT_EQ(slices->front().entries.front().key, "c");
}

TEST_P(L2StoreContractTest, AllSlotsAtOnce) {
  std::vector<LogRead> reads;
  std::vector<uint32_t> slots;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    reads.push_back({slot, {}});
    slots.push_back(slot);
  }
  std::vector<L2Write> writes;
  for (int i = 0; i < 500; ++i) writes.push_back(Put(Key(std::to_string(i)), V(1), "v"));
  harness_->Apply(writes);
  const auto slices = harness_->ReadLogs(reads, 100);
  ASSERT_TRUE(slices.ok()) << slices.status();
  size_t entries = 0;
  for (const LogSlice& slice : *slices) {
    for (const LogEntry& entry : slice.entries) {
      EXPECT_EQ(SlotOf(entry.name_space, entry.key), slice.slot);
      ++entries;
    }
  }
  EXPECT_EQ(entries, 500u);
  const auto ends = harness_->LogEnds(slots);
  ASSERT_TRUE(ends.ok()) << ends.status();
  for (const LogSlice& slice : *slices) {
    EXPECT_EQ((*ends)[slice.slot], slice.entries.back().position);
  }
  EXPECT_THAT(*harness_->FetchCursors("eu", slots), SizeIs(kSlotCount));
}

TEST_P(L2StoreContractTest, AnEmptiedLogStillTellsHowFarItWentAndALostOneDoesNot) {
  const L2Key key = Key("a");
  harness_->Apply({Put(key, V(1), "one"), Put(key, V(2), "two")});
  const LogPosition end = LogOf(key.slot).back().position;
  EXPECT_THAT(*harness_->LogEnds({key.slot}), ElementsAre(end));
  harness_->EmptyLog(key.slot);
  EXPECT_THAT(*harness_->LogEnds({key.slot}), ElementsAre(end));
  EXPECT_THAT(*harness_->ReadLogs({{key.slot, LogPosition{}}}, 10), IsEmpty());
  harness_->LoseLog(key.slot);
  EXPECT_THAT(*harness_->LogEnds({key.slot}), ElementsAre(LogPosition()));
}

TEST_P(L2StoreContractTest, ReplicatedWritesKeepTheirVersionsAndMoveTheCursor) {
  const L2Key key = Key("a");
  const auto replicate = [&](LogPosition cursor, std::vector<L2Write> writes) {
    return harness_->ApplyReplicated("eu", key.slot, cursor, std::move(writes));
  };
  EXPECT_THAT(*harness_->FetchCursors("eu", {key.slot}), ElementsAre(LogPosition()));
  EXPECT_EQ(replicate({10, 2}, {Put(key, V(1, kElsewhere), "one")})[0].outcome,
            L2WriteOutcome::kApplied);
  EXPECT_EQ(LogOf(key.slot)[0].version, V(1, kElsewhere));
  EXPECT_THAT(*harness_->FetchCursors("eu", {key.slot}), ElementsAre((LogPosition{10, 2})));

  // Again, as after a lost answer.
  EXPECT_EQ(replicate({10, 2}, {Put(key, V(1, kElsewhere), "one")})[0].outcome,
            L2WriteOutcome::kStale);
  EXPECT_THAT(LogOf(key.slot), SizeIs(1));

  // Never back, whatever the order; and by number, not by text.
  replicate({9, 5}, {});
  EXPECT_THAT(*harness_->FetchCursors("eu", {key.slot}), ElementsAre((LogPosition{10, 2})));
  replicate({10, 11}, {});
  EXPECT_THAT(*harness_->FetchCursors("eu", {key.slot}), ElementsAre((LogPosition{10, 11})));
  replicate({10, 3}, {});
  replicate({1'700'000'000'123, 0}, {});
  EXPECT_THAT(*harness_->FetchCursors("eu", {key.slot}),
              ElementsAre((LogPosition{1'700'000'000'123, 0})));
  // Each source region has its own.
  EXPECT_THAT(*harness_->FetchCursors("asia", {key.slot}), ElementsAre(LogPosition()));
}

TEST_P(L2StoreContractTest, ReplicatedBatchesOfAnySizeAreAppliedWhole) {
  const L2Key first = Key("{t}0");
  std::vector<L2Write> writes;
  for (int i = 0; i < 300; ++i) {
    writes.push_back(Put(Key("{t}" + std::to_string(i)), V(i, kElsewhere), std::to_string(i)));
  }
  const auto results = harness_->ApplyReplicated("eu", first.slot, {5, 0}, writes);
  ASSERT_THAT(results, SizeIs(300));
  for (const L2WriteResult& result : results) {
    ASSERT_TRUE(result.status.ok()) << result.status;
    ASSERT_EQ(result.outcome, L2WriteOutcome::kApplied);
  }
  EXPECT_EQ(FetchValue(Key("{t}299")), "299");
  EXPECT_THAT(*harness_->FetchCursors("eu", {first.slot}), ElementsAre((LogPosition{5, 0})));
}

TEST_P(L2StoreContractTest, AScanInPagesBringsEveryEntryAndNothingElse) {
  std::set<std::string> expected;
  std::vector<L2Write> writes;
  for (int i = 0; i < 300; ++i) {
    const std::string key = absl::StrCat("a:key:", i, i % 7 == 0 ? "{x}" : "");
    writes.push_back(i % 3 == 0 ? Delete(Key(key), V(i)) : Put(Key(key), V(i), "v"));
    expected.insert(absl::StrCat(SlotOf("task", key), "/task/", key));
  }
  harness_->Apply(std::move(writes));
  std::set<std::string> seen;
  std::string from;
  do {
    const absl::StatusOr<L2ScanPage> page = harness_->Scan(from, 20);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const L2Key& key : page->keys) {
      seen.insert(absl::StrCat(key.slot, "/", key.name_space, "/", key.key));
    }
    from = page->next;
  } while (!from.empty());
  EXPECT_EQ(seen, expected);
}

TEST_P(L2StoreContractTest, VersionsAreThoseOfValuesTombstonesAndHoles) {
  ApplyOne(Put(Key("live"), V(1), "v"));
  ApplyOne(Delete(Key("dead"), V(2, kElsewhere)));
  harness_->PlantForeign(Key("foreign"), "no record");
  const auto versions =
      harness_->FetchVersions({Key("dead"), Key("none"), Key("live"), Key("foreign")});
  ASSERT_TRUE(versions.ok()) << versions.status();
  EXPECT_THAT(*versions, ElementsAre(V(2, kElsewhere), Version(), V(1), Version()));
  // As many as a walk asks for at once, and more than a connection may have in flight.
  const auto many = harness_->FetchVersions(std::vector<L2Key>(2000, Key("live")));
  ASSERT_TRUE(many.ok()) << many.status();
  EXPECT_THAT(*many, testing::AllOf(SizeIs(2000), testing::Each(V(1))));
}

INSTANTIATE_TEST_SUITE_P(Stores, L2StoreContractTest,
                         ::testing::Values(L2Backend::kFake, L2Backend::kRedis,
                                           L2Backend::kCluster),
                         L2BackendName);

}  // namespace
}  // namespace meridian
