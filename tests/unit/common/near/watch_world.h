// WatchWorld is both ends of Watch with everything bad in between: messages are lost, doubled,
// reordered and late, streams break, rings are overrun, tails stall, nodes restart and slots move,
// or are away with the server that keeps them. The owners are no better: they answer what their L1
// has, which may be old, and tell changes and fences late, twice, in any order, or only that some
// are missing. Some of their writes time out, are told as doubtful, and are carried out later or
// never.
//
// Whatever happens, a read that shows a value which was replaced or fenced longer ago than the
// stated bound fails the test. What is owed by slots that nothing happens to is counted (Calm).

#ifndef MERIDIAN_TESTS_UNIT_COMMON_NEAR_WATCH_WORLD_H_
#define MERIDIAN_TESTS_UNIT_COMMON_NEAR_WATCH_WORLD_H_

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/near/near_cache.h"
#include "common/near/watch_follower.h"
#include "server/node/watch_hub.h"
#include "tests/support/fake_clock.h"

namespace meridian {

class WatchWorld {
 public:
  // How likely bad things are, 0 to 1.
  struct Troubles {
    std::array<double, 2> owners = {0, 0};  // To an owner, and to the stream from it.
    double moves = 0;                       // Of slots between the two.
    double servers = 0;                     // Of slots that are away with a server.

    static Troubles All(double trouble) { return {{trouble, trouble}, trouble, trouble}; }
  };
  // Reads of keys in slots of an owner that has no troubles, which have neither moved nor been away
  // since the beginning.
  struct Calm {
    int reads = 0;  // Of what is not dead.
    int hits = 0;
    int owed = 0;    // Of what the near cache has kept, and nothing has overtaken since.
    int missed = 0;  // Of `owed`.
  };

  explicit WatchWorld(uint32_t seed);

  // One step of time. For Calm the troubles must be the same in every step.
  void Step(const Troubles& troubles);

  int hits() const { return hits_; }
  int reads() const { return reads_; }
  const Calm& calm() const { return calm_; }
  void ResetCounts() { hits_ = reads_ = 0; }

 private:
  // A change of a key, or a fence.
  struct Change {
    std::string key;  // Empty: a fence.
    FenceScope scope = FenceScope::kNamespace;
    std::string name;
    uint64_t hlc = 0;
  };
  // An owner: one process after the other behind one address.
  struct Owner {
    std::unique_ptr<WatchHub> hub;
    uint64_t incarnation = 0;
    bool stalled = false;                // Its tail hears nothing.
    std::vector<Change> untold;          // What it would have heard.
    std::deque<Change> told;             // The last of what it has told.
    std::vector<Change> fences;          // That it knows.
    std::map<std::string, uint64_t> l1;  // What it answers; else it asks the store.
    std::set<uint32_t> away;             // Slots of a server that it does not reach.
  };
  // A write that nobody knows of yet.
  struct Doubt {
    absl::Duration at;
    Change change;
  };
  // A message on its way.
  struct Sent {
    absl::Duration arrives;
    cache::v1::WatchResponse message;
  };
  // The client's side of one address.
  struct Link {
    std::unique_ptr<WatchFollower> follower;
    std::optional<WatchHub::Reader> reader;
    WatchHub* hub = nullptr;  // Of `reader`: it may be dead.
    std::vector<Sent> on_the_way;
  };
  // A value that was asked for.
  struct Fill {
    std::string key;
    EntryKey located;
    NearCache::Token token;
    absl::Duration begun;
    absl::Duration answered;  // When the owner looks.
    absl::Duration arrives;
    bool looked = false;
    uint64_t hlc = 0;
    uint64_t incarnation = 0;
  };

  int Random(int below) { return static_cast<int>(random_() % static_cast<uint32_t>(below)); }
  bool Chance(double p) { return std::uniform_real_distribution<double>(0, 1)(random_) < p; }
  size_t RandomOwner() { return static_cast<size_t>(Random(2)); }
  const std::string& RandomKey();
  absl::Duration Late(double trouble);
  uint32_t SlotOfKey(const std::string& key) const;
  size_t OwnerOf(const std::string& key) const { return owner_of_.at(SlotOfKey(key)); }

  void SetTruth(const std::string& key) { SetTruth(key, next_hlc_++); }
  void SetTruth(const std::string& key, uint64_t hlc);
  // What is kept of the key may be gone from now on.
  void Disturb(const std::string& key);
  // When the version that came after `hlc` was written.
  absl::Duration FirstAfter(const std::string& key, uint64_t hlc);

  void WriteSomething();
  // The store did not answer; what it does with the write it does later.
  void TimeOut(Owner& owner, const std::string& key);
  void CarryOutLate();
  // A node that stands still hears of a fence when it goes on; the caller was told so.
  void FenceSomething();
  bool Covers(const Change& fence, const std::string& key, uint64_t hlc) const;

  // As the node does it: L1 first, then those who follow. A copy: it may be one of `told`, which
  // forgets.
  void Tell(Owner& owner, Change change);
  // Changes of the slot may be missing.
  void Gap(Owner& owner, uint32_t slot);
  // The tail's poll.
  void Poll(Owner& owner, double trouble);

  // Nobody here hears what others do to half of its slots; it tells so, and of the rest all is
  // known.
  void LoseServer(Owner& owner);
  // What the logs have is told before the slots are followed again.
  void ServerIsBack(Owner& owner);
  void MoveSlot();
  void Restart(size_t i);

  // The client hears who owns what.
  void Route();
  void BreakStream(size_t i);
  void Deliver(size_t i, double trouble);
  void ReadSomething();
  void Answer();
  bool IsCalm(const std::string& key) const;
  void CountCalm(const std::string& key, bool dead, bool hit);

  FakeClock clock_;
  std::mt19937 random_;
  Troubles troubles_;
  std::unique_ptr<NearCache> cache_;
  std::vector<std::string> keys_;
  std::map<std::string, std::string> tag_of_;
  std::map<std::string, uint64_t> truth_;                  // The newest version of each key.
  std::vector<std::pair<Change, absl::Duration>> fenced_;  // And when.
  std::map<std::string, std::map<uint64_t, absl::Duration>> history_;  // When each was written.
  std::map<uint32_t, size_t> owner_of_;                                // Slots of our keys alone.
  std::set<uint32_t> touched_;  // Slots that have moved, or been away.
  std::map<std::string, absl::Duration> disturbed_;
  std::set<std::string> owed_;  // What is kept, and nothing has disturbed since.
  std::array<Owner, 2> owners_;
  std::array<Link, 2> links_;
  std::vector<std::unique_ptr<WatchHub>> dead_;  // Frozen, rather: streams may still refer to them.
  std::vector<Fill> fills_;
  std::vector<Doubt> in_doubt_;
  uint64_t next_hlc_ = 1000;
  uint64_t last_incarnation_ = 0;
  int hits_ = 0;
  int reads_ = 0;
  Calm calm_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_COMMON_NEAR_WATCH_WORLD_H_
