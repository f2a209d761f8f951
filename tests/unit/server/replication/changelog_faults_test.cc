// What L1 may serve while the way between a node and its regional Redis breaks in every manner:
// others write all the time, and no read may be older than the bound of docs/consistency.md. What
// nothing happens to is served all the while.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/engine/engine.h"
#include "server/node/record.h"
#include "server/replication/changelog_tail.h"
#include "server/replication/engine_coherence.h"
#include "server/replication/task_gate.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

constexpr int kSlots = 4;
constexpr int kKeysOfASlot = 3;
constexpr absl::Duration kMaxDelay = absl::Milliseconds(30);  // Of a call on its way.
// A call that nobody answers (2 s), the longest wait before the next (1 s and its jitter), and the
// calls that look for holes before what is new is read.
constexpr absl::Duration kBoundAfterAFault = absl::Milliseconds(3700);
// Two polls of two calls each, and the pause between them.
constexpr absl::Duration kBoundInQuietTimes = absl::Milliseconds(200);

class ChangelogFaults {
 public:
  explicit ChangelogFaults(uint64_t seed) : random_(seed) {
    std::vector<uint32_t> slots;
    for (int s = 0; s < kSlots; ++s) slots.push_back(SlotOf("task", Key(s, 0)));
    std::sort(slots.begin(), slots.end());
    tail_.SetOwned(slots);
    tail_.Start();
  }

  // A log that was empty when it was followed, and has something after a fault, may have been
  // trimmed: its slot is dropped.
  void WriteToEverySlot() {
    for (int s = 0; s < kSlots; ++s) Write(Key(s, 0));
    Wait(absl::Seconds(1));
  }

  // Faults, as many and as long as chance will have it.
  void RunWithFaults(int steps) {
    for (int i = 0; i < steps; ++i) {
      const double dice = Uniform();
      if (dice < 0.3) {
        Write();
      } else if (dice < 0.8) {
        Read();
      } else if (dice < 0.9) {
        ChangeTheWay();
      } else if (dice < 0.95) {
        Trim();
      } else {
        held_ ? Release() : Hold();
      }
      world_.executor.RunFor(absl::Milliseconds(Pick(20)));
    }
  }
  void Mend() {
    if (held_) Release();
    wire_.mode = StoreWire::Mode::kOpen;
    broken_until_ = Now();
  }
  void Wait(absl::Duration duration) { world_.executor.RunFor(duration); }
  void RunInQuiet(int steps) {
    for (int i = 0; i < steps; ++i) {
      Uniform() < 0.1 ? Write() : Read();
      world_.executor.RunFor(absl::Milliseconds(Pick(20)));
    }
  }

  int hits = 0;
  int reads = 0;
  int stale = 0;  // Reads of what was not the newest any more, within the bound.
  absl::Duration stalest = absl::ZeroDuration();
  absl::Duration bound = kBoundAfterAFault;
  // Logs are trimmed of the first so many slots.
  int trimmed_slots = kSlots;
  // Reads of what L1 has kept and nobody has written since, and those that missed it: in the slots
  // whose logs are trimmed, and in the others.
  struct Owed {
    int reads = 0;
    int missed = 0;
  };
  Owed owed_of_trimmed;
  Owed owed_of_others;
  size_t gaps() const { return observer_.tail_gaps.size(); }

