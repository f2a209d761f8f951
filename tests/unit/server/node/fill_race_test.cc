// A hundred thousand races of changes with loads that are under way, and as many more with leases
// and reads, by several threads: nobody is ever given what a change had made old before they asked,
// and one load of a key runs, and one lease is valid, while nothing newer happens to it.
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

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/base/hash.h"
#include "server/node/lease_token.h"
#include "server/replication/changelog_tail.h"
#include "server/replication/engine_coherence.h"
#include "server/replication/lease_waker.h"
#include "server/replication/task_gate.h"
#include "tests/unit/server/node/fill_race_parts.h"
#include "tests/unit/server/node/node_fixture.h"
#include "tests/unit/server/node/race_pool.h"

namespace meridian {
namespace {

#if defined(__SANITIZE_THREAD__)
constexpr int kDivisor = 20;
#elif defined(__SANITIZE_ADDRESS__)
constexpr int kDivisor = 10;
#else
constexpr int kDivisor = 1;
#endif
constexpr int kThreads = 3;
constexpr size_t kKeys = 6;
constexpr const char* kNames[kKeys] = {"p:a", "p:b", "p:c", "q:d", "q:e", "q:f"};
// Of the first, the fourth and the fifth.
constexpr bool kTagged[kKeys] = {true, false, false, true, true, false};

using Random = std::mt19937_64;

struct Kind {
  const char* name;
  bool origin;
  bool l1_only;
  int races;
  bool two_nodes = false;
  absl::Duration writer_ahead = absl::ZeroDuration();  // With two nodes: the other's clock.
};

class FillRaceTest : public testing::TestWithParam<Kind>, public Origins {
 protected:
  void SetUp() override {
    PolicyTable policies;
    const std::string origin =
        GetParam().origin
            ? "origin: {address: db:1, soft_timeout: 1ms, negative_ttl: 0}, refresh: {ahead: 20%}, "
            : "";
    const absl::Status read =
        policies.ReadText("p", absl::StrCat("task: {ttl: 8ms, ttl_jitter: 0, stale: {max: 30s}, ",
                                            origin, "lease_ttl: 15ms}"));
    ASSERT_TRUE(read.ok()) << read;
    L2Store& l2 = GetParam().l1_only ? static_cast<L2Store&>(no_l2_) : store_;
    node_ =
        std::make_unique<TestNode>("n0", clock_, l2, peers_, timers_, GetParam().l1_only, policies);
    if (GetParam().origin) node_->context().origins = this;
    Member self;
    self.id = "n0";
    node_->topology().Offer(*Topology::Create(1, "us", {self}));
    writer_ = node_.get();
    if (GetParam().two_nodes) {
      other_ = std::make_unique<TestNode>("n1", others_clock_, store_, to_reader_, others_timers_,
                                          false, policies);
      to_reader_.Connect(*node_, other_->versions());
      Member other;
      other.id = "n1";
      other.state = MemberState::kJoining;  // It owns nothing.
      other_->topology().Offer(*Topology::Create(1, "us", {self, other}));
      writer_ = other_.get();
    }
    store_.AnswerInTasks();
    if (!GetParam().l1_only) StartTail();
  }
  void TearDown() override { gate_.Close(); }

  // As Replication does it: L1, who waits for leases, and then who wants to know.
  void StartTail() {
    coherence_ =
        std::make_unique<EngineCoherence>(node_->engine(), node_->versions(), clock_, observer_);
    waker_ = std::make_unique<LeaseWaker>(node_->engine(), &node_->misses());
    heard_ = std::make_unique<Heard>(*this);
    ChangelogTailOptions options;
    options.active_interval = options.idle_interval = absl::Microseconds(100);
    options.read_limit = 10;
    tail_ = std::make_unique<ChangelogTail>(
        options, store_, gate_, clock_, observer_,
        std::vector<ChangeSink*>{coherence_.get(), waker_.get(), heard_.get()});
    std::vector<uint32_t> slots;
    for (const char* name : kNames) slots.push_back(SlotOf(kSpace, name));
    std::sort(slots.begin(), slots.end());
    gate_.Post([this, slots] {
      tail_->SetOwned(slots);
      tail_->Start();
    });
    Random random(7);
    while (gate_.Locked([this] { return tail_->followed(); }) < kKeys) pool_.RunOne(random);
  }

