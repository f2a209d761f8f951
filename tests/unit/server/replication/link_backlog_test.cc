#include "server/replication/link_backlog.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint16_t kOwn = 7;
constexpr uint16_t kForeign = 8;

LogEntry EntryAt(uint64_t ms, std::string key, uint16_t region = kOwn) {
  return {{ms, 0}, Version{ms << 16, region}, "task", std::move(key)};
}

class LinkBacklogTest : public testing::Test {
 protected:
  explicit LinkBacklogTest(size_t capacity = 10)
      : backlog_(capacity, [](const LogEntry& entry) { return entry.version.region == kOwn; }) {}
  // Slots 1..count, synced with everything up to 100 applied.
  void Synced(uint32_t count) {
    for (uint32_t slot = 1; slot <= count; ++slot) backlog_.Add(slot);
    for (const SlotTicket& ticket : backlog_.Unsynced()) {
      backlog_.Sync(ticket, {100, 0}, {100, 0});
    }
  }
  std::vector<std::string> KeysOf(const SlotBatch& batch) {
    std::vector<std::string> keys;
    for (const LogEntry& entry : batch.changes) keys.push_back(entry.key);
    return keys;
  }

  LinkBacklog backlog_;
};

class RoomyLinkBacklogTest : public LinkBacklogTest {
 protected:
  RoomyLinkBacklogTest() : LinkBacklogTest(100) {}
};

TEST_F(LinkBacklogTest, ForeignChangesMoveTheCursorOnly) {
  Synced(1);
  backlog_.Feed({100, 0}, {1, {EntryAt(101, "a", kForeign), EntryAt(102, "b", kForeign)}});
  EXPECT_THAT(backlog_.TakeBatches(100, 1000), IsEmpty());
  const std::vector<SlotBatch> cursors = backlog_.StaleCursors(10);
  ASSERT_THAT(cursors, SizeIs(1));
  EXPECT_EQ(cursors[0].cursor, (LogPosition{102, 0}));
  EXPECT_THAT(backlog_.StaleCursors(10), IsEmpty()) << "told once";
}

TEST_F(LinkBacklogTest, AKeyThatChangedOftenIsSentOnceAndTheCursorCoversAll) {
  Synced(1);
  backlog_.Feed(
      {100, 0},
      {1, {EntryAt(101, "a"), EntryAt(102, "b"), EntryAt(103, "a"), EntryAt(104, "c", kForeign)}});
  const std::vector<SlotBatch> batches = backlog_.TakeBatches(100, 1000);
  ASSERT_THAT(batches, SizeIs(1));
  EXPECT_THAT(KeysOf(batches[0]), ElementsAre("a", "b"));
  EXPECT_EQ(batches[0].changes[0].version.hlc, uint64_t{103} << 16);
  EXPECT_EQ(batches[0].cursor, (LogPosition{104, 0}));
  EXPECT_EQ(backlog_.OldestWaiting(), absl::FromUnixMillis(101));
  backlog_.Finish(batches[0], true);
  EXPECT_EQ(backlog_.waiting(), 0u);
  EXPECT_EQ(backlog_.OldestWaiting(), std::nullopt);
}

TEST_F(RoomyLinkBacklogTest, ASlotThatWaitsIsPassedByAndLosesNothing) {
  Synced(2);
  for (uint32_t slot = 1; slot <= 2; ++slot) {
    backlog_.Feed({100, 0}, {slot, {EntryAt(101, "a"), EntryAt(102, "b")}});
  }
  const SlotTicket first = *backlog_.TicketOf(1);
  backlog_.Wait(first);  // It had its turn already.
  const std::vector<SlotBatch> batches = backlog_.TakeBatches(100, 1000);
  ASSERT_THAT(batches, SizeIs(1));
  EXPECT_EQ(batches[0].ticket.slot, 2u);
  backlog_.Feed({102, 0}, {1, {EntryAt(103, "c")}});
  EXPECT_THAT(backlog_.TakeBatches(100, 1000), IsEmpty());
  backlog_.GoOn(first);
  const std::vector<SlotBatch> after = backlog_.TakeBatches(100, 1000);
  ASSERT_THAT(after, SizeIs(1));
  EXPECT_THAT(KeysOf(after[0]), ElementsAre("a", "b", "c"));
  backlog_.Restart(1);
  backlog_.Wait(first);  // Of a slot that has begun anew.
  backlog_.Sync(*backlog_.TicketOf(1), {103, 0}, {103, 0});
  backlog_.Feed({103, 0}, {1, {EntryAt(104, "d")}});
  EXPECT_THAT(backlog_.TakeBatches(100, 1000), SizeIs(1));
}

