// What fill_race_test.cc is made of: what it knows of a key, another machine's clock, and the way
// between two nodes.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_NODE_FILL_RACE_PARTS_H_
#define MERIDIAN_TESTS_UNIT_SERVER_NODE_FILL_RACE_PARTS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "tests/unit/server/node/node_fixture.h"

namespace meridian {

// What the test knows of one key.
struct RaceRow {
  std::atomic<int> value{1};        // The database's.
  std::atomic<int> least{0};        // The oldest that may be answered to who asks now.
  std::atomic<bool> busy{false};    // A change of it is under way; one at a time.
  std::atomic<uint64_t> events{0};  // Begins and ends of changes.
  std::atomic<uint64_t> newest{0};  // The clock of the newest change that has ended.
  std::atomic<int> open{0};         // Loads and leases under way.
  absl::Mutex mu;
  // Loads under way, but forced ones.
  struct Load {
    uint64_t events;
    uint64_t version;
  };
  std::vector<Load> loads ABSL_GUARDED_BY(mu);
  // What loads have read, or the least that they may read; of those whose version may still be
  // newer than a change's.
  struct Seen {
    uint64_t version;
    int value;
  };
  std::vector<Seen> seen ABSL_GUARDED_BY(mu);
  // Changes around the node: those that have ended, and those that the tail has told, until it is
  // both.
  std::map<uint64_t, int> ended ABSL_GUARDED_BY(mu);
  std::set<uint64_t> heard ABSL_GUARDED_BY(mu);
  // The test must test something, of every key.
  std::atomic<int> races{0};
  std::atomic<int> checked{0};
  std::atomic<int> told{0};  // Changes around the node that it has heard of, and that count.
  struct Lease {
    uint64_t version = 0;  // 0: none that is valid and unused.
    uint64_t events = 0;   // When its holder asked.
    absl::Time end;
  };
  Lease lease ABSL_GUARDED_BY(mu);
};

// Another machine's clock.
class OtherClock final : public Clock {
 public:
  OtherClock(const Clock& clock, absl::Duration ahead) : clock_(clock), ahead_(ahead) {}
  absl::Time Now() const override { return clock_.Now() + ahead_; }
  absl::Duration Monotonic() const override { return clock_.Monotonic() + absl::Hours(7); }

 private:
  const Clock& clock_;
  const absl::Duration ahead_;
};

// To the node that reads: fences and clocks go through, and nothing else.
class FencesOnly final : public PeerTransport {
 public:
  void Connect(TestNode& to, HybridClock& asker) {
    to_ = &to;
    asker_ = &asker;
  }
  void Read(const Member&, const PeerRead&, absl::Time, ReadReplyCallback callback) override {
    callback({Away(), {}, std::nullopt});
  }
  void Write(const Member&, const PeerWrite&, absl::Time, WriteReplyCallback callback) override {
    callback({Away(), {}, std::nullopt});
  }
  void Explain(const Member&, std::string_view, std::string_view, Tiers, absl::Time,
               ExplainReplyCallback callback) override {
    callback(Away());
  }
  void GetFence(const Member&, const Fence&, absl::Time, ClockCallback callback) override {
    callback(Away());
  }
  void Ping(const Member&, uint64_t, absl::Time, AnswerCallback callback) override {
    (void)to_->versions().Merge(asker_->last());  // Its request says it.
    callback({asker_->Merge(to_->versions().last()), 0, std::nullopt});
  }
  void PushFence(const Member&, uint64_t, const Fence& fence, absl::Time,
                 AnswerCallback callback) override {
    const absl::StatusOr<uint64_t> learned = to_->context().fences->LearnPushed(fence);
    callback({learned.status(), learned.value_or(0), std::nullopt});
  }

 private:
  static absl::Status Away() { return absl::UnavailableError("away"); }

  TestNode* to_ = nullptr;
  HybridClock* asker_ = nullptr;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_NODE_FILL_RACE_PARTS_H_
