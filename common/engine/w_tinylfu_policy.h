// WTinyLfuPolicy lets newcomers into a window; what leaves the window must have been asked for more
// often than the main region's oldest to take its place.
//
// W-TinyLFU (Einziger, Friedman, Manes, "TinyLFU: a highly efficient cache admission policy", ACM
// TOS 2017) as Caffeine 3 has it: the window and the main region are LRU, the main one in two
// segments (probation, and protected for four fifths, which a hit leads to); a 4-bit sketch
// compares. The window begins with a hundredth, and a hill climber (Einziger, Eytan, Friedman,
// Manes, "Adaptive software cache management", Middleware 2018) moves its share by a sixteenth as
// long as the hit rate grows, in steps that fade until it changes by a twentieth. Of the candidates
// that are frequent but lose, one in 128 is let in all the same: so nobody can keep keys out by
// colliding with them. A hit moves links and touches a cache line of the sketch. Scans do not pass
// the window.

#ifndef MERIDIAN_COMMON_ENGINE_W_TINYLFU_POLICY_H_
#define MERIDIAN_COMMON_ENGINE_W_TINYLFU_POLICY_H_

#include <cstddef>
#include <cstdint>

#include "common/engine/eviction_policy.h"
#include "common/engine/frequency_sketch.h"
#include "common/engine/key_hasher.h"
#include "common/engine/policy_queue.h"

namespace meridian {

class WTinyLfuPolicy final : public EvictionPolicy {
 public:
  WTinyLfuPolicy(PolicyLimits limits, KeyHasher hasher, uint64_t seed);

  void OnInsert(EntryNode& node) override;
  void OnHit(EntryNode& node) override;
  void OnRemove(EntryNode& node) override;
  void OnEvict(EntryNode& node) override;
  void OnReplace(EntryNode& old, EntryNode& node) override;
  void OnMove(EntryNode& old, EntryNode& node) override;
  EntryNode& Victim() override;

 private:
  enum Region : uint16_t { kWindow, kProbation, kProtected };

  PolicyQueue& QueueOf(const EntryNode& node);
  void MoveTo(Region region, EntryNode& node);
  // The bounds of the regions follow window_share_.
  void SetBounds();
  // Once a sample: whether the last step was a good one, and the next.
  void Climb();
  // Moves nodes until the regions fit their bounds, a few at a time.
  void Rebalance();
  // The node that a window which has grown takes from the main region; nullptr: it is full.
  EntryNode* NextForWindow();
  bool Admits(const EntryNode& candidate, const EntryNode& victim);

  const PolicyLimits limits_;
  const KeyHasher hasher_;
  PolicySlots slots_;
  FrequencySketch sketch_;
  PolicyQueue window_;
  PolicyQueue probation_;
  PolicyQueue protected_;
  PolicyLimits window_limits_;
  PolicyLimits protected_limits_;
  EntryNode* candidate_ = nullptr;  // Left the window last: in probation, and on trial.
  EntryNode* victim_ = nullptr;     // What Victim() said, until something changes.

  uint64_t random_;
  double window_share_;
  double step_;
  double last_hit_rate_ = 0;
  bool growing_ = false;  // The window was widened and is not full yet.
  uint64_t hits_ = 0;     // Of this sample.
  uint64_t misses_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_W_TINYLFU_POLICY_H_
