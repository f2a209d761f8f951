// One node and its regional store: what the tail tells, and what it does to L1.

#include "server/replication/changelog_tail.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/replication/engine_coherence.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Writes down what it is told.
class Diary final : public ChangeSink {
 public:
  void OnSlotGained(uint32_t slot, LogPosition position) override {
    lines.push_back(absl::StrCat("gained ", slot));
    next[slot] = position;
  }
  void OnSlotLost(uint32_t slot) override { lines.push_back(absl::StrCat("lost ", slot)); }
  void OnChanges(LogPosition after, const LogSlice& slice) override {
    EXPECT_EQ(after, next[slice.slot]) << "a hole before the slice";
    next[slice.slot] = slice.entries.back().position;
    for (const LogEntry& entry : slice.entries) lines.push_back(entry.key);
  }
  void OnGap(uint32_t slot, GapKind kind) override {
    lines.push_back(absl::StrCat(kind == GapKind::kTrimmed ? "trimmed " : "restarted ", slot));
    if (kind == GapKind::kRestarted) next[slot] = LogPosition{};
  }
  void OnLoss(const SlotLoss& loss) override {
    EXPECT_EQ(loss.rewound, loss.kept != next[loss.slot]);
    next[loss.slot] = loss.resumed;
    std::string line = absl::StrCat("loss ", loss.slot);
    for (const LogEntry& entry : loss.lost) absl::StrAppend(&line, " ", entry.key);
    lines.push_back(line);
  }

  void OnAway(uint32_t slot) override { lines.push_back(absl::StrCat("away ", slot)); }
  void OnBack(uint32_t slot) override { lines.push_back(absl::StrCat("back ", slot)); }
  void OnCaughtUp(absl::Duration at) override { caught_up = at; }

  std::vector<std::string> lines;
  std::map<uint32_t, LogPosition> next;
  absl::Duration caught_up;
};

class ChangelogTailTest : public testing::Test {
 protected:
  uint32_t SlotOfKey(std::string_view key) { return SlotOf("task", key); }

  void StartOwning(std::vector<uint32_t> slots) {
    std::sort(slots.begin(), slots.end());
    tail_.SetOwned(slots);
    tail_.Start();
    world_.executor.RunDue();
  }
  void Run(absl::Duration duration) { world_.executor.RunFor(duration); }

  // Puts a value into L1 as an owner does after a write, or checks that it is there.
  EntryKey KeyOf(std::string_view key) {
    const NamespaceId id = *engine_->InternNamespace("task");
    return {.name_space = id, .slot = SlotOfKey(key), .hash = engine_->HashOf(id, key), .key = key};
  }
  PutOutcome PutL1(std::string_view key, Version version) {
    return engine_->Put(KeyOf(key), EntryOf(version), world_.clock.Monotonic());
  }
  Entry EntryOf(Version version) {
    Entry entry;
    entry.value = Buffer::CopyOf("v");
    entry.raw_size = 1;
    entry.version = version;
    entry.expires_at = world_.clock.Monotonic() + absl::Hours(1);
    return entry;
  }
  bool InL1(std::string_view key) {
    Entry entry;
    return engine_->Peek(KeyOf(key), world_.clock.Monotonic(), &entry);
  }

  ReplicationWorld world_{{"us"}};
  StoreWire& wire_ = *world_.node("us").wires["us"];
  RecordingObserver& observer_ = world_.node("us").observer;
  std::unique_ptr<Engine> engine_ =
      *Engine::Create({.capacity_bytes = size_t{1} << 20, .shard_bits = 0});
  HybridClock hybrid_clock_{world_.clock, RegionId("us")};
  Diary diary_;
  EngineCoherence coherence_{*engine_, hybrid_clock_, world_.clock, observer_};
  TaskGate gate_{world_.executor};
  ChangelogTail tail_{ChangelogTailOptions(), wire_,     gate_,
                      world_.clock,           observer_, {&coherence_, &diary_}};
};

TEST_F(ChangelogTailTest, TellsWhatIsWrittenAfterTheSlotWasGainedAndNothingElse) {
  world_.Set("us", "{a}before", "v");
  world_.executor.RunDue();
  StartOwning({SlotOfKey("{a}")});
  world_.Set("us", "{a}1", "v");
  world_.Set("us", "{b}", "v");
  Run(absl::Milliseconds(25));
  world_.Set("us", "{a}2", "v");
  Run(absl::Milliseconds(25));
  EXPECT_THAT(diary_.lines, ElementsAre(absl::StrCat("gained ", SlotOfKey("{a}")), "{a}1", "{a}2"));
}