// --- Slots that stop; the capacity is 10.

TEST_F(LinkBacklogTest, SlotsThatWaitOrAreAwayTakeNoRoomFromOthers) {
  Synced(4);
  backlog_.Wait(*backlog_.TicketOf(1));
  backlog_.SetAway({2});
  std::vector<LogEntry> many;
  for (uint64_t ms = 101; ms <= 140; ++ms) many.push_back(EntryAt(ms, absl::StrCat(ms)));
  for (uint32_t slot = 1; slot <= 2; ++slot) backlog_.Feed({100, 0}, {slot, many});
  EXPECT_EQ(backlog_.waiting_to_go(), 0u);
  EXPECT_LE(backlog_.waiting(), 2u);
  EXPECT_EQ(backlog_.backlog(), 80u) << "known all the same";
  EXPECT_EQ(backlog_.OldestWaiting(), absl::FromUnixMillis(101));
  EXPECT_THAT(backlog_.NextReads(10), IsEmpty()) << "nothing of them may go";
  many.resize(10);
  backlog_.Feed({100, 0}, {3, many});
  EXPECT_EQ(backlog_.waiting_to_go(), 10u) << "all of it";
  backlog_.Wait(*backlog_.TicketOf(3));  // What it has is given up as well.
  EXPECT_EQ(backlog_.waiting_to_go(), 0u);
  backlog_.Feed({100, 0}, {4, many});
  const std::vector<SlotBatch> batches = backlog_.TakeBatches(100, 1000);
  ASSERT_THAT(batches, SizeIs(1));
  EXPECT_EQ(batches[0].ticket.slot, 4u);
  EXPECT_EQ(batches[0].count, 10u);
  for (uint32_t slot = 1; slot <= 4; ++slot) backlog_.Remove(slot);
  EXPECT_EQ(backlog_.waiting(), 0u);
  EXPECT_EQ(backlog_.waiting_to_go(), 0u);
}

TEST_F(LinkBacklogTest, WhatASlotThatWaitedGaveUpIsReadFromTheLogOnceItGoesOn) {
  Synced(1);
  const SlotTicket ticket = *backlog_.TicketOf(1);
  // What was not wanted need not be there any more: it was told that the target has it.
  std::vector<LogEntry> log = {EntryAt(101, "foreign", kForeign)};
  for (uint64_t ms = 102; ms <= 109; ++ms) log.push_back(EntryAt(ms, absl::StrCat(ms)));
  backlog_.Feed({100, 0}, {1, log});
  std::vector<SlotBatch> batches = backlog_.TakeBatches(4, 1000);
  ASSERT_THAT(batches, SizeIs(1));
  backlog_.Wait(ticket);
  EXPECT_EQ(backlog_.waiting(), 4u) << "those that are under way";
  backlog_.Finish(batches[0], false);
  EXPECT_LE(backlog_.waiting(), 1u);
  EXPECT_THAT(backlog_.NextReads(10), IsEmpty());
  backlog_.GoOn(ticket);
  std::vector<std::string> sent;
  for (int round = 0; round < 10; ++round) {
    for (const CatchUpRead& read : backlog_.NextReads(10)) {
      EXPECT_GE(read.after, (LogPosition{101, 0})) << "no hole where nothing is missing";
      std::vector<LogEntry> entries;
      for (const LogEntry& entry : log) {
        if (entry.position > read.after) entries.push_back(entry);
      }
      backlog_.OnRead(read, entries, 1000);
    }
    batches = backlog_.TakeBatches(100, 1000);
    for (const SlotBatch& batch : batches) {
      for (const std::string& key : KeysOf(batch)) sent.push_back(key);
      backlog_.Finish(batch, true);
    }
  }
  EXPECT_THAT(sent, ElementsAre("102", "103", "104", "105", "106", "107", "108", "109"));
  EXPECT_EQ(backlog_.backlog(), 0u);
  EXPECT_EQ(backlog_.lagging_slots(), 0u);
  backlog_.Feed({109, 0}, {1, {EntryAt(110, "110")}});
  EXPECT_EQ(backlog_.waiting_to_go(), 1u) << "the live tail joins on again";
}

