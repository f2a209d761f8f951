// A Redis that answers what it is asked and takes no writes, as one does that is full, cannot save
// or has too few replicas: what it refuses waits, and nothing else does.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/version_before.h"
#include "server/replication/own_drops.h"
#include "server/replication/store_probe.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;

// All three as the store's client tells them.
const absl::Status kRefusals[] = {
    absl::UnavailableError("Redis: MISCONF Redis is configured to save RDB snapshots"),
    absl::UnavailableError("Redis: NOREPLICAS Not enough good replicas to write."),
    absl::ResourceExhaustedError("Redis: OOM command not allowed"),
};

class RefusingStoreTest : public testing::TestWithParam<absl::Status> {
 protected:
  RefusingStoreTest() {
    world_.Start();
    for (const char* key : {"{a}first", "{b}first", "{c}first"}) world_.Set("us", key, "v");
    Run(absl::Seconds(10));
  }
  void Run(absl::Duration time) { world_.executor.RunFor(time); }
  StoreWire& Wire(const std::string& to) { return *world_.node("us").wires[to]; }
  FakeL2Store& Store(const std::string& region) { return *world_.region(region).store; }
  LinkStatus link() { return world_.Link("us", "eu"); }
  static uint32_t Slot(const std::string& key) { return SlotOf("task", key); }
  // How far the target knows the slot.
  LogPosition Cursor(const std::string& key) {
    LogPosition cursor;
    Store("eu").FetchCursors(
        "us", {Slot(key)}, absl::InfiniteFuture(),
        [&](absl::StatusOr<std::vector<LogPosition>> cursors) { cursor = cursors->front(); });
    world_.executor.RunDue();
    return cursor;
  }
  LogPosition EndOf(const std::string& key) { return world_.Log("us", Slot(key)).back().position; }
  // us writes the key while its link is cut off, and evicts it before eu hears of it.
  Version WriteAndEvict(const std::string& key) {
    const StoreWire::Mode before = std::exchange(Wire("eu").mode, StoreWire::Mode::kRefused);
    const Version version = world_.Set("us", key, "new");
    Run(absl::Seconds(1));
    Store("us").Evict("task", key);
    Wire("eu").mode = before;
    return version;
  }
  void ExpectNoProbes() {
    Wire("eu").sent.clear();
    Run(absl::Minutes(1));
    for (uint64_t i = 0; i < kProbeKeys; ++i) {
      EXPECT_FALSE(Wire("eu").sent.contains(ProbeKey("us", i)));
    }
  }
  // It arrives at once.
  void ExpectFlows(const std::string& key) {
    world_.Set("us", key, "v");
    Run(absl::Milliseconds(100));
    EXPECT_EQ(world_.Get("eu", key), "v") << key;
  }

  ReplicationWorld world_{{"us", "eu"}};
};

// --- The own store.

TEST_P(RefusingStoreTest, AnOwnStoreThatTakesNoDropHoldsUpNothingAndGetsItLater) {
  world_.Set("eu", "{a}k", "old");
  Run(absl::Seconds(1));
  const Version version = WriteAndEvict("{a}k");
  Wire("us").full = GetParam();
  Run(absl::Seconds(10));
  EXPECT_EQ(world_.Get("eu", "{a}k"), std::nullopt) << "what is overtaken is not read";
  ExpectFlows("{a}behind");
  ExpectFlows("{b}other");
  EXPECT_NE(link().state, LinkState::kDisconnected) << link().problem;
  EXPECT_EQ(link().owed_drops, 1u);
  EXPECT_THAT(link().problem, HasSubstr("store of us: refuses to drop"));
  EXPECT_THAT(link().problem, HasSubstr(std::string(GetParam().message())));
  EXPECT_LT(Cursor("{a}k"), EndOf("{a}k")) << "whoever owns the slot next must find it again";
  EXPECT_EQ(Cursor("{b}k"), EndOf("{b}k"));
  EXPECT_EQ(link().gone_total, 1u) << "it is sent once";

  Run(absl::Minutes(2));
  EXPECT_EQ(link().owed_drops, 1u) << "it is waited for";
  Wire("us").full = absl::OkStatus();
  Run(absl::Seconds(10));
  EXPECT_EQ(link().owed_drops, 0u);
  EXPECT_EQ(link().problem, "");
  EXPECT_EQ(world_.StoredVersion("us", "{a}k"), JustBefore(version));
  EXPECT_EQ(Cursor("{a}k"), EndOf("{a}k"));
  EXPECT_EQ(link().dropped_total, 0u);
}

