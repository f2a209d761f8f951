// One suite for every L2Store: the fake that other tests lean on, and the real thing.

#include <algorithm>
#include <memory>
#include <random>
#include <set>

#include "absl/synchronization/notification.h"
#include "common/base/hash.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/l2/redis_store.h"
#include "server/node/record.h"
#include "tests/contract/l2_store_harness.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint16_t kHere = 7;
constexpr uint16_t kElsewhere = 9;

class L2StoreContractTest : public ::testing::TestWithParam<L2Backend> {
 protected:
  void SetUp() override { harness_ = L2StoreHarness::Create(GetParam()); }

  // A version `n` milliseconds after an arbitrary moment.
  Version V(int n, uint16_t region = kHere) const {
    return Version{(uint64_t{1'700'000'000'000} + static_cast<uint64_t>(n)) << 16, region};
  }
  static L2Key Key(std::string key, std::string name_space = "task") {
    const uint32_t slot = SlotOf(name_space, key);
    return {slot, std::move(name_space), std::move(key)};
  }
  L2Write Put(L2Key key, Version version, std::string_view value,
              absl::Duration ttl = absl::Hours(1)) const {
    return Write(std::move(key), version, RecordKind::kValue, value, ttl);
  }
  L2Write Delete(L2Key key, Version version) const {
    return Write(std::move(key), version, RecordKind::kTombstone, "", absl::Hours(1));
  }
  L2Write Touch(L2Key key, Version version, absl::Duration ttl) const {
    L2Write write;
    write.key = std::move(key);
    write.kind = L2WriteKind::kTouch;
    write.version = version;
    write.expires_at = harness_->Now() + ttl;
    write.retention = ttl;
    return write;
  }
  L2Write Write(L2Key key, Version version, RecordKind kind, std::string_view value,
                absl::Duration ttl) const {
    L2Write write;
    write.key = std::move(key);
    write.version = version;
    // Whole milliseconds, as records hold.
    write.expires_at = absl::FromUnixMillis(absl::ToUnixMillis(harness_->Now() + ttl));
    write.retention = std::max(ttl, absl::Milliseconds(1)) + absl::Minutes(1);
    Record record;
    record.version = version;
    record.expires_at = write.expires_at;
    record.kind = kind;
    record.value = value;
    AppendRecord(record, &write.record);
    return write;
  }
  static L2Write If(L2Write write, L2Condition condition, Version expected = Version()) {
    write.condition = condition;
    write.expected_version = expected;
    return write;
  }

  L2WriteResult ApplyOne(L2Write write) {
    std::vector<L2Write> writes;
    writes.push_back(std::move(write));
    return harness_->Apply(std::move(writes)).front();
  }
  L2WriteOutcome Outcome(L2Write write) {
    const L2WriteResult result = ApplyOne(std::move(write));
    EXPECT_TRUE(result.status.ok()) << result.status;
    return result.outcome;
  }
  std::string FetchBytes(const L2Key& key) {
    const std::vector<L2Record> records = harness_->Fetch({key});
    EXPECT_TRUE(records[0].status.ok()) << records[0].status;
    return std::string(records[0].record.view());
  }
  // The value, "(none)" or "(tombstone)".
  std::string FetchValue(const L2Key& key) {
    const std::string bytes = FetchBytes(key);
    if (bytes.empty()) return "(none)";
    const absl::StatusOr<Record> record = ParseRecord(bytes);
    EXPECT_TRUE(record.ok()) << record.status();
    if (!record.ok()) return "(malformed)";
    return record->kind == RecordKind::kTombstone ? "(tombstone)" : std::string(record->value);
  }
  std::vector<LogEntry> LogOf(uint32_t slot, LogPosition after = {}, size_t limit = 1000) {
    const auto slices = harness_->ReadLogs({{slot, after}}, limit);
    EXPECT_TRUE(slices.ok()) << slices.status();
    return slices.ok() && !slices->empty() ? slices->front().entries : std::vector<LogEntry>();
  }

  std::unique_ptr<L2StoreHarness> harness_;
};

TEST_P(L2StoreContractTest, TellsItsTime) {
  const absl::StatusOr<absl::Time> time = harness_->ServerTime();
  ASSERT_TRUE(time.ok()) << time.status();
  EXPECT_LT(absl::AbsDuration(*time - harness_->Now()), absl::Minutes(1));
}

TEST_P(L2StoreContractTest, AMissingKeyIsAnEmptyRecord) {
  const std::vector<L2Record> records = harness_->Fetch({Key("a"), Key("b")});
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_TRUE(records[0].status.ok());
  EXPECT_TRUE(records[0].record.empty());
}