  void Fail(std::string what) {
    absl::MutexLock lock(&failures_mu_);
    if (failures_.size() < 10) failures_.push_back(std::move(what));
  }

  bool Failed() {
    absl::MutexLock lock(&failures_mu_);
    return !failures_.empty();
  }

  // The origin: a load reads the row when it begins or when it ends.
  void Load(const Namespace&, const NamespacePolicy&, std::vector<OriginKey> keys,
            OriginSink& sink) override {
    for (OriginKey& key : keys) BeginLoad(std::move(key), sink);
  }

  void BeginLoad(OriginKey key, OriginSink& sink) {
    const size_t index = IndexOf(key.key);
    RaceRow& row = rows_[index];
    ++row.open;
    const auto flight = std::static_pointer_cast<Flight>(key.ticket);
    const bool counted = flight->kind == FlightKind::kOwned;
    const RaceRow::Load load{row.events.load(), VersionOf(*flight)};
    if (counted) {
      absl::MutexLock lock(&row.mu);
      for (const RaceRow::Load& other : row.loads) {
        if (other.events == row.events && !row.busy &&
            row.newest <= std::min(load.version, other.version)) {
          Fail(absl::StrCat("two loads of ", key.key, ": of ", other.version, " and ", load.version,
                            ", the newest change is ", row.newest.load()));
        }
      }
      row.loads.push_back(load);
    }
    const int seen = row.value;
    {
      absl::MutexLock lock(&row.mu);
      row.seen.push_back({load.version, seen});
    }
    ++loads_;
    if (!counted) ++row.events;  // What it brings is newer than what others load.
    const bool early = loads_ % 2 == 0;
    pool_.Post([this, index, early, seen, load, counted, ticket = std::move(key.ticket), &sink] {
      RaceRow& at = rows_[index];
      const int value = early ? seen : at.value.load();
      NoteSeen(&at, load.version, value);
      pool_.Post([this, index, value, load, counted, ticket, &sink] {
        if (!counted) {
          EndEvent(&rows_[index], load.version);
        } else {
          absl::MutexLock lock(&rows_[index].mu);
          auto& loads = rows_[index].loads;
          loads.erase(std::find_if(loads.begin(), loads.end(), [&](const RaceRow::Load& one) {
            return one.version == load.version && one.events == load.events;
          }));
        }
        OriginAnswer answer;
        answer.ticket = ticket;
        answer.outcome = value % 7 == 0 ? LoadOutcome::kAbsent : LoadOutcome::kFound;
        if (value % 7 != 0) answer.value = std::to_string(value);
        if (kTagged[index]) answer.tags = {"t"};
        std::vector<OriginAnswer> answers;
        answers.push_back(std::move(answer));
        sink.OnLoaded(std::move(answers));
        --rows_[index].open;
      });
    });
  }

  static void NoteSeen(RaceRow* row, uint64_t version, int value) {
    absl::MutexLock lock(&row->mu);
    for (RaceRow::Seen& seen : row->seen) {
      if (seen.version == version) seen.value = std::max(seen.value, value);
    }
  }

