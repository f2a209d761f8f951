// HeatTable is what a node knows of the hot keys of the slots that it owns: the digest of each, and
// how much of it L1 has. From that comes the node's warmth.
//
// A slot is known when its digest was read, or when there is none; followed when the changelog's
// tail follows it, so that L1 keeps what it gets; settled when nothing of it waits to be refilled.
// Warmth: the weight of the keys that L1 has, in all of the weight, of known slots, times the share
// of owned slots that are known. Keys that L2 no longer has are not expected.
// Cost: a digest a slot, 8 MiB in all at most; Update looks at every owned slot.
// Thread safety: warmth(), expected() and owned() may be called by any thread; the rest runs behind
//   the gate of its owner.

#ifndef MERIDIAN_SERVER_REFILL_HEAT_TABLE_H_
#define MERIDIAN_SERVER_REFILL_HEAT_TABLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/time/time.h"
#include "common/base/hash.h"
#include "server/refill/heat_digest.h"

namespace meridian {

class HeatTable {
 public:
  struct Slot {
    uint64_t generation = 0;  // Tells it from the same slot before it was lost, or dropped.
    bool known = false;
    bool followed = false;
    size_t waiting = 0;  // Keys that are to be refilled.
    HeatDigest digest;
    uint32_t resident = 0;    // Weight of the digest's keys that L1 has,
    uint32_t gone = 0;        // and of those that cannot come.
    absl::Duration faded_at;  // What its keys weighed before was halved.
    bool was_saved = false;   // L2 has a digest of this node's,
    bool saved = false;       // and it is this one, since
    absl::Duration saved_at;

    bool settled() const { return known && followed && waiting == 0; }
  };

  HeatTable() : followed_(kSlotCount, false) {}

  // The slots that the node owns from now on. Those that it did not own before are not known.
  void SetOwned(const std::vector<uint32_t>& slots);
  // The tail (again) follows the slot, whose L1 was dropped; or no longer does.
  void SetFollowed(uint32_t slot, bool followed);

  std::map<uint32_t, Slot>& slots() { return slots_; }
  Slot* Find(uint32_t slot);
  Slot* Find(uint32_t slot, uint64_t generation);
  bool AllSettled() const;

  // After changes of slots: what the others show.
  void Update();

  double warmth() const { return warmth_.load(std::memory_order_relaxed); }
  // Keys of digests that L1 is expected to have, all together.
  size_t expected() const { return expected_.load(std::memory_order_relaxed); }
  size_t owned() const { return owned_.load(std::memory_order_relaxed); }

 private:
  uint64_t next_generation_ = 1;
  std::map<uint32_t, Slot> slots_;  // That are owned.
  std::vector<bool> followed_;      // The tail's word, which may come before the topology's.
  std::atomic<double> warmth_{0};
  std::atomic<size_t> expected_{0};
  std::atomic<size_t> owned_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REFILL_HEAT_TABLE_H_
