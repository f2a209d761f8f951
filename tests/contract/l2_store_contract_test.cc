// One suite for every L2Store: the fake that other tests lean on, and the real thing in its shapes.
// Records; the changelogs are in l2_log_contract_test.cc.

#include "tests/contract/l2_store_contract.h"

#include <algorithm>
#include <map>
#include <random>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "server/node/fence.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

// Fences are compared with it.
TEST_P(L2StoreContractTest, ATouchedValueKeepsTheClockOfItsWrite) {
  const L2Key key = Key("a");
  const auto record = [&](std::string* bytes) {
    *bytes = FetchBytes(key);
    return ParseRecord(*bytes);
  };
  std::string bytes;
  EXPECT_EQ(Outcome(Put(key, V(1), "one")), L2WriteOutcome::kApplied);
  for (const int n : {2, 30}) {
    L2Write touch = Touch(key, V(n), absl::Hours(2));
    touch.fenced_hlc = V(0).hlc;
    EXPECT_EQ(Outcome(touch), L2WriteOutcome::kApplied);
    const absl::StatusOr<Record> touched = record(&bytes);
    ASSERT_TRUE(touched.ok()) << touched.status();
    EXPECT_EQ(touched->version, V(n));
    EXPECT_EQ(touched->written, V(1).hlc);
    EXPECT_EQ(touched->value, "one");
  }
  L2Write dead = Touch(key, V(40), absl::Hours(2));
  dead.fenced_hlc = V(1).hlc;
  EXPECT_EQ(Outcome(dead), L2WriteOutcome::kAbsent) << "older than the fence, however touched";
  // The bytes are what a region sends to another one, which goes on from there.
  const L2Write sent = [&] {
    L2Write write = Put(Key("b"), V(30), "");
    write.record = bytes;
    return write;
  }();
  EXPECT_EQ(Outcome(sent), L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(Touch(Key("b"), V(50), absl::Hours(2))), L2WriteOutcome::kApplied);
  const std::string there = FetchBytes(Key("b"));
  ASSERT_TRUE(ParseRecord(there).ok()) << ParseRecord(there).status();
  EXPECT_EQ(ParseRecord(there)->written, V(1).hlc);
  EXPECT_EQ(Outcome(Put(key, V(60), "new")), L2WriteOutcome::kApplied);
  ASSERT_TRUE(record(&bytes).ok());
  EXPECT_EQ(record(&bytes)->written, 0u);
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

TEST_P(L2StoreContractTest, AConditionTakesWhatAFenceHasKilledForAbsent) {
  const L2Key key = Key("k");
  ASSERT_EQ(Outcome(Put(key, V(10), "old")), L2WriteOutcome::kApplied);
  const auto fenced = [](L2Write write, Version fence) {
    write.fenced_hlc = fence.hlc;
    return write;
  };
  EXPECT_EQ(Outcome(fenced(Touch(key, V(20), absl::Hours(1)), V(10))), L2WriteOutcome::kAbsent);
  EXPECT_EQ(Outcome(fenced(If(Put(key, V(20), "new"), L2Condition::kIfVersion, V(10)), V(11))),
            L2WriteOutcome::kConflict);
  EXPECT_EQ(Outcome(fenced(If(Put(key, V(20), "new"), L2Condition::kIfAbsent), V(9))),
            L2WriteOutcome::kConflict);
  EXPECT_EQ(Outcome(fenced(If(Put(key, V(20), "new"), L2Condition::kIfAbsent), V(10))),
            L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(fenced(If(Put(key, V(30), "newer"), L2Condition::kIfVersion, V(20)), V(19))),
            L2WriteOutcome::kApplied);
  EXPECT_EQ(FetchValue(key), "newer");
}

TEST_P(L2StoreContractTest, FencesAreListedAndForgottenByTheirVersion) {
  const auto fence = [](FenceScope scope, std::string name, Version version, bool local = false) {
    return Fence{"task", scope, std::move(name), version, local};
  };
  const std::string binary("t\xff\0ag", 5);
  const std::vector<Fence> fences = {
      fence(FenceScope::kNamespace, "", V(1)), fence(FenceScope::kPrefix, "user:1:", V(2)),
      fence(FenceScope::kTag, binary, V(3)), fence(FenceScope::kTag, "home", V(4), true)};
  for (const Fence& one : fences) EXPECT_EQ(Outcome(FenceWrite(one)), L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(FenceWrite(fence(FenceScope::kTag, binary, V(2)))), L2WriteOutcome::kStale);
  const auto listed = [&](uint32_t slot) {
    std::map<std::string, Version> names;
    const auto list = harness_->ListFences(slot);
    EXPECT_TRUE(list.ok()) << list.status();
    for (const LogEntry& entry : list.value_or(std::vector<LogEntry>())) {
      const auto parsed = ParseFenceKey(entry.name_space, entry.key, entry.version);
      EXPECT_TRUE(parsed.has_value()) << entry.key;
      if (parsed) names[parsed->name] = parsed->version;
    }
    return names;
  };
  const uint32_t shared = FenceKey(fences[0]).slot;
  EXPECT_THAT(listed(shared),
              testing::UnorderedElementsAre(testing::Pair("", V(1)), testing::Pair("user:1:", V(2)),
                                            testing::Pair(binary, V(3))));
  EXPECT_THAT(listed(FenceKey(fences[3]).slot),
              testing::UnorderedElementsAre(testing::Pair("home", V(4))));
  EXPECT_EQ(LogOf(shared).size(), 3u);

  std::vector<LogEntry> forgotten;
  for (const Version version : {V(1), V(3)}) {
    const L2Key key = FenceKey(fences[1]);
    forgotten.push_back({{}, version, key.name_space, key.key});
  }
  EXPECT_TRUE(harness_->ForgetFences(shared, forgotten).ok());
  EXPECT_EQ(listed(shared).size(), 3u) << "other versions are left alone";
  forgotten[0].version = V(2);
  EXPECT_TRUE(harness_->ForgetFences(shared, forgotten).ok());
  EXPECT_EQ(listed(shared).size(), 2u);
  EXPECT_EQ(FetchValue(FenceKey(fences[1])), "(none)");
  EXPECT_EQ(LogOf(shared).size(), 3u) << "that is no change";
  EXPECT_TRUE(harness_->ForgetFences(shared, {}).ok());
}

TEST_P(L2StoreContractTest, SaysWhatChangelogsAndTombstonesTake) {
  constexpr absl::Duration kNever = absl::Hours(24 * 365 * 100);
  std::vector<L2Key> keys;
  std::vector<L2Write> writes;
  for (int i = 0; i < 300; ++i) {
    keys.push_back(Key("k" + std::to_string(i)));
    writes.push_back(i % 3 == 0 ? Delete(keys.back(), V(10)) : Put(keys.back(), V(10), "value"));
  }
  keys.push_back(Key("absent"));
  for (const L2WriteResult& result : harness_->Apply(std::move(writes))) {
    ASSERT_TRUE(result.status.ok()) << result.status;
  }
  const auto tombstones = harness_->SweepTombstones(keys, kNever);
  ASSERT_TRUE(tombstones.ok()) << tombstones.status();
  ASSERT_THAT(*tombstones, SizeIs(301));
  for (size_t i = 0; i < 301; ++i) {
    EXPECT_EQ((*tombstones)[i].bytes > 0, i < 300 && i % 3 == 0) << i;
    EXPECT_LT((*tombstones)[i].bytes, 1000u);
    EXPECT_FALSE((*tombstones)[i].evictable);
  }
  std::vector<uint32_t> slots;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) slots.push_back(kSlotCount - 1 - slot);
  const auto logs = harness_->MeasureLogs(slots);
  ASSERT_TRUE(logs.ok()) << logs.status();
  ASSERT_THAT(*logs, SizeIs(kSlotCount));
  uint64_t entries = 0;
  for (size_t i = 0; i < slots.size(); ++i) {
    EXPECT_EQ((*logs)[i].entries, LogOf(slots[i]).size());
    EXPECT_EQ((*logs)[i].bytes > 0, (*logs)[i].entries > 0);
    entries += (*logs)[i].entries;
  }
  EXPECT_EQ(entries, 300u);
  EXPECT_THAT(*harness_->SweepTombstones({}, kNever), IsEmpty());

  // All of them are older than nothing.
  const auto evictable = harness_->SweepTombstones(keys, absl::ZeroDuration());
  ASSERT_TRUE(evictable.ok()) << evictable.status();
  for (size_t i = 0; i < 301; ++i) {
    EXPECT_EQ((*evictable)[i].bytes > 0, i < 300 && i % 3 == 0) << i;
    EXPECT_EQ((*evictable)[i].evictable, i < 300 && i % 3 == 0) << i;
  }
  EXPECT_EQ(FetchValue(keys[1]), "value");

  std::vector<LogTrim> trims;
  for (const uint32_t slot : slots) trims.push_back({slot, 0});
  EXPECT_TRUE(harness_->TrimLogs(trims).ok());
  const auto trimmed = harness_->MeasureLogs(slots);
  ASSERT_TRUE(trimmed.ok()) << trimmed.status();
  entries = 0;
  for (const LogSize& log : *trimmed) entries += log.entries;
  EXPECT_LT(entries, 300u) << "about: Redis forgets whole nodes of a stream";
}