 private:
  static std::string Key(int slot, int i) { return absl::StrCat("{", slot, "}", i); }
  absl::Duration Now() const { return world_.clock.Monotonic(); }
  double Uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  int Pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(random_); }
  std::string AnyKey() { return Key(Pick(kSlots), Pick(kKeysOfASlot)); }
  FakeL2Store& store() { return *world_.region("us").store; }
  bool broken() const { return held_ || wire_.mode != StoreWire::Mode::kOpen; }

  // As another node, or another region's link, does.
  void Write() { Write(AnyKey()); }
  void Write(const std::string& key) {
    const Version version = Uniform() < 0.3 ? world_.Delete("us", key) : world_.Set("us", key, "v");
    history_[key].push_back({version, Now()});
    owed_.erase(key);
  }

  void ChangeTheWay() {
    if (broken()) broken_until_ = Now();
    const double dice = Uniform();
    way_since_ = Now();
    wire_.mode = dice < 0.6   ? StoreWire::Mode::kOpen
                 : dice < 0.8 ? StoreWire::Mode::kRefused
                              : StoreWire::Mode::kSilent;
    wire_.delay = Uniform() * kMaxDelay;
  }
  // More than a log keeps (100,000 changes) is not written between two polls that are answered:
  // only while one was not.
  void Trim() {
    if (held_ || wire_.mode == StoreWire::Mode::kOpen) return;
    if (Now() - way_since_ < absl::Milliseconds(100)) return;
    store().TrimLog(SlotOf("task", Key(Pick(trimmed_slots), 0)), static_cast<size_t>(Pick(3)));
  }
  // The calls are carried out, and the answers come late, all at once.
  void Hold() {
    store().HoldReplies();
    held_ = true;
  }
  void Release() {
    store().ReleaseReplies();
    held_ = false;
    broken_until_ = Now();
  }

  void Read() {
    const int slot = Pick(kSlots);
    const std::string key = Key(slot, Pick(kKeysOfASlot));
    ++reads;
    const NamespaceId id = *engine_->InternNamespace("task");
    const EntryKey entry_key{.name_space = id,
                             .slot = SlotOf("task", key),
                             .hash = engine_->HashOf(id, key),
                             .key = key};
    Entry entry;
    const bool hit = engine_->Peek(entry_key, Now(), &entry);
    if (owed_.count(key) > 0) {
      Owed& owed = slot < trimmed_slots ? owed_of_trimmed : owed_of_others;
      ++owed.reads;
      owed.missed += hit ? 0 : 1;
    }
    if (hit) {
      ++hits;
      return Check(key, entry.version);
    }
    const FillToken token = engine_->BeginFill(entry_key);
    wire_.Fetch({{entry_key.slot, "task", key}}, world_.clock.Now() + absl::Seconds(2),
                [this, key, token](const std::vector<L2Record>& records) {
                  Fill(key, token, records.front());
                });
  }
  void Fill(const std::string& key, FillToken token, const L2Record& record) {
    if (!record.status.ok() || record.record.empty()) return;
    const absl::StatusOr<Record> parsed = ParseRecord(record.record.view());
    if (!parsed.ok() || parsed->kind != RecordKind::kValue) return;
    const NamespaceId id = *engine_->InternNamespace("task");
    Entry entry;
    entry.value = Buffer::CopyOf("v");
    entry.raw_size = 1;
    entry.version = parsed->version;
    entry.expires_at = Now() + absl::Hours(1);
    const PutOutcome outcome = engine_->PutFill({.name_space = id,
                                                 .slot = SlotOf("task", key),
                                                 .hash = engine_->HashOf(id, key),
                                                 .key = key},
                                                std::move(entry), Now(), token);
    const bool newest = history_[key].back().version == parsed->version;
    if (outcome == PutOutcome::kStored && newest) owed_.insert(key);
  }
  // Since when something newer was stored and could be heard of.
  void Check(const std::string& key, Version served) {
    for (const auto& [version, at] : history_[key]) {
      if (!(served < version)) continue;
      ++stale;
      const absl::Duration age = Now() - std::max(at, broken() ? Now() : broken_until_);
      stalest = std::max(stalest, age);
      ASSERT_LE(age, bound) << key << " at " << Now();
      return;
    }
  }

  struct Written {
    Version version;
    absl::Duration at;
  };

  std::mt19937_64 random_;
  ReplicationWorld world_{{"us"}};
  StoreWire& wire_ = *world_.node("us").wires["us"];
  RecordingObserver& observer_ = world_.node("us").observer;
  std::unique_ptr<Engine> engine_ =
      *Engine::Create({.capacity_bytes = size_t{1} << 20, .shard_bits = 0});
  HybridClock hybrid_clock_{world_.clock, RegionId("us")};
  EngineCoherence coherence_{*engine_, hybrid_clock_, world_.clock, observer_};
  TaskGate gate_{world_.executor};
  ChangelogTail tail_{ChangelogTailOptions(), wire_, gate_, world_.clock, observer_, {&coherence_}};
  std::map<std::string, std::vector<Written>> history_;  // In order.
  std::set<std::string> owed_;                           // What was kept, and not written since.
  bool held_ = false;
  absl::Duration way_since_ = absl::ZeroDuration();  // It is as it is now.
  absl::Duration broken_until_ = absl::ZeroDuration();
};

TEST(ChangelogFaultsTest, NoReadIsStalerThanTheBoundWhateverHappensToTheChangelog) {
  int stale = 0;
  size_t gaps = 0;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    ChangelogFaults faults(seed);
    for (int i = 0; i < 20; ++i) {
      faults.RunWithFaults(50);
      faults.Mend();
      faults.RunInQuiet(600);  // About 6 s: twice the bound.
      ASSERT_FALSE(testing::Test::HasFatalFailure());
    }
    EXPECT_GT(faults.hits, 100);
    stale += faults.stale;
    gaps += faults.gaps();
    faults.Wait(2 * kBoundAfterAFault);
    faults.bound = kBoundInQuietTimes;
    faults.hits = faults.reads = 0;
    faults.RunInQuiet(1000);
    ASSERT_FALSE(testing::Test::HasFatalFailure());
    EXPECT_GT(faults.hits, faults.reads / 3) << "three in ten keys are deleted ones";
  }
  EXPECT_GT(stale, 100) << "nothing was put to the test";
  EXPECT_GT(gaps, 0u);
}

// Holes in the logs of two slots, while the way to all of them breaks now and then: what is kept of
// the other two is a hit, every time.
TEST(ChangelogFaultsTest, HolesInTheLogsOfSomeSlotsCostNoHitInOthers) {
  ChangelogFaults::Owed trimmed;
  ChangelogFaults::Owed others;
  size_t gaps = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    ChangelogFaults faults(seed);
    faults.trimmed_slots = 2;
    faults.WriteToEverySlot();
    for (int i = 0; i < 20; ++i) {
      faults.RunWithFaults(100);
      ASSERT_FALSE(testing::Test::HasFatalFailure());
      faults.Mend();
      faults.RunInQuiet(300);
      ASSERT_FALSE(testing::Test::HasFatalFailure());
    }
    gaps += faults.gaps();
    trimmed.missed += faults.owed_of_trimmed.missed;
    others.reads += faults.owed_of_others.reads;
    EXPECT_EQ(faults.owed_of_others.missed, 0);
  }
  EXPECT_GT(others.reads, 10'000);
  EXPECT_GT(gaps, 20u);
  EXPECT_GT(trimmed.missed, 20) << "nothing was put to the test";
}

}  // namespace
}  // namespace meridian