  // The tail tells the node of a change. It counts when that is known to be one that has ended.
  void Hear(size_t index, uint64_t version) {
    RaceRow& row = rows_[index];
    absl::MutexLock lock(&row.mu);
    row.heard.insert(version);
    TellOf(index, &row);
  }
  void EndAround(size_t index, uint64_t version, int value) {
    RaceRow& row = rows_[index];
    absl::MutexLock lock(&row.mu);
    row.ended[version] = value;
    TellOf(index, &row);
  }
  void TellOf(size_t index, RaceRow* row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(row->mu) {
    for (auto it = row->ended.begin(); it != row->ended.end();) {
      const auto [version, value] = *it;
      if (row->heard.count(version) == 0) {
        ++it;
        continue;
      }
      it = row->ended.erase(it);
      Told(index, row, version, value);
    }
    // Others are fills, or sets of leases.
    while (row->heard.size() > 100) row->heard.erase(row->heard.begin());
  }
  // From now on nothing below `value` may be answered, unless a load that began before has a newer
  // version.
  void Told(size_t index, RaceRow* row, uint64_t version, int value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(row->mu) {
    bool stands = false;
    for (const RaceRow::Seen& seen : row->seen) {
      // Two nodes may give the same version: then the load's value is not stored, but whoever waits
      // for it is given it.
      if (seen.version < version || seen.value >= value) continue;
      stands = true;
      // Clocks of milliseconds, which differ.
      const absl::Duration by = Version{seen.version, 0}.time() - Version{version, 0}.time();
      if (by > std::max(-GetParam().writer_ahead, absl::ZeroDuration()) + absl::Milliseconds(1)) {
        Fail(absl::StrCat("a load of ", kNames[index], " that began before a change is newer by ",
                          absl::FormatDuration(by)));
      }
    }
    std::erase_if(row->seen,
                  [version](const RaceRow::Seen& seen) { return seen.version < version; });
    if (stands) {
      ++overtaken_;
      return;
    }
    ++row->told;
    int before = row->least;
    while (before < value && !row->least.compare_exchange_weak(before, value)) {
    }
  }

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

  static void EndEvent(RaceRow* row, uint64_t version) {
    uint64_t newest = row->newest;
    while (newest < version && !row->newest.compare_exchange_weak(newest, version)) {
    }
    ++row->events;
  }

  static uint64_t VersionOf(Flight& flight) {
    absl::MutexLock lock(&flight.mu);
    return flight.version.hlc;
  }

  static size_t IndexOf(std::string_view key) {
    for (size_t i = 0; i < kKeys; ++i) {
      if (key == kNames[i]) return i;
    }
    return kKeys;
  }

  struct Reading {
    ReadRequest request;
    std::vector<size_t> indexes;
    std::vector<int> least;
    std::vector<uint64_t> events;
  };

  void BeginRead(Random& random) {
    auto reading = std::make_shared<Reading>();
    const size_t count = random() % 4 == 0 ? 3 : 1;
    for (size_t i = 0; i < count; ++i) {
      const size_t index = random() % kKeys;
      reading->indexes.push_back(index);
      reading->events.push_back(rows_[index].events);
      reading->least.push_back(rows_[index].least);
      reading->request.keys.push_back(kNames[index]);
    }
    reading->request.name_space = kSpace;
    ReadOptions& options = reading->request.options;
    options.force_refresh = random() % 16 == 0;
    if (random() % 2 == 0) options.max_stale = absl::Seconds(20);
    options.want_lease = !GetParam().origin && random() % 4 != 0;
    // Some leave before the answer comes.
    reading->request.deadline =
        clock_.Now() + (random() % 8 == 0 ? absl::Milliseconds(7) : absl::Seconds(1));
    ++waiting_;
    node_->reads().Read(reading->request, [this, reading](std::vector<ReadResult> results) {
      for (size_t i = 0; i < results.size(); ++i) TakeResult(*reading, i, results[i]);
      --waiting_;
    });
  }

  void TakeResult(const Reading& reading, size_t i, const ReadResult& result) {
    const size_t index = reading.indexes[i];
    if (!result.lease.empty()) TakeLease(index, reading.events[i], result.lease);
    if (result.state != EntryState::kOk) return;
    const int value = std::stoi(std::string(result.value.view()));
    if (value < reading.least[i]) {
      Fail(absl::StrCat(kNames[index], " was ", value, result.stale ? " (stale)" : "", " of tier ",
                        static_cast<int>(result.tier), "; ", reading.least[i],
                        " was acknowledged before"));
    }
    ++(result.stale ? stale_ : rows_[index].checked);
  }

  // A holder reads the database, some time later, and fills the key some time after that; or dies.
  void TakeLease(size_t index, uint64_t events, std::string lease) {
    RaceRow& row = rows_[index];
    const std::optional<LeaseToken> token =
        ParseLeaseToken(lease, kSpace, kNames[index], clock_.Now());
    ASSERT_TRUE(token.has_value());
    ++leases_;
    {
      absl::MutexLock lock(&row.mu);
      const RaceRow::Lease other = row.lease;
      if (other.version != 0 && other.version < token->version.hlc &&
          token->version.time() < other.end - absl::Milliseconds(2) && other.events == row.events &&
          !row.busy) {
        Fail(absl::StrCat("two leases of ", kNames[index]));
      }
      if (other.version < token->version.hlc) {
        row.lease = {token->version.hlc, events, token->expires_at};
      }
    }
    ++row.open;
    pool_.Post([this, index, version = token->version.hlc, lease = std::move(lease)] {
      const int value = rows_[index].value;
      pool_.Post([this, index, version, value, lease] {
        RaceRow& at = rows_[index];
        --at.open;
        if (version % 16 == 3) return;  // It died.
        {
          absl::MutexLock lock(&at.mu);
          if (at.lease.version == version) at.lease.version = 0;
        }
        WriteItem item;
        item.lease = lease;
        Write(index, std::move(item), value, [this, index](const WriteResult& result) {
          ++(result.state == EntryState::kOk ? filled_ : lost_);
        });
      });
    });
  }

  // As `item` says, of a key and with a value.
  void Write(size_t index, WriteItem item, int value,
             std::function<void(const WriteResult&)> done) {
    struct Writing {
      std::string value;
      std::string lease;
      WriteRequest request;
    };
    auto writing = std::make_shared<Writing>();
    writing->value = std::to_string(value);
    writing->lease = std::string(item.lease);
    item.key = kNames[index];
    item.value = writing->value;
    item.lease = writing->lease;
    if (kTagged[index]) item.tags = {"t"};
    writing->request.name_space = kSpace;
    writing->request.items.push_back(std::move(item));
    writing->request.deadline = clock_.Now() + absl::Hours(1);
    ++waiting_;
    writer_->writes().Write(writing->request, [this, writing, done = std::move(done)](
                                                  std::vector<WriteResult> results) {
      done(results[0]);
      --waiting_;
    });
  }

  // The database changes, then the cache is told; when that has ended the old values are history.
  struct Change {
    std::vector<size_t> indexes;
    std::vector<int> values;
  };

  void BeginChange(Random& random) {
    const uint64_t what = random() % 16;
    const size_t one = random() % kKeys;
    auto change = std::make_shared<Change>();
    for (size_t i = 0; i < kKeys; ++i) {
      const bool in = what == 0   ? true
                      : what == 1 ? kNames[i][0] == 'p'
                      : what == 2 ? kTagged[i]
                                  : i == one;
      if (in) change->indexes.push_back(i);
    }
    for (size_t n = 0; n < change->indexes.size(); ++n) {
      if (!rows_[change->indexes[n]].busy.exchange(true)) continue;
      while (n-- > 0) rows_[change->indexes[n]].busy = false;
      return;
    }
    for (const size_t index : change->indexes) {
      RaceRow& row = rows_[index];
      ++row.events;
      if (row.open > 0) {
        ++row.races;
        ++races_;
      }
      change->values.push_back(++row.value);
    }
    if (what <= 2) {
      FenceRequest fence;
      fence.name_space = kSpace;
      fence.scope = what == 0   ? FenceScope::kNamespace
                    : what == 1 ? FenceScope::kPrefix
                                : FenceScope::kTag;
      fence.name = what == 0 ? "" : what == 1 ? "p:" : "t";
      fence.deadline = clock_.Now() + absl::Hours(1);
      ++waiting_;
      writer_->fence_path().Invalidate(std::move(fence), [this, change](FenceResult result) {
        EndChange(*change, result.result);
        --waiting_;
      });
      return;
    }
    WriteItem item;
    const bool set = what == 3 && change->values[0] % 7 != 0;
    if (!set) item.kind = WriteKind::kInvalidate;
    Write(one, std::move(item), change->values[0],
          [this, change](const WriteResult& result) { EndChange(*change, result); });
  }

  void EndChange(const Change& change, const WriteResult& result) {
    const bool ok = result.state == EntryState::kOk;
    if (!ok) Fail(absl::StrCat("a change failed: ", result.error->message));
    const bool told_later = GetParam().two_nodes && change.indexes.size() == 1;
    for (size_t n = 0; n < change.indexes.size(); ++n) {
      RaceRow& row = rows_[change.indexes[n]];
      // One change at a time. What went around the node is told later.
      if (ok && told_later) EndAround(change.indexes[n], result.version.hlc, change.values[n]);
      if (ok && !told_later) {
        int before = row.least;
        while (before < change.values[n] &&
               !row.least.compare_exchange_weak(before, change.values[n])) {
        }
      }
      EndEvent(&row, result.version.hlc);
      row.busy = false;
    }
  }

  bool RunOne(Random& random) {
    return pool_.RunOne(random) || strand_.RunOne(random) || others_strand_.RunOne(random);
  }

  void Step(Random& random) {
    const uint64_t what = random() % 32;
    if (waiting_ > 100 || what < 16) {
      if (RunOne(random)) return;
      clock_.Advance(absl::Microseconds(10));  // Who waits may wait for time alone.
    } else if (what < 18) {
      strand_.RunOne(random);
      others_strand_.RunOne(random);
    } else if (what == 18) {
      clock_.Advance(absl::Microseconds(static_cast<int64_t>(random() % 200)));
    } else if (what == 19) {
      // Of keys that nobody reads: they share counters with those above.
      for (uint64_t n = 0; n < 4; ++n) {
        const std::string other = absl::StrCat("other ", random() % 5000);
        node_->engine().Erase(node_->KeyOf(other), node_->versions().Next());
      }
    } else if (what < 28) {
      BeginChange(random);
    } else {
      BeginRead(random);
    }
  }

  // Everything that is under way ends.
  void Drain(Random& random) {
    for (int rest = 0; rest < 50;) {
      if (RunOne(random)) continue;
      clock_.Advance(absl::Milliseconds(200));
      rest = waiting_ == 0 ? rest + 1 : 0;
    }
  }

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

TEST_P(FillRaceTest, NobodyIsGivenWhatWasOldBeforeTheyAsked) {
  const int races = GetParam().races / kDivisor;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t, races] {
      Random random(static_cast<uint64_t>(t) + 1);
      while (races_ < races && !Failed()) Step(random);
    });
  }
  for (std::thread& thread : threads) thread.join();
  Random random(99);
  if (!Failed()) Drain(random);
  absl::MutexLock lock(&failures_mu_);
  EXPECT_THAT(failures_, testing::IsEmpty());
  if (!failures_.empty()) return;
  RecordProperty("races", races_);
  RecordProperty("stale", stale_);
  EXPECT_EQ(node_->misses().flights().size(), 0);
  EXPECT_EQ(node_->misses().flights().waiters(), 0);
  EXPECT_EQ(node_->misses().flights().leased(), 0);
  // The test must test something.
  const int of_a_key = races / static_cast<int>(kKeys);
  for (size_t i = 0; i < kKeys; ++i) {
    SCOPED_TRACE(kNames[i]);
    EXPECT_GT(rows_[i].races, of_a_key / 4);
    EXPECT_GT(rows_[i].checked, of_a_key / 20);
    if (GetParam().two_nodes) {
      EXPECT_GT(rows_[i].told, of_a_key / 10);
    }
  }
  EXPECT_GT(GetParam().origin ? loads_ : leases_, races / 20);
  if (GetParam().two_nodes && kDivisor == 1) {
    RecordProperty("overtaken", overtaken_);
    if (GetParam().writer_ahead < absl::ZeroDuration()) {
      EXPECT_GT(overtaken_, 10);
    }
  }
  if (!GetParam().origin) {
    EXPECT_GT(filled_, races / 100);
    EXPECT_GT(lost_, races / 100);
  }
  if (!GetParam().l1_only && !GetParam().two_nodes && kDivisor == 1) {
    EXPECT_GT(stale_, races / 1000);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, FillRaceTest,
                         testing::Values(Kind{"Origin", true, false, 100'000},
                                         Kind{"OriginOfAnotherNodesWriter", true, false, 15'000,
                                              /*two_nodes=*/true},
                                         Kind{"OriginOfAWriterWhoseClockIsBehind", true, false,
                                              15'000, /*two_nodes=*/true, absl::Milliseconds(-2)},
                                         Kind{"OriginOfAWriterWhoseClockIsAhead", true, false,
                                              15'000, /*two_nodes=*/true, absl::Milliseconds(2)},
                                         Kind{"Lease", false, false, 50'000},
                                         Kind{"OriginWithoutRedis", true, true, 5'000},
                                         Kind{"LeaseWithoutRedis", false, true, 5'000}),
                         [](const testing::TestParamInfo<Kind>& kind) { return kind.param.name; });

}  // namespace
}  // namespace meridian