// A log that is short for what is written into it, while every call is answered.
TEST_F(ChangelogTailTest, WhatWasTrimmedBetweenTwoPollsIsAGap) {
  const uint32_t a = SlotOfKey("{a}");
  const uint32_t b = SlotOfKey("{b}");
  ChangelogTailOptions options;
  options.log_entries = 10;
  ChangelogTail tail(options, wire_, gate_, world_.clock, observer_, {&coherence_});
  world_.Set("us", "{a}0", "v");
  world_.Set("us", "{b}0", "v");
  world_.executor.RunDue();
  std::vector<uint32_t> owned = {a, b};
  std::sort(owned.begin(), owned.end());
  tail.SetOwned(owned);
  tail.Start();
  Run(absl::Milliseconds(50));
  PutL1("{a}0", world_.Set("us", "{a}0", "v"));
  PutL1("{b}0", world_.Set("us", "{b}0", "v"));
  Run(absl::Milliseconds(50));
  for (int i = 0; i < 15; ++i) world_.Set("us", absl::StrCat("{a}", 1 + i), "v");
  Run(absl::Milliseconds(50));
  EXPECT_THAT(observer_.tail_gaps, IsEmpty()) << "more than it keeps at least, but all is there";
  EXPECT_TRUE(InL1("{a}0"));
  world_.Set("us", "{a}0", "w");
  for (int i = 0; i < 15; ++i) world_.Set("us", absl::StrCat("{a}", 1 + i), "w");
  world_.executor.RunDue();
  world_.region("us").store->TrimLog(a, 10);
  Run(absl::Milliseconds(50));
  EXPECT_THAT(observer_.tail_gaps, ElementsAre(a));
  EXPECT_FALSE(InL1("{a}0"));
  EXPECT_TRUE(InL1("{b}0"));
}

TEST_F(ChangelogTailTest, ATailThatIsFarBehindReadsAsMuchAsTheStoreAnswers) {
  world_.Set("us", "{a}before", "v");
  world_.executor.RunDue();
  StartOwning({SlotOfKey("{a}")});
  wire_.mode = StoreWire::Mode::kRefused;
  Run(absl::Milliseconds(100));
  for (int i = 0; i < 3000; ++i) world_.Set("us", absl::StrCat("{a}", i), "v");
  world_.executor.RunDue();
  wire_.mode = StoreWire::Mode::kOpen;
  wire_.largest_read = 100;
  Run(absl::Seconds(60));
  EXPECT_THAT(diary_.lines, SizeIs(3001));
  wire_.largest_read = 2000;
  for (int i = 0; i < 3000; ++i) world_.Set("us", absl::StrCat("{a}", i), "v");
  Run(absl::Seconds(1));
  EXPECT_THAT(diary_.lines, SizeIs(6001));
}

TEST_F(ChangelogTailTest, OfLongNamesFewerAreRemembered) {
  StartOwning({SlotOfKey("{a}")});
  const auto saved = world_.region("us").store->Save();
  const std::string name = "{a}" + std::string(1000, 'k');
  for (int i = 0; i < 40; ++i) world_.Set("us", absl::StrCat(name, i), "v");
  Run(absl::Seconds(1));
  world_.region("us").store->GoBackTo(*saved);
  Run(absl::Seconds(1));
  EXPECT_EQ(observer_.lost, ChangelogTail::kRememberedBytes / 1009);
}

TEST_F(ChangelogTailTest, AChangeIsToldWithinTheIdleIntervalAndPollsNeverOverlap) {
  StartOwning({SlotOfKey("k")});
  Run(absl::Seconds(1));
  const int idle_polls = world_.region("us").store->calls().change_count;
  EXPECT_GE(idle_polls, 50);
  EXPECT_LE(idle_polls, 56);  // 10 fast ones, then every 20 ms.
  world_.Set("us", "k", "v");
  Run(absl::Milliseconds(20));
  EXPECT_THAT(diary_.lines, SizeIs(2));
  // The answer takes longer than the interval: one request at a time.
  wire_.delay = absl::Milliseconds(100);
  const int before = world_.region("us").store->calls().change_count;
  Run(absl::Seconds(1));
  EXPECT_LE(world_.region("us").store->calls().change_count - before, 10);
}