TEST_P(L2StoreContractTest, AFetchReturnsTheBytesThatWereWritten) {
  const L2Write write = Put(Key("a"), V(1), "one");
  EXPECT_EQ(Outcome(write), L2WriteOutcome::kApplied);
  EXPECT_EQ(FetchBytes(Key("a")), write.record);
}

// The last writer wins whatever the order, and repeating anything changes nothing: the oracle is
// the maximum.
TEST_P(L2StoreContractTest, AnyOrderOfVersionsEndsWithTheNewest) {
  std::mt19937 random(5);
  for (int round = 0; round < 20; ++round) {
    const L2Key key = Key("k" + std::to_string(round));
    std::vector<Version> versions;
    for (int i = 0; i < 8; ++i) {
      versions.push_back(V(static_cast<int>(random() % 5), random() % 2 ? kHere : kElsewhere));
    }
    Version newest;
    for (const Version version : versions) {
      const L2WriteResult result = ApplyOne(Put(key, version, version.ToText()));
      ASSERT_TRUE(result.status.ok());
      EXPECT_EQ(result.outcome,
                version > newest ? L2WriteOutcome::kApplied : L2WriteOutcome::kStale);
      newest = std::max(newest, version);
      EXPECT_EQ(result.stored, newest);
    }
    EXPECT_EQ(FetchValue(key), newest.ToText());
  }
}

TEST_P(L2StoreContractTest, EqualTimesAreDecidedByTheRegion) {
  EXPECT_EQ(Outcome(Put(Key("a"), V(1, kElsewhere), "theirs")), L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(Put(Key("a"), V(1, kHere), "ours")), L2WriteOutcome::kStale);
  EXPECT_EQ(FetchValue(Key("a")), "theirs");
}

TEST_P(L2StoreContractTest, ATombstoneKeepsOlderWritesOut) {
  EXPECT_EQ(Outcome(Put(Key("a"), V(1), "one")), L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(Delete(Key("a"), V(3))), L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(Put(Key("a"), V(2), "late")), L2WriteOutcome::kStale);
  EXPECT_EQ(FetchValue(Key("a")), "(tombstone)");
  EXPECT_EQ(Outcome(Put(Key("a"), V(4), "again")), L2WriteOutcome::kApplied);
  EXPECT_EQ(FetchValue(Key("a")), "again");
}

TEST_P(L2StoreContractTest, IfAbsentHoldsForMissingDeletedAndExpired) {
  const auto if_absent = [&](std::string key, int version) {
    return ApplyOne(If(Put(Key(std::move(key)), V(version), "new"), L2Condition::kIfAbsent));
  };
  EXPECT_EQ(if_absent("missing", 1).outcome, L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(Delete(Key("deleted"), V(1))), L2WriteOutcome::kApplied);
  EXPECT_EQ(if_absent("deleted", 2).outcome, L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(Put(Key("expired"), V(1), "old", -absl::Seconds(1))), L2WriteOutcome::kApplied);
  EXPECT_EQ(if_absent("expired", 2).outcome, L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(Put(Key("live"), V(1), "old")), L2WriteOutcome::kApplied);
  const L2WriteResult conflict = if_absent("live", 2);
  EXPECT_EQ(conflict.outcome, L2WriteOutcome::kConflict);
  EXPECT_EQ(conflict.stored, V(1));
  EXPECT_EQ(FetchValue(Key("live")), "old");
}

TEST_P(L2StoreContractTest, IfVersionHoldsForExactlyThatLiveVersion) {
  const auto if_version = [&](int version, int expected) {
    return ApplyOne(If(Put(Key("a"), V(version), "new"), L2Condition::kIfVersion, V(expected)));
  };
  const L2WriteResult absent = if_version(2, 1);
  EXPECT_EQ(absent.outcome, L2WriteOutcome::kConflict);
  EXPECT_FALSE(absent.stored.is_set());
  EXPECT_EQ(Outcome(Put(Key("a"), V(3), "old")), L2WriteOutcome::kApplied);
  EXPECT_EQ(if_version(5, 2).outcome, L2WriteOutcome::kConflict);
  EXPECT_EQ(if_version(5, 2).stored, V(3));
  EXPECT_EQ(if_version(5, 3).outcome, L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(Delete(Key("a"), V(6))), L2WriteOutcome::kApplied);
  const L2WriteResult deleted = if_version(7, 6);
  EXPECT_EQ(deleted.outcome, L2WriteOutcome::kConflict);
  EXPECT_FALSE(deleted.stored.is_set());
}