TEST_P(RefusingStoreTest, SomethingOlderThatCameInMeanwhileGoesAndIsTold) {
  const Version old = world_.region("eu").writer->Next();
  Run(absl::Seconds(1));
  WriteAndEvict("{a}k");
  Wire("us").full = GetParam();
  Run(absl::Seconds(10));
  ASSERT_EQ(link().owed_drops, 1u);
  const size_t logged = world_.Log("us", Slot("{a}k")).size();
  world_.Apply("us", MakeWrite("task", "{a}k", "old", old, world_.clock.Now(), absl::Hours(1)));
  Run(absl::Milliseconds(1));
  ASSERT_EQ(world_.Get("us", "{a}k"), "old");
  Wire("us").full = absl::OkStatus();
  Run(absl::Seconds(10));
  EXPECT_EQ(world_.Get("us", "{a}k"), std::nullopt);
  EXPECT_EQ(world_.Log("us", Slot("{a}k")).size(), logged + 2);
}

TEST_P(RefusingStoreTest, TheNextOwnerPaysWhatIsOwed) {
  const Version version = WriteAndEvict("{a}k");
  Wire("us").full = GetParam();
  Run(absl::Seconds(10));
  ExpectFlows("{a}behind");
  world_.StopNode(world_.node("us"));
  Wire("us").full = absl::OkStatus();
  EXPECT_FALSE(world_.StoredVersion("us", "{a}k").is_set());
  world_.Start();
  Run(absl::Seconds(10));
  EXPECT_EQ(world_.StoredVersion("us", "{a}k"), JustBefore(version));
  EXPECT_EQ(Cursor("{a}k"), EndOf("{a}k"));
}

TEST_P(RefusingStoreTest, OneServerOfTheOwnClusterThatTakesNothingConcernsItsSlotsAlone) {
  WriteAndEvict("{a}k");
  const Version version = WriteAndEvict("{b}k");
  Wire("us").full = GetParam();
  Wire("us").full_slots = {Slot("{a}k")};
  Run(absl::Seconds(10));
  EXPECT_EQ(world_.StoredVersion("us", "{b}k"), JustBefore(version));
  EXPECT_EQ(Cursor("{b}k"), EndOf("{b}k"));
  EXPECT_EQ(link().owed_drops, 1u);
  ExpectFlows("{a}behind");
  ExpectFlows("{b}behind");
}

// What waits for the own store was sent: that its log ends before the cursor is no hole.
TEST_P(RefusingStoreTest, ALogThatIsTrimmedBehindWhatWasSentIsNoHole) {
  world_.Set("us", "{a}k", "old");
  Run(absl::Seconds(10));
  WriteAndEvict("{a}k");
  Wire("us").full = GetParam();
  Run(absl::Seconds(10));
  for (int i = 0; i < 5; ++i) ExpectFlows(absl::StrCat("{a}", i));
  ASSERT_LT(Cursor("{a}k"), EndOf("{a}k"));
  Store("us").TrimLog(Slot("{a}k"), 1);
  Wire("eu").mode = StoreWire::Mode::kRefused;  // The cursor is asked for again.
  Run(absl::Seconds(5));
  world_.Set("us", "{b}k", "v");
  Run(absl::Seconds(5));
  Wire("eu").mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(10));
  ExpectFlows("{a}behind");
  EXPECT_EQ(link().gaps_total, 0u);
  EXPECT_EQ(link().owed_drops, 1u);
}

// --- The target.

TEST_P(RefusingStoreTest, ATargetThatTakesNothingIsWaitedForAndToldAsGone) {
  Wire("eu").full = GetParam();
  for (int i = 0; i < 30; ++i) world_.Set("us", absl::StrCat("{", i, "}k"), "v");
  Run(absl::Seconds(4));
  EXPECT_EQ(link().state, LinkState::kDisconnected) << "nobody waits for it";
  EXPECT_THAT(link().problem, HasSubstr("store of eu: refuses changes of 3"));
  EXPECT_THAT(link().problem, HasSubstr(std::string(GetParam().message())));
  Run(absl::Minutes(2));
  EXPECT_EQ(link().state, LinkState::kDisconnected);
  Wire("eu").full = absl::OkStatus();
  Run(absl::Seconds(3));
  EXPECT_EQ(link().state, LinkState::kStreaming);
  EXPECT_EQ(link().problem, "");
  EXPECT_EQ(link().refused_slots, 0u);
  EXPECT_EQ(link().backlog, 0u);
  EXPECT_EQ(link().dropped_total, 0u);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(world_.Get("eu", absl::StrCat("{", i, "}k")), "v") << i;
}