TEST_P(L2StoreContractTest, TombstonesWhoseTimeIsOverAreSweptAndNothingElse) {
  constexpr absl::Duration kNever = absl::Hours(24 * 365 * 100);
  L2Write over = Delete(Key("over"), V(10));
  over.expires_at = absl::UnixEpoch() + absl::Hours(1);
  over.record.clear();
  AppendRecord({.version = over.version,
                .expires_at = over.expires_at,
                .kind = RecordKind::kTombstone,
                .tags = {},
                .value = {}},
               &over.record);
  ASSERT_GT(over.retention, kEvictableRetention);
  EXPECT_EQ(Outcome(over), L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(Delete(Key("young"), V(10))), L2WriteOutcome::kApplied);
  EXPECT_EQ(Outcome(Put(Key("value"), V(10), "v")), L2WriteOutcome::kApplied);
  const std::vector<L2Key> keys = {Key("over"), Key("young"), Key("value")};
  const auto swept = harness_->SweepTombstones(keys, kNever);
  ASSERT_TRUE(swept.ok()) << swept.status();
  EXPECT_EQ((*swept)[0].bytes, 0u);
  EXPECT_GT((*swept)[1].bytes, 0u);
  EXPECT_EQ((*swept)[2].bytes, 0u);
  const auto versions = harness_->FetchVersions(keys);
  ASSERT_TRUE(versions.ok()) << versions.status();
  EXPECT_FALSE((*versions)[0].is_set());
  EXPECT_EQ((*versions)[1], V(10));
  EXPECT_EQ(FetchValue(Key("value")), "v");
}