TEST_P(L2StoreContractTest, ARepeatedConditionalWriteFindsItselfStored) {
  const L2Write write = If(Put(Key("a"), V(1), "one"), L2Condition::kIfAbsent);
  EXPECT_EQ(Outcome(write), L2WriteOutcome::kApplied);
  const L2WriteResult again = ApplyOne(write);
  EXPECT_EQ(again.outcome, L2WriteOutcome::kStale);
  EXPECT_EQ(again.stored, V(1));
  EXPECT_THAT(LogOf(write.key.slot), SizeIs(1));
}

TEST_P(L2StoreContractTest, TouchChangesVersionAndExpiryOfALiveValueOnly) {
  EXPECT_EQ(Outcome(Touch(Key("a"), V(1), absl::Hours(2))), L2WriteOutcome::kAbsent);
  EXPECT_EQ(Outcome(Put(Key("a"), V(2), "one")), L2WriteOutcome::kApplied);
  const L2Write touch = Touch(Key("a"), V(3), absl::Hours(2));
  EXPECT_EQ(Outcome(touch), L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(Touch(Key("a"), V(1), absl::Hours(3))), L2WriteOutcome::kStale);

  const std::string bytes = FetchBytes(Key("a"));
  const absl::StatusOr<Record> record = ParseRecord(bytes);
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->version, V(3));
  EXPECT_EQ(absl::ToUnixMillis(record->expires_at), absl::ToUnixMillis(touch.expires_at));
  EXPECT_EQ(record->value, "one");
  EXPECT_THAT(LogOf(Key("a").slot), SizeIs(2));

  EXPECT_EQ(Outcome(Delete(Key("a"), V(4))), L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(Touch(Key("a"), V(5), absl::Hours(2))), L2WriteOutcome::kAbsent);
  EXPECT_EQ(FetchValue(Key("a")), "(tombstone)");
}

TEST_P(L2StoreContractTest, ATouchedRetentionCounts) {
  EXPECT_EQ(Outcome(Put(Key("a"), V(1), "one")), L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(Touch(Key("a"), V(2), absl::Milliseconds(20))), L2WriteOutcome::kApplied);
  harness_->LetPass(absl::Milliseconds(40));
  EXPECT_EQ(FetchValue(Key("a")), "(none)");
}

TEST_P(L2StoreContractTest, ARecordIsForgottenAfterItsRetention) {
  L2Write write = Put(Key("a"), V(1), "one");
  write.retention = absl::Milliseconds(20);
  EXPECT_EQ(Outcome(write), L2WriteOutcome::kApplied);
  harness_->LetPass(absl::Milliseconds(40));
  EXPECT_EQ(FetchValue(Key("a")), "(none)");
}

TEST_P(L2StoreContractTest, KeysAndValuesMayHoldAnyBytes) {
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte.push_back(static_cast<char>(i));
  const std::vector<std::string> odd = {
      std::string("\0", 1),      "\r\n",    "{}", "a{b}c", ":e:", "::", "*3\r\n$3\r\nDEL\r\n",
      std::string(1024, '\xff'), every_byte};
  std::vector<L2Write> writes;
  std::vector<L2Key> keys;
  for (size_t i = 0; i < odd.size(); ++i) {
    keys.push_back(Key(odd[i]));
    writes.push_back(Put(keys.back(), V(1), odd[i]));
  }
  for (const L2WriteResult& result : harness_->Apply(writes)) {
    EXPECT_TRUE(result.status.ok()) << result.status;
    EXPECT_EQ(result.outcome, L2WriteOutcome::kApplied);
  }
  for (size_t i = 0; i < odd.size(); ++i) {
    EXPECT_EQ(FetchValue(keys[i]), odd[i]);
    const std::vector<LogEntry> log = LogOf(keys[i].slot);
    EXPECT_TRUE(std::any_of(log.begin(), log.end(), [&](const LogEntry& entry) {
      return entry.key == odd[i] && entry.name_space == "task";
    }));
  }
}

TEST_P(L2StoreContractTest, AnEmptyValueIsAValue) {
  EXPECT_EQ(Outcome(Put(Key("a"), V(1), "")), L2WriteOutcome::kApplied);
  EXPECT_EQ(FetchValue(Key("a")), "");
}