TEST_F(ChangelogTailTest, LogsAreReadOnlyWhenSomethingWasWritten) {
  world_.Set("us", "before", "v");
  StartOwning({SlotOfKey("k")});
  Run(absl::Seconds(1));
  const int before = world_.region("us").store->calls().read_logs;
  Run(absl::Seconds(1));
  EXPECT_EQ(world_.region("us").store->calls().read_logs, before);
  world_.Set("us", "somewhere else", "v");
  Run(absl::Milliseconds(30));
  EXPECT_EQ(world_.region("us").store->calls().read_logs, before + 1);
  // A slot that is gained is read although nothing was written since.
  tail_.SetOwned({SlotOfKey("k"), SlotOfKey("other")});
  Run(absl::Milliseconds(60));
  EXPECT_EQ(world_.region("us").store->calls().read_logs, before + 2);
}

TEST_F(ChangelogTailTest, MoreThanOneReadHoldsIsReadAtOnce) {
  StartOwning({SlotOfKey("{a}")});
  for (int i = 0; i < 2500; ++i) world_.Set("us", absl::StrCat("{a}", i), "v");
  Run(absl::Milliseconds(20));
  EXPECT_THAT(diary_.lines, SizeIs(2501));
}

TEST_F(ChangelogTailTest, LosingASlotEndsItsChangesAlsoThoseOnTheirWay) {
  const uint32_t slot = SlotOfKey("{a}");
  StartOwning({slot});
  PutL1("{a}1", world_.Set("us", "{a}1", "v"));
  wire_.delay = absl::Milliseconds(5);
  Run(absl::Milliseconds(12));
  tail_.SetOwned({});
  EXPECT_FALSE(InL1("{a}1"));
  Run(absl::Milliseconds(50));
  tail_.SetOwned({slot});
  Run(absl::Milliseconds(50));
  const std::string number = absl::StrCat(slot);
  EXPECT_THAT(diary_.lines, ElementsAre("gained " + number, "lost " + number, "gained " + number));
}

TEST_F(ChangelogTailTest, WhatL1TookInBeforeTheFirstPositionIsDropped) {
  const uint32_t slot = SlotOfKey("k");
  wire_.delay = absl::Milliseconds(5);
  StartOwning({slot});
  const Version old_version = world_.Set("us", "k", "old");
  PutL1("k", old_version);  // The position is not known yet: nobody would tell of a newer one.
  const FillToken fill = engine_->BeginFill(KeyOf("k"));
  Run(absl::Milliseconds(5));
  EXPECT_FALSE(InL1("k"));
  EXPECT_EQ(engine_->PutFill(KeyOf("k"), EntryOf(old_version), world_.clock.Monotonic(), fill),
            PutOutcome::kOvertaken);
}

TEST_F(ChangelogTailTest, OlderCopiesLeaveL1AndEqualOnesStay) {
  StartOwning({SlotOfKey("{a}")});
  const Version first = world_.Set("us", "{a}old", "v1");
  PutL1("{a}old", first);
  const Version own = world_.Set("us", "{a}own", "v");
  PutL1("{a}own", own);
  Run(absl::Milliseconds(20));
  EXPECT_TRUE(InL1("{a}old"));
  EXPECT_TRUE(InL1("{a}own"));
  const FillToken fill = engine_->BeginFill(KeyOf("{a}filling"));
  world_.Set("us", "{a}old", "v2");
  world_.Set("us", "{a}filling", "v2");
  Run(absl::Milliseconds(20));
  EXPECT_FALSE(InL1("{a}old"));
  EXPECT_TRUE(InL1("{a}own"));
  EXPECT_EQ(engine_->PutFill(KeyOf("{a}filling"), EntryOf(first), world_.clock.Monotonic(), fill),
            PutOutcome::kOvertaken);
}