TEST_F(LinkBacklogTest, TheCursorOfAHeldSlotIsToldWhenItIsReleased) {
  Synced(1);
  const SlotTicket ticket = *backlog_.TicketOf(1);
  backlog_.Hold(ticket);
  backlog_.Feed({100, 0}, {1, {EntryAt(101, "a"), EntryAt(102, "b", kForeign)}});
  const std::vector<SlotBatch> batches = backlog_.TakeBatches(100, 1000);
  ASSERT_THAT(batches, SizeIs(1));
  EXPECT_EQ(batches[0].told(), LogPosition{});
  backlog_.Finish(batches[0], true);
  EXPECT_EQ(backlog_.waiting(), 0u) << "it was sent";
  EXPECT_EQ(backlog_.AckedBefore(ticket), (LogPosition{100, 0}));
  EXPECT_THAT(backlog_.StaleCursors(10), IsEmpty());
  EXPECT_EQ(backlog_.HasUpTo(ticket), (LogPosition{102, 0}));
  backlog_.Unsync(1);
  EXPECT_EQ(backlog_.HasUpTo(ticket), LogPosition{}) << "there is a reason for doubt";
  backlog_.Sync(ticket, {100, 0}, {102, 0});
  backlog_.Release(1);
  const std::vector<SlotBatch> cursors = backlog_.StaleCursors(10);
  ASSERT_THAT(cursors, SizeIs(1));
  EXPECT_EQ(cursors[0].cursor, (LogPosition{102, 0}));
}

TEST_F(LinkBacklogTest, ASlotThatBeginsAnewIsHeldAsBefore) {
  Synced(2);
  backlog_.Hold(*backlog_.TicketOf(1));
  for (uint32_t slot = 1; slot <= 2; ++slot) {
    backlog_.Restart(slot);
    backlog_.Sync(*backlog_.TicketOf(slot), {0, 0}, {0, 0});
    backlog_.Feed({0, 0}, {slot, {EntryAt(101, "a")}});
  }
  const std::vector<SlotBatch> batches = backlog_.TakeBatches(100, 1000);
  ASSERT_THAT(batches, SizeIs(2));
  EXPECT_TRUE(batches[0].held);
  EXPECT_FALSE(batches[1].held);
}

TEST_F(LinkBacklogTest, ASlotHasOneBatchUnderWayAndSlotsTakeTurns) {
  Synced(3);
  for (uint32_t slot = 1; slot <= 3; ++slot) {
    backlog_.Feed({100, 0}, {slot, {EntryAt(101, "a"), EntryAt(102, "b"), EntryAt(103, "c")}});
  }
  const std::vector<SlotBatch> first = backlog_.TakeBatches(4, 1000);
  ASSERT_THAT(first, SizeIs(2));
  EXPECT_EQ(first[0].count, 3u);
  EXPECT_EQ(first[1].count, 1u);
  EXPECT_EQ(first[1].cursor, (LogPosition{101, 0}));
  EXPECT_THAT(backlog_.TakeBatches(100, 0), IsEmpty());
  const std::vector<SlotBatch> second = backlog_.TakeBatches(100, 1000);
  ASSERT_THAT(second, SizeIs(1)) << "slots 1 and 2 have one under way";
  EXPECT_EQ(second[0].ticket.slot, 3u);
  backlog_.Finish(first[1], false);  // Again, from the same place.
  const std::vector<SlotBatch> third = backlog_.TakeBatches(100, 1000);
  ASSERT_THAT(third, SizeIs(1));
  EXPECT_THAT(KeysOf(third[0]), ElementsAre("a", "b", "c"));
}