TEST_P(L2StoreContractTest, EightMebibytesAreNotTooMuch) {
  std::string large(8 << 20, 'x');
  for (size_t i = 0; i < large.size(); i += 4093) large[i] = static_cast<char>(i);
  EXPECT_EQ(Outcome(Put(Key("a"), V(1), large)), L2WriteOutcome::kApplied);
  EXPECT_TRUE(FetchValue(Key("a")) == large);
}

TEST_P(L2StoreContractTest, ABatchIsAnsweredInItsOrderAndAppliedInIt) {
  std::vector<L2Write> writes;
  std::vector<L2Key> keys;
  for (int i = 0; i < 1000; ++i) {
    keys.push_back(Key("k" + std::to_string(i % 700)));
    writes.push_back(Put(keys.back(), V(i), std::to_string(i)));
  }
  const std::vector<L2WriteResult> results = harness_->Apply(writes);
  ASSERT_THAT(results, SizeIs(1000));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(results[i].status.ok()) << results[i].status;
    ASSERT_EQ(results[i].outcome, L2WriteOutcome::kApplied) << i;
    ASSERT_EQ(results[i].stored, V(i));
  }
  const std::vector<L2Record> records = harness_->Fetch(keys);
  ASSERT_THAT(records, SizeIs(1000));
  for (int i = 0; i < 1000; ++i) {
    const int last = i < 300 ? i + 700 : i;
    ASSERT_EQ(ParseRecord(records[i].record.view())->value, std::to_string(last)) << i;
  }
}

TEST_P(L2StoreContractTest, EmptyCallsAreAnswered) {
  EXPECT_THAT(harness_->Fetch({}), IsEmpty());
  EXPECT_THAT(harness_->Apply({}), IsEmpty());
  EXPECT_THAT(*harness_->ReadLogs({}, 10), IsEmpty());
  EXPECT_THAT(*harness_->LogEnds({}), IsEmpty());
  EXPECT_THAT(*harness_->FetchCursors("eu", {}), IsEmpty());
}

TEST_P(L2StoreContractTest, AWriteThatContradictsItsRecordIsRefusedAlone) {
  L2Write wrong = Put(Key("a"), V(1), "one");
  wrong.version = V(2);
  L2Write no_retention = Put(Key("b"), V(1), "one");
  no_retention.retention = absl::ZeroDuration();
  const auto results = harness_->Apply({wrong, no_retention, Put(Key("c"), V(1), "one")});
  EXPECT_EQ(results[0].status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(results[1].status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(results[2].status.ok());
  EXPECT_EQ(FetchValue(Key("a")), "(none)");
  EXPECT_EQ(FetchValue(Key("c")), "one");
}

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

TEST_P(L2StoreContractTest, ADeadlineThatHasPassedChangesNothing) {
  const absl::Time past = harness_->Now() - absl::Milliseconds(1);
  const auto results = harness_->Apply({Put(Key("a"), V(1), "one")}, past);
  EXPECT_EQ(results[0].status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(harness_->Fetch({Key("a")}, past)[0].status.code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(FetchValue(Key("a")), "(none)");
}

TEST_P(L2StoreContractTest, AValueThatIsNoRecordLosesAgainstEveryWrite) {
  harness_->PlantForeign(Key("a"), "not a record");
  EXPECT_EQ(FetchBytes(Key("a")), "not a record");
  EXPECT_EQ(Outcome(Touch(Key("a"), V(1), absl::Hours(1))), L2WriteOutcome::kAbsent);
  EXPECT_EQ(Outcome(If(Put(Key("a"), V(1), "one"), L2Condition::kIfAbsent)),
            L2WriteOutcome::kApplied);
  EXPECT_EQ(FetchValue(Key("a")), "one");
}

TEST_P(L2StoreContractTest, HealthSaysThatAllIsWell) {
  // One call of each kind, so that all that connects at the start has connected.
  EXPECT_EQ(Outcome(Put(Key("a"), V(1), "one")), L2WriteOutcome::kApplied);
  EXPECT_EQ(FetchValue(Key("a")), "one");
  const L2Health health = harness_->Health();
  EXPECT_TRUE(health.configured);
  EXPECT_TRUE(health.connected);
  EXPECT_EQ(health.breaker, "closed");
  EXPECT_EQ(health.problem, "");
}

INSTANTIATE_TEST_SUITE_P(Stores, L2StoreContractTest,
                         ::testing::Values(L2Backend::kFake, L2Backend::kRedis),
                         [](const auto& backend) {
                           return backend.param == L2Backend::kFake ? "Fake" : "Redis";
                         });

}  // namespace
}  // namespace meridian