TEST_F(ChangelogTailTest, EveryVersionSeenMovesTheClockUnlessItIsAbsurd) {
  StartOwning({SlotOfKey("k")});
  const absl::Time now = world_.clock.Now();
  const auto apply = [&](absl::Time time) {
    const Version version{static_cast<uint64_t>(absl::ToUnixMillis(time)) << 16, RegionId("eu")};
    world_.Apply("us", MakeWrite("task", "k", "v", version, now, absl::Hours(1)));
    Run(absl::Milliseconds(20));
    return version;
  };
  const Version ahead = apply(now + absl::Seconds(30));
  EXPECT_GT(hybrid_clock_.Next().hlc, ahead.hlc);
  EXPECT_EQ(observer_.skews, 0);
  const Version absurd = apply(now + absl::Minutes(30));
  EXPECT_LT(hybrid_clock_.Next().hlc, absurd.hlc);
  EXPECT_EQ(observer_.skews, 1);
  ASSERT_THAT(observer_.foreign, SizeIs(2));
  EXPECT_EQ(observer_.foreign[0].region, RegionId("eu"));
  EXPECT_EQ(observer_.foreign[0].lag, absl::ZeroDuration());  // Its clock is ahead.
}

TEST_F(ChangelogTailTest, AnOutageWithoutLossDropsNothingAndMissesNothing) {
  StartOwning({SlotOfKey("{a}"), SlotOfKey("{b}")});
  PutL1("{b}", world_.Set("us", "{b}", "v"));
  world_.Set("us", "{a}0", "v");
  Run(absl::Milliseconds(50));
  const size_t before = diary_.lines.size();
  for (const auto mode : {StoreWire::Mode::kRefused, StoreWire::Mode::kSilent}) {
    wire_.mode = mode;
    Run(absl::Seconds(7));
    world_.Set("us", absl::StrCat("{a}", static_cast<int>(mode)), "v");
    wire_.mode = StoreWire::Mode::kOpen;
    Run(absl::Seconds(3));
  }
  EXPECT_GT(observer_.tail_errors, 0) << "nobody knows yet";
  EXPECT_THAT(observer_.tail_gaps, IsEmpty());
  EXPECT_THAT(std::vector<std::string>(diary_.lines.begin() + static_cast<ptrdiff_t>(before),
                                       diary_.lines.end()),
              ElementsAre("{a}1", "{a}2"));
  EXPECT_TRUE(InL1("{b}"));
}

TEST_F(ChangelogTailTest, ALogTrimmedDuringAnOutageDropsExactlyThatSlot) {
  StartOwning({SlotOfKey("{a}"), SlotOfKey("{b}")});
  PutL1("{a}0", world_.Set("us", "{a}0", "v"));
  PutL1("{b}0", world_.Set("us", "{b}0", "v"));
  Run(absl::Milliseconds(50));
  wire_.mode = StoreWire::Mode::kRefused;
  for (int i = 1; i < 5; ++i) world_.Set("us", absl::StrCat("{a}", i), "v");
  world_.Set("us", "{b}1", "v");
  Run(absl::Seconds(1));
  world_.region("us").store->TrimLog(SlotOfKey("{a}"), 2);
  wire_.mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(2));
  EXPECT_THAT(observer_.tail_gaps, ElementsAre(SlotOfKey("{a}")));
  EXPECT_FALSE(InL1("{a}0"));
  EXPECT_TRUE(InL1("{b}0"));
  EXPECT_THAT(diary_.lines, testing::IsSupersetOf({"{a}3", "{a}4", "{b}1"}));
}

// Slots that nobody has written yet are all there is in a new region.
TEST_F(ChangelogTailTest, ALogThatBeginsDuringAnOutageIsNoHole) {
  const uint32_t a = SlotOfKey("{a}");
  StartOwning({a});
  PutL1("{a}0", Version{1, RegionId("us")});
  Run(absl::Milliseconds(50));
  wire_.mode = StoreWire::Mode::kRefused;
  for (int i = 1; i < 5; ++i) world_.Set("us", absl::StrCat("{a}", i), "v");
  Run(absl::Seconds(1));
  wire_.mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(2));
  EXPECT_THAT(observer_.tail_gaps, IsEmpty());
  EXPECT_TRUE(InL1("{a}0"));
  EXPECT_THAT(diary_.lines,
              ElementsAre(absl::StrCat("gained ", a), "{a}1", "{a}2", "{a}3", "{a}4"));
}