TEST_F(LinkBacklogTest, WhatFindsNoRoomIsReadFromTheLogWithoutAHoleOrARepetition) {
  Synced(2);
  std::vector<LogEntry> log;
  for (uint64_t ms = 101; ms <= 130; ++ms) log.push_back(EntryAt(ms, absl::StrCat(ms)));
  backlog_.Feed({100, 0}, {1, log});
  EXPECT_EQ(backlog_.waiting(), 10u);
  EXPECT_EQ(backlog_.lagging_slots(), 1u);
  EXPECT_EQ(backlog_.backlog(), 30u);

  std::vector<std::string> sent;
  for (int round = 0; round < 20; ++round) {
    for (const SlotBatch& batch : backlog_.TakeBatches(7, 1000)) {
      for (const std::string& key : KeysOf(batch)) sent.push_back(key);
      backlog_.Finish(batch, true);
    }
    EXPECT_LE(backlog_.waiting(), 10u);
    if (round == 2) {  // Live changes go on meanwhile.
      backlog_.Feed({130, 0}, {1, {EntryAt(131, "131")}});
      log.push_back(EntryAt(131, "131"));
    }
    for (const CatchUpRead& read : backlog_.NextReads(10)) {
      std::vector<LogEntry> entries;
      for (const LogEntry& entry : log) {
        if (entry.position > read.after && entries.size() < 4) entries.push_back(entry);
      }
      backlog_.OnRead(read, entries, 4);
    }
  }
  std::vector<std::string> expected;
  for (const LogEntry& entry : log) expected.push_back(entry.key);
  EXPECT_EQ(sent, expected);
  EXPECT_EQ(backlog_.lagging_slots(), 0u);
  EXPECT_EQ(backlog_.backlog(), 0u);
  backlog_.Feed({131, 0}, {1, {EntryAt(132, "132")}});
  EXPECT_EQ(backlog_.waiting(), 1u) << "the live tail joins on again";
}

TEST_F(LinkBacklogTest, AChangeSeenBetweenTheEndOfTheLogAndItsAnswerIsNotForgotten) {
  Synced(1);
  backlog_.Unsync();
  const SlotTicket ticket = backlog_.Unsynced().at(0);
  // The live tail has gone on to 300, with a hole, while the cursor and the end were on their way.
  backlog_.Feed({200, 0}, {1, {EntryAt(300, "late")}});
  backlog_.Sync(ticket, {100, 0}, {200, 0});
  const std::vector<CatchUpRead> reads = backlog_.NextReads(10);
  ASSERT_THAT(reads, SizeIs(1));
  EXPECT_EQ(reads[0].after, (LogPosition{100, 0}));
}

TEST_F(LinkBacklogTest, ATargetThatLostItsCursorIsSentEverythingAgain) {
  Synced(1);
  backlog_.Feed({100, 0}, {1, {EntryAt(101, "a")}});
  backlog_.Unsync();
  backlog_.Sync(backlog_.Unsynced().at(0), {0, 0}, {101, 0});
  EXPECT_EQ(backlog_.waiting(), 0u);
  ASSERT_THAT(backlog_.NextReads(10), SizeIs(1));
  EXPECT_EQ(backlog_.NextReads(10)[0].after, LogPosition{});
}

TEST_F(LinkBacklogTest, AnotherNodesProgressIsTakenOver) {
  Synced(1);
  backlog_.Feed({100, 0}, {1, {EntryAt(101, "a"), EntryAt(102, "b")}});
  backlog_.Unsync();
  backlog_.Sync(backlog_.Unsynced().at(0), {101, 0}, {102, 0});
  const std::vector<SlotBatch> batches = backlog_.TakeBatches(10, 1000);
  ASSERT_THAT(batches, SizeIs(1));
  EXPECT_THAT(KeysOf(batches[0]), ElementsAre("b"));
}

TEST_F(LinkBacklogTest, AnswersForASlotThatLeftOrBeganAnewAreIgnored) {
  Synced(2);
  backlog_.Feed({100, 0}, {1, {EntryAt(101, "a")}});
  backlog_.Feed({100, 0}, {2, {EntryAt(101, "a")}});
  const std::vector<SlotBatch> batches = backlog_.TakeBatches(10, 1000);
  ASSERT_THAT(batches, SizeIs(2));
  backlog_.Remove(1);
  backlog_.Restart(2);
  backlog_.Sync(backlog_.Unsynced().at(0), {0, 0}, {0, 0});
  backlog_.Feed({0, 0}, {2, {EntryAt(5, "new log")}});
  for (const SlotBatch& batch : batches) backlog_.Finish(batch, true);
  EXPECT_EQ(backlog_.waiting(), 1u);
  const std::vector<SlotBatch> again = backlog_.TakeBatches(10, 1000);
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_THAT(KeysOf(again[0]), ElementsAre("new log"));
}

}  // namespace
}  // namespace meridian
