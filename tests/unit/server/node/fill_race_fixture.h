// FillRaceTest is a node whose keys are loaded, leased, read and changed by several threads, and
// what is known to be old of each key, and since when.
//
// The reading node follows the store's changelog with the tail that a node has. With two nodes, one
// reads and loads, and the other, which cannot reach it, changes around it: that becomes old when
// the tail has told it. Fences are in force there when they are done. The clocks of the two differ,
// and nobody brings them together but the store and the fences: so a load that began before such a
// change may have a newer version, by no more than the clocks differ, and its value then stands.
//
// The store, the origin and the holders of leases take their time, each by itself and in any order:
// what they read or do, and when that is heard of, are tasks that any thread runs. So are the
// timers, one at a time. Time is moved by the threads.
//
// Its parts have files of their own: fill_race_callers.cc has those who read, hold leases and
// change things, fill_race_judge.cc the origin and what may still be answered.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_NODE_FILL_RACE_FIXTURE_H_
#define MERIDIAN_TESTS_UNIT_SERVER_NODE_FILL_RACE_FIXTURE_H_

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/base/hash.h"
#include "server/replication/changelog_tail.h"
#include "server/replication/engine_coherence.h"
#include "server/replication/lease_waker.h"
#include "server/replication/task_gate.h"
#include "tests/unit/server/node/fill_race_parts.h"
#include "tests/unit/server/node/node_fixture.h"
#include "tests/unit/server/node/race_pool.h"

namespace meridian {

inline constexpr size_t kKeys = 6;
inline constexpr const char* kNames[kKeys] = {"p:a", "p:b", "p:c", "q:d", "q:e", "q:f"};
// Of the first, the fourth and the fifth.
inline constexpr bool kTagged[kKeys] = {true, false, false, true, true, false};

// What of a node a test is about.
struct RaceKind {
  const char* name;
  bool origin;
  bool l1_only;
  int races;
  bool two_nodes = false;
  absl::Duration writer_ahead = absl::ZeroDuration();  // With two nodes: the other's clock.
};

class FillRaceTest : public testing::TestWithParam<RaceKind>, public Origins {
 protected:
  using Random = std::mt19937_64;

  void SetUp() override;
  void TearDown() override { gate_.Close(); }

  // As Replication does it: L1, who waits for leases, and then who wants to know.
  void StartTail();

  void Fail(std::string what);
  bool Failed();
  std::string TooFew(int races) const;

  // The origin: a load reads the row when it begins or when it ends.
  void Load(const Namespace&, const NamespacePolicy&, std::vector<OriginKey> keys,
            OriginSink& sink) override;
  void BeginLoad(OriginKey key, OriginSink& sink);
  static void NoteSeen(RaceRow* row, uint64_t version, int value);

  // The tail tells the node of a change. It counts when that is known to be one that has ended.
  void Hear(size_t index, uint64_t version);
  void EndAround(size_t index, uint64_t version, int value);
  void TellOf(size_t index, RaceRow* row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(row->mu);
  // From now on nothing below `value` may be answered, unless a load that began before has a newer
  // version.
  void Told(size_t index, RaceRow* row, uint64_t version, int value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(row->mu);

  // What the tail tells, behind the sinks of the node.
  class Heard final : public ChangeSink {
   public:
    explicit Heard(FillRaceTest& test) : test_(test) {}
    void OnSlotGained(uint32_t, LogPosition) override {}
    void OnSlotLost(uint32_t) override {}
    void OnChanges(LogPosition, const LogSlice& slice) override {
      for (const LogEntry& entry : slice.entries) {
        const size_t index = IndexOf(entry.key);
        if (index < kKeys) test_.Hear(index, entry.version.hlc);
      }
    }
    void OnGap(uint32_t slot, GapKind) override { test_.Fail(absl::StrCat("a gap in ", slot)); }
    void OnLoss(const SlotLoss& loss) override {
      if (loss.rewound || !loss.lost.empty()) test_.Fail(absl::StrCat("a loss in ", loss.slot));
    }

   private:
    FillRaceTest& test_;
  };

  static void EndEvent(RaceRow* row, uint64_t version);
  static uint64_t VersionOf(Flight& flight);
  static size_t IndexOf(std::string_view key);

  struct Reading {
    ReadRequest request;
    std::vector<size_t> indexes;
    std::vector<int> least;
    std::vector<uint64_t> events;
  };

  void BeginRead(Random& random);
  void TakeResult(const Reading& reading, size_t i, const ReadResult& result);
  // A holder reads the database, some time later, and fills the key some time after that; or dies.
  void TakeLease(size_t index, uint64_t events, std::string lease);
  // As `item` says, of a key and with a value.
  void Write(size_t index, WriteItem item, int value, std::function<void(const WriteResult&)> done);

  // The database changes, then the cache is told; when that has ended the old values are history.
  struct Change {
    std::vector<size_t> indexes;
    std::vector<int> values;
  };

  void BeginChange(Random& random);
  void EndChange(const Change& change, const WriteResult& result);

  bool RunOne(Random& random);
  void Step(Random& random);
  // Everything that is under way ends.
  void Drain(Random& random);

  FakeClock clock_;
  RacePool pool_{clock_, /*one_at_a_time=*/false};
  RacePool strand_{clock_, /*one_at_a_time=*/true};
  TimerQueue timers_{clock_, strand_};
  const OtherClock others_clock_{clock_, GetParam().writer_ahead};
  RacePool others_strand_{others_clock_, /*one_at_a_time=*/true};
  TimerQueue others_timers_{others_clock_, others_strand_};
  FakeL2Store store_{clock_, pool_};
  NoL2 no_l2_;
  FakePeerTransport peers_;
  std::unique_ptr<TestNode> node_;
  FencesOnly to_reader_;
  std::unique_ptr<TestNode> other_;
  TestNode* writer_ = nullptr;  // That carries changes out.
  TaskGate gate_{pool_};
  ReplicationObserver observer_;
  std::unique_ptr<EngineCoherence> coherence_;
  std::unique_ptr<LeaseWaker> waker_;
  std::unique_ptr<Heard> heard_;
  std::unique_ptr<ChangelogTail> tail_;
  std::array<RaceRow, kKeys> rows_;
  std::atomic<int> waiting_{0};
  std::atomic<int> races_{0};
  std::atomic<int> overtaken_{0};  // Changes around the node that a load's version was ahead of.
  std::atomic<int> loads_{0};
  std::atomic<int> leases_{0};
  std::atomic<int> filled_{0};
  std::atomic<int> lost_{0};
  std::atomic<int> stale_{0};
  absl::Mutex failures_mu_;
  std::vector<std::string> failures_ ABSL_GUARDED_BY(failures_mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_NODE_FILL_RACE_FIXTURE_H_