TEST_P(RefusingStoreTest, OneServerOfItThatTakesNothingStopsItsSlotsAndNoOthers) {
  Wire("eu").full = GetParam();
  Wire("eu").full_slots = {Slot("{a}k"), Slot("{c}k")};
  world_.Set("us", "{a}k", "v");
  world_.Set("us", "{c}k", "v");
  for (int i = 0; i < 600; ++i) {
    const std::string key = absl::StrCat("{b}", i);
    world_.Set("us", key, "v");
    Run(absl::Milliseconds(50));
    ASSERT_EQ(world_.Get("eu", key), "v") << "at once, all the time";
    ASSERT_EQ(link().state, LinkState::kStreaming) << link().problem;
  }
  EXPECT_EQ(world_.Get("eu", "{a}k"), std::nullopt);
  EXPECT_EQ(link().refused_slots, 2u);
  EXPECT_THAT(link().problem, HasSubstr("refuses changes of 2 slots"));
  Run(absl::Minutes(2));  // Nothing else is written: the others are asked.
  EXPECT_EQ(link().state, LinkState::kStreaming) << link().problem;
  Wire("eu").full = absl::OkStatus();
  Run(absl::Seconds(3));
  EXPECT_EQ(world_.Get("eu", "{a}k"), "v");
  EXPECT_EQ(world_.Get("eu", "{c}k"), "v");
  EXPECT_EQ(link().problem, "");
  EXPECT_EQ(link().dropped_total, 0u);
}

std::string NameOf(const testing::TestParamInfo<absl::Status>& refusal) {
  return std::vector<std::string>{"Misconf", "NoReplicas", "Oom"}[refusal.index];
}

INSTANTIATE_TEST_SUITE_P(Each, RefusingStoreTest, testing::ValuesIn(kRefusals), NameOf);

// --- Keys that a store never takes.

class RefusedKeyTest : public RefusingStoreTest {};

TEST_F(RefusedKeyTest, ItDelaysItsOwnSlotAlone) {
  Wire("eu").refused["{a}bad"] = absl::InternalError("its script fails");
  Wire("eu").refuses_calls = true;
  Wire("eu").takes_drops = true;
  for (int i = 0; i < 600; ++i) {
    if (i % 100 == 0) world_.Set("us", "{a}bad", "v");
    const std::string key = absl::StrCat("{b}", i);
    world_.Set("us", key, "v");
    Run(absl::Milliseconds(50));
    ASSERT_EQ(world_.Get("eu", key), "v") << "at once, all the time";
    ASSERT_NE(link().state, LinkState::kDisconnected) << link().problem;
  }
  Run(absl::Minutes(1));
  EXPECT_GE(link().dropped_total, 1u);
  EXPECT_EQ(link().refused_slots, 0u);
  EXPECT_EQ(link().backlog, 0u);
}

TEST_F(RefusedKeyTest, ADropThatTheOwnStoreNeverTakesIsGivenUp) {
  Wire("us").refused["{a}k"] = absl::InternalError("its script fails");
  WriteAndEvict("{a}k");
  const Version version = WriteAndEvict("{a}fine");
  for (int i = 0; i < 500 && link().owed_drops == 0; ++i) Run(absl::Milliseconds(10));
  EXPECT_GE(link().owed_drops, 1u);
  Run(absl::Minutes(1));
  EXPECT_EQ(link().owed_drops, 0u);
  EXPECT_EQ(link().dropped_total, 1u);
  EXPECT_EQ(world_.StoredVersion("us", "{a}fine"), JustBefore(version));
  EXPECT_EQ(Cursor("{a}k"), EndOf("{a}k"));
}

TEST_F(RefusedKeyTest, ManyThatItNeverTakesAreGivenUpAsSoonAsOne) {
  constexpr uint64_t kMany = 60;  // That are tried again in the same millisecond.
  Wire("eu").mode = StoreWire::Mode::kRefused;
  Run(absl::Seconds(1));
  for (uint64_t i = 0; i < kMany; ++i) {
    const std::string key = absl::StrCat("{a}k", i);
    Wire("us").refused[key] = absl::InternalError("its script fails");
    world_.Set("us", key, "new");
    Run(absl::Milliseconds(10));
    Store("us").Evict("task", key);
  }
  Run(absl::Seconds(1));
  Wire("eu").mode = StoreWire::Mode::kOpen;
  for (int i = 0; i < 500 && link().owed_drops == 0; ++i) Run(absl::Milliseconds(10));
  EXPECT_GE(link().owed_drops, 1u);
  Run(absl::Seconds(30));
  EXPECT_EQ(link().owed_drops, 0u);
  EXPECT_EQ(link().dropped_total, kMany);
}

// --- What is counted.

TEST_F(RefusedKeyTest, ChangesAreCountedWhenTheyCrossHoweverOftenTheyAreTried) {
  WriteAndEvict("{a}gone");
  WriteAndEvict("{a}foreign");
  Wire("us").refused["{a}foreign"] = absl::FailedPreconditionError("a foreign type");
  Wire("eu").refused["{a}bad"] = absl::InvalidArgumentError("a foreign type");
  world_.Set("us", "{a}bad", "v");
  for (const char* key : {"{a}gone", "{a}foreign"}) Wire("eu").refused[key] = kRefusals[0];
  Run(absl::Minutes(1));
  EXPECT_EQ(link().refused_slots, 1u);
  for (const char* key : {"{a}gone", "{a}foreign"}) Wire("eu").refused.erase(key);
  Run(absl::Seconds(10));
  EXPECT_EQ(link().refused_slots, 0u);
  EXPECT_EQ(link().gone_total, 2u);
  EXPECT_EQ(link().dropped_total, 2u) << "here, and there";
  EXPECT_EQ(world_.node("us").observer.gone, 2);
  EXPECT_EQ(world_.node("us").observer.dropped, 2);
}

