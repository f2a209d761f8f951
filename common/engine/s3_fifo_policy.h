// S3FifoPolicy lets a newcomer prove itself in a small queue before it may take room in the main
// one.
//
// S3-FIFO (Yang, Zhang, Qiu, Yue, Vinayak, "FIFO queues are all you need for cache eviction", SOSP
// 2023), with the constants of libCacheSim: a tenth of the room is the small queue, an entry that
// was asked for twice there moves to the main one, the others leave and are remembered as ghosts,
// as many as the main queue holds; a ghost that comes back goes to the main queue at once. There an
// entry goes round once more for every hit, at most three. A hit only counts. Scans pass through
// the small queue.

#ifndef MERIDIAN_COMMON_ENGINE_S3_FIFO_POLICY_H_
#define MERIDIAN_COMMON_ENGINE_S3_FIFO_POLICY_H_

#include "common/engine/eviction_policy.h"
#include "common/engine/ghost_queue.h"
#include "common/engine/key_hasher.h"
#include "common/engine/policy_queue.h"

namespace meridian {

class S3FifoPolicy final : public EvictionPolicy {
 public:
  S3FifoPolicy(PolicyLimits limits, KeyHasher hasher);

  void OnInsert(EntryNode& node) override;
  void OnHit(EntryNode& node) override;
  void OnRemove(EntryNode& node) override;
  void OnEvict(EntryNode& node) override;
  void OnReplace(EntryNode& old, EntryNode& node) override;
  void OnMove(EntryNode& old, EntryNode& node) override;
  EntryNode& Victim() override;

 private:
  PolicyQueue& QueueOf(const EntryNode& node);
  void SettleNewest();
  // The next victim of a queue; nullptr when all of the queue moved to the main one.
  EntryNode* SmallVictim();
  EntryNode* MainVictim();

  const PolicyLimits main_limits_;
  const KeyHasher hasher_;
  PolicySlots slots_;
  PolicyQueue small_;
  PolicyQueue main_;
  GhostQueue ghosts_;
  // The last newcomer: in no queue until the next one comes, so that it makes room for itself last.
  EntryNode* newest_ = nullptr;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_S3_FIFO_POLICY_H_