TEST_F(ChangelogTailTest, ALogThatBeginsDuringAnOutageAndIsEmptyThenIsAHole) {
  const uint32_t a = SlotOfKey("{a}");
  StartOwning({a});
  PutL1("{a}0", Version{1, RegionId("us")});
  Run(absl::Milliseconds(50));
  wire_.mode = StoreWire::Mode::kRefused;
  world_.Set("us", "{a}1", "v");
  Run(absl::Seconds(1));
  world_.region("us").store->TrimLog(a, 0);
  wire_.mode = StoreWire::Mode::kOpen;
  Run(absl::Milliseconds(500));
  EXPECT_THAT(observer_.tail_gaps, testing::Contains(a));
  EXPECT_FALSE(InL1("{a}0"));
}

TEST_F(ChangelogTailTest, ALogThatBeginsDuringAnOutageAndIsAsLongAsTrimmedOnesMayHaveAHole) {
  const uint32_t a = SlotOfKey("{a}");
  ChangelogTailOptions options;
  options.log_entries = 10;
  options.read_limit = 5;  // No read sees as many.
  ChangelogTail tail(options, wire_, gate_, world_.clock, observer_, {&coherence_});
  tail.SetOwned({a});
  tail.Start();
  Run(absl::Milliseconds(50));
  PutL1("{a}0", Version{1, RegionId("us")});
  wire_.mode = StoreWire::Mode::kRefused;
  for (int i = 1; i < 15; ++i) world_.Set("us", absl::StrCat("{a}", i), "v");
  Run(absl::Seconds(1));
  world_.region("us").store->TrimLog(a, 10);
  wire_.mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(2));
  EXPECT_THAT(observer_.tail_gaps, ElementsAre(a));
  EXPECT_FALSE(InL1("{a}0"));
}

TEST_F(ChangelogTailTest, AFrozenProcessLooksForHolesWhenItWakesUp) {
  StartOwning({SlotOfKey("{a}")});
  PutL1("{a}0", world_.Set("us", "{a}0", "v"));
  Run(absl::Milliseconds(50));
  world_.clock.Advance(absl::Minutes(1));  // Nothing of ours ran meanwhile.
  for (int i = 1; i < 5; ++i) world_.Set("us", absl::StrCat("{a}", i), "v");
  world_.region("us").store->Apply({}, absl::InfiniteFuture(), [this](const auto&) {
    world_.region("us").store->TrimLog(SlotOfKey("{a}"), 1);
  });
  Run(absl::Seconds(1));
  EXPECT_THAT(observer_.tail_gaps, ElementsAre(SlotOfKey("{a}")));
  EXPECT_FALSE(InL1("{a}0"));
}

TEST_F(ChangelogTailTest, AStoreThatCameBackEmptyWithLowerIdsIsFollowedFromItsBeginning) {
  StartOwning({SlotOfKey("{a}"), SlotOfKey("{b}")});
  PutL1("{a}0", world_.Set("us", "{a}0", "v"));
  Run(absl::Milliseconds(50));
  wire_.mode = StoreWire::Mode::kRefused;
  Run(absl::Seconds(1));
  world_.clock.JumpTo(world_.clock.Now() - absl::Hours(1));
  world_.Wipe(world_.region("us"));
  world_.Set("us", "{a}new", "v");
  wire_.mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(2));
  EXPECT_THAT(observer_.tail_gaps, ElementsAre(SlotOfKey("{a}")));
  EXPECT_FALSE(InL1("{a}0"));
  EXPECT_EQ(diary_.lines.back(), "{a}new");
}

TEST_F(ChangelogTailTest, AcknowledgedChangesThatAStoreHasLostAreCounted) {
  StartOwning({SlotOfKey("{a}"), SlotOfKey("{b}")});
  for (int i = 0; i < 5; ++i) world_.Set("us", absl::StrCat("{a}", i), "v");
  Run(absl::Milliseconds(50));
  for (int i = 0; i < 100; ++i) world_.Set("us", absl::StrCat("{b}", i), "v");
  Run(absl::Milliseconds(50));
  // An outage without loss counts nothing.
  wire_.mode = StoreWire::Mode::kRefused;
  Run(absl::Seconds(1));
  wire_.mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(2));
  EXPECT_EQ(observer_.lost, 0u);

  wire_.mode = StoreWire::Mode::kRefused;
  Run(absl::Seconds(1));
  world_.Wipe(world_.region("us"));
  wire_.mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(2));
  EXPECT_EQ(observer_.lost, 5 + ChangelogTail::kRemembered);  // Of {b} as far as remembered.
  wire_.mode = StoreWire::Mode::kRefused;
  Run(absl::Seconds(1));
  wire_.mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(2));
  EXPECT_EQ(observer_.lost, 5 + ChangelogTail::kRemembered);  // Once.
}