// An operator's order is kept for ever, also one that has ended (a tombstone): it is not evicted.
TEST_P(L2StoreContractTest, ATombstoneWithoutAnEndIsNeverMadeEvictable) {
  L2Write endless = Delete(Key("endless"), V(10));
  endless.expires_at = absl::InfiniteFuture();
  endless.retention = absl::InfiniteDuration();
  endless.record.clear();
  AppendRecord({.version = endless.version,
                .expires_at = endless.expires_at,
                .kind = RecordKind::kTombstone,
                .tags = {},
                .value = {}},
               &endless.record);
  EXPECT_EQ(Outcome(endless), L2WriteOutcome::kApplied);
  for (int i = 0; i < 2; ++i) {
    const auto uses = harness_->SweepTombstones({endless.key}, absl::ZeroDuration());
    ASSERT_TRUE(uses.ok()) << uses.status();
    EXPECT_GT((*uses)[0].bytes, 0u);
    EXPECT_FALSE((*uses)[0].evictable);
  }
}

TEST_P(L2StoreContractTest, ATouchMayTakeTheEndOfALife) {
  const L2Key key = Key("a");
  EXPECT_EQ(Outcome(Put(key, V(1), "one")), L2WriteOutcome::kApplied);
  L2Write touch = Touch(key, V(2), absl::Hours(1));
  touch.expires_at = absl::InfiniteFuture();
  touch.retention = absl::InfiniteDuration();
  EXPECT_EQ(Outcome(touch), L2WriteOutcome::kApplied);
  EXPECT_EQ(FetchValue(key), "one");
}

TEST_P(L2StoreContractTest, HealthSaysThatAllIsWell) {
  // One call of each kind, so that all that connects at the start has connected.
  EXPECT_EQ(Outcome(Put(Key("a"), V(1), "one")), L2WriteOutcome::kApplied);
  EXPECT_EQ(FetchValue(Key("a")), "one");
  // A cluster has servers that no call has asked.
  EXPECT_TRUE(WaitUntil([this] { return harness_->Health().connected; }, absl::Seconds(10)));
  const L2Health health = harness_->Health();
  EXPECT_TRUE(health.configured);
  EXPECT_TRUE(health.connected);
  EXPECT_EQ(health.breaker, "closed");
  EXPECT_EQ(health.problem, "");
}

INSTANTIATE_TEST_SUITE_P(Stores, L2StoreContractTest,
                         ::testing::Values(L2Backend::kFake, L2Backend::kRedis,
                                           L2Backend::kCluster),
                         L2BackendName);

}  // namespace
}  // namespace meridian