// --- What is refused no longer.

TEST_F(RefusedKeyTest, ASlotOfWhichNothingWaitsAnyMoreIsNotRefused) {
  Wire("eu").full = kRefusals[0];
  Wire("eu").full_slots = {Slot("{a}k")};
  world_.Set("us", "{a}k", "v");
  Run(absl::Seconds(5));
  ASSERT_EQ(link().refused_slots, 1u);
  // A former owner brought it across.
  Store("eu").ApplyReplicated("us", Slot("{a}k"), EndOf("{a}k"), {}, absl::InfiniteFuture(),
                              [](const std::vector<L2WriteResult>&) {});
  Wire("eu").mode = StoreWire::Mode::kRefused;
  world_.Set("us", "{b}k", "v");
  Run(absl::Seconds(5));
  Wire("eu").mode = StoreWire::Mode::kOpen;
  Run(absl::Seconds(5));
  EXPECT_EQ(link().refused_slots, 0u);
  EXPECT_EQ(link().problem, "");
  ExpectNoProbes();
}

// --- A cluster one of whose servers takes nothing, and another one is gone.

TEST_F(RefusedKeyTest, WhetherAnythingIsTakenIsNotAskedOfAServerThatIsAway) {
  Wire("eu").full = kRefusals[0];
  Wire("eu").full_slots = {Slot("{a}k")};
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {  // All but one, which is idle.
    if (slot != Slot("{a}k") && slot != Slot("{b}k")) Wire("eu").away.insert(slot);
  }
  Run(absl::Seconds(5));
  world_.Set("us", "{a}k", "v");
  Run(absl::Seconds(1));
  world_.node("us").observer.states.clear();
  Run(absl::Minutes(1));
  EXPECT_EQ(link().refused_slots, 1u);
  EXPECT_THAT(world_.node("us").observer.states["eu"], ::testing::IsEmpty());
  EXPECT_NE(link().state, LinkState::kDisconnected) << link().problem;
}

// --- Bounds.

TEST_F(RefusedKeyTest, NoMoreIsOwedThanThereIsRoomFor) {
  TaskGate gate(world_.executor);
  std::set<uint32_t> paid;
  std::optional<uint32_t> lost;
  OwnDrops drops(
      "us", Wire("us"), gate, world_.clock, absl::Seconds(5), OwnDrops::kMost, 1,
      [&](uint32_t slot) { return slot != lost; }, [&](uint32_t slot) { paid.insert(slot); },
      [](const absl::Status&) { FAIL(); });
  std::vector<OwnDrop> many;
  for (size_t i = 0; i < OwnDrops::kMost; ++i) {
    many.push_back({{1, "task", absl::StrCat(i)}, Version{i + 1, 7}, absl::Minutes(5)});
  }
  Wire("us").full = kRefusals[0];
  std::optional<OwnDrops::Outcome> outcome;
  drops.Write(many, [&](const OwnDrops::Outcome& ended) { outcome = ended; });
  Run(absl::Milliseconds(50));
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->no_room.empty());
  drops.Write({{{2, "task", "k"}, Version{9, 7}, absl::Minutes(5)}, many.front()},
              [&](const OwnDrops::Outcome& ended) { outcome = ended; });
  Run(absl::Milliseconds(50));
  EXPECT_EQ(outcome->owing, (std::set<uint32_t>{1}));
  EXPECT_EQ(outcome->no_room, (std::set<uint32_t>{2})) << "the other one was owed already";
  EXPECT_EQ(drops.owed(), OwnDrops::kMost);
  Wire("us").full = absl::OkStatus();
  Run(absl::Minutes(1));
  EXPECT_EQ(drops.owed(), 0u);
  EXPECT_EQ(paid, (std::set<uint32_t>{1}));

  Wire("us").full = kRefusals[0];
  drops.Write({{{2, "task", "k"}, Version{9, 7}, absl::Minutes(5)}},
              [&](const OwnDrops::Outcome& ended) { outcome = ended; });
  lost = 2;
  drops.Forget(2);
  Run(absl::Milliseconds(50));
  EXPECT_TRUE(outcome->owing.empty()) << "the slot is somebody else's";
  EXPECT_EQ(drops.owed(), 0u);
  gate.Close();
}

}  // namespace
}  // namespace meridian