// A new primary lacks the last changes and has got new ones since, with higher ids: the log does
// not end before what was told.
TEST_F(ChangelogTailTest, AfterAFailoverExactlyWhatTheNewPrimaryLacksIsLost) {
  const uint32_t a = SlotOfKey("{a}");
  const uint32_t b = SlotOfKey("{b}");
  StartOwning({a, b});
  FakeL2Store& store = *world_.region("us").store;
  world_.Set("us", "{a}kept", "v");
  world_.Set("us", "{b}kept", "v");
  Run(absl::Milliseconds(50));
  const auto saved = store.Save();
  PutL1("{a}1", world_.Set("us", "{a}1", "v"));
  world_.Set("us", "{a}2", "v");
  Run(absl::Milliseconds(50));
  store.GoBackTo(*saved);
  world_.Set("us", "{a}new", "v");
  Run(absl::Milliseconds(100));
  const std::vector<std::string> after(diary_.lines.end() - 3, diary_.lines.end());
  EXPECT_THAT(after, testing::UnorderedElementsAre(absl::StrCat("loss ", a, " {a}1 {a}2"),
                                                   absl::StrCat("loss ", b), "{a}new"));
  EXPECT_EQ(observer_.lost, 2u);
  EXPECT_TRUE(InL1("{a}1")) << "L1 is all that has it now";
  // Once more, before anything new was told.
  store.GoBackTo(*saved);
  Run(absl::Milliseconds(100));
  EXPECT_EQ(observer_.lost, 3u);
  EXPECT_THAT(observer_.tail_gaps, IsEmpty());
}

// Its log may be long, and tells little that is new.
TEST_F(ChangelogTailTest, AStoreThatIsOlderThanAllThatIsRememberedGoesOnFromTheEndOfItsLog) {
  const uint32_t a = SlotOfKey("{a}");
  StartOwning({a});
  FakeL2Store& store = *world_.region("us").store;
  for (int i = 0; i < 10; ++i) world_.Set("us", absl::StrCat("{a}old", i), "v");
  Run(absl::Milliseconds(50));
  const auto saved = store.Save();
  for (size_t i = 0; i <= ChangelogTail::kRemembered; ++i) {
    world_.Set("us", absl::StrCat("{a}gone", i), "v");
  }
  Run(absl::Milliseconds(50));
  store.GoBackTo(*saved);
  const FillToken token = engine_->BeginFill(KeyOf("{a}meanwhile"));
  const Version before = world_.Set("us", "{a}meanwhile", "v");
  diary_.lines.clear();
  Run(absl::Milliseconds(100));
  ASSERT_THAT(diary_.lines, SizeIs(1));
  EXPECT_THAT(diary_.lines[0], testing::StartsWith(absl::StrCat("loss ", a)));
  EXPECT_EQ(observer_.lost, ChangelogTail::kRemembered);
  EXPECT_EQ(
      engine_->PutFill(KeyOf("{a}meanwhile"), EntryOf(before), world_.clock.Monotonic(), token),
      PutOutcome::kOvertaken)
      << "nobody was told of that write: what was read before it must not come in";
  world_.Set("us", "{a}next", "v");
  Run(absl::Milliseconds(100));
  EXPECT_EQ(diary_.lines.back(), "{a}next");
  EXPECT_THAT(diary_.lines, SizeIs(2));
}

TEST_F(ChangelogTailTest, ANewPrimaryWhoseClockIsBehindGivesIdsASecondTime) {
  const uint32_t a = SlotOfKey("{a}");
  StartOwning({a});
  FakeL2Store& store = *world_.region("us").store;
  const auto saved = store.Save();
  const absl::Time then = world_.clock.Now();
  world_.Set("us", "{a}lost", "v");
  Run(absl::Milliseconds(50));
  store.GoBackTo(*saved);
  world_.clock.JumpTo(then);
  world_.Set("us", "{a}new", "v");
  Run(absl::Milliseconds(100));
  EXPECT_EQ(observer_.lost, 1u);
  EXPECT_EQ(diary_.lines.back(), "{a}new");
}

// One server of a cluster. At first nobody knows of it but by calls that fail.
TEST_F(ChangelogTailTest, APartOfTheStoreThatIsAwayStopsItsSlotsAndNoOthers) {
  const uint32_t a = SlotOfKey("{a}");
  const uint32_t b = SlotOfKey("{b}");
  const uint32_t c = SlotOfKey("{c}");
  StartOwning({a, b});
  world_.Set("us", "{a}0", "v");
  world_.Set("us", "{b}0", "v");
  Run(absl::Milliseconds(50));
  wire_.away = {a, c};
  wire_.away_is_known = false;
  world_.Set("us", "{b}0", "v");
  Run(absl::Seconds(2));
  EXPECT_GT(observer_.tail_errors, 0) << "nobody knows yet";
  const absl::Duration unheard = diary_.caught_up;
  wire_.away_is_known = true;
  Run(absl::Seconds(1));
  EXPECT_EQ(diary_.lines.back(), absl::StrCat("away ", a));
  const int errors = observer_.tail_errors;
  const absl::Duration caught_up = diary_.caught_up;
  EXPECT_GT(caught_up, unheard) << "of the others all is known";
  PutL1("{b}1", world_.Set("us", "{b}1", "v"));
  world_.Set("us", "{a}1", "v");
  world_.Set("us", "{b}1", "w");
  std::vector<uint32_t> owned = {a, b, c};
  std::sort(owned.begin(), owned.end());
  tail_.SetOwned(owned);
  Run(absl::Milliseconds(50));
  EXPECT_EQ(diary_.lines.back(), "{b}1");
  EXPECT_FALSE(InL1("{b}1"));
  EXPECT_EQ(tail_.followed(), 2u);
  Run(absl::Seconds(1));
  EXPECT_EQ(observer_.tail_errors, errors);
  EXPECT_GT(diary_.caught_up, caught_up + absl::Milliseconds(900));
  EXPECT_THAT(diary_.lines, testing::Not(testing::Contains("{a}1")));
  wire_.away.clear();
  Run(absl::Milliseconds(100));
  const auto heard = std::find(diary_.lines.begin(), diary_.lines.end(), "{a}1");
  EXPECT_NE(std::find(heard, diary_.lines.end(), absl::StrCat("back ", a)), diary_.lines.end())
      << "after all that it has was told";
  EXPECT_EQ(std::count(diary_.lines.begin(), diary_.lines.end(), absl::StrCat("away ", a)), 1);
  EXPECT_EQ(std::count(diary_.lines.begin(), diary_.lines.end(), absl::StrCat("back ", a)), 1);
  EXPECT_EQ(tail_.followed(), 3u);
  EXPECT_THAT(observer_.tail_gaps, IsEmpty());
  EXPECT_GT(diary_.caught_up, caught_up);
}

TEST_F(ChangelogTailTest, APartOfTheStoreThatIsAwayIsLookedAtForHolesWhenItIsBack) {
  const uint32_t a = SlotOfKey("{a}");
  const uint32_t b = SlotOfKey("{b}");
  StartOwning({a, b});
  PutL1("{a}1", world_.Set("us", "{a}1", "v"));
  PutL1("{b}1", world_.Set("us", "{b}1", "v"));
  Run(absl::Milliseconds(50));
  wire_.away = {a};
  Run(absl::Milliseconds(50));
  world_.Set("us", "{a}1", "w");
  world_.Set("us", "{a}2", "w");
  Run(absl::Milliseconds(50));
  world_.region("us").store->TrimLog(a, 1);
  wire_.away.clear();
  Run(absl::Milliseconds(100));
  EXPECT_THAT(observer_.tail_gaps, ElementsAre(a));
  EXPECT_FALSE(InL1("{a}1"));
  EXPECT_TRUE(InL1("{b}1"));
}

TEST_F(ChangelogTailTest, AFirstPositionThatCannotBeReadIsAskedForAgain) {
  wire_.mode = StoreWire::Mode::kRefused;
  StartOwning({SlotOfKey("k")});
  Run(absl::Seconds(3));
  EXPECT_EQ(tail_.followed(), 0u);
  wire_.mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(2));
  EXPECT_EQ(tail_.followed(), 1u);
}

}  // namespace
}  // namespace meridian
