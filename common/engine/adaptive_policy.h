// AdaptivePolicy evicts the entry that is worth least, where what is worth how much is learned from
// the traffic itself.
//
// Entries fall into classes by how often and how far apart they were used, and are of an age: the
// requests since their last use. A table says what an entry of each class and age is worth. One
// table is learned (ReuseModel: the Gittins index of the reuse that was seen), three are fixed (by
// frequency, by distance, by recency); small caches on a sample of the keys tell all the time which
// of them to go by (ReuseAudit); the shards of a pool learn together (ReuseLearner). A change of
// the table moves nothing: what entries carry is the same for all. The victim is the lowest of a
// few random entries, of those that were low before (CandidatePool), and of the newcomer, which is
// thus refused when it is worth less than what is there: that keeps scans out. What is known of a
// key outlives its entry (ReuseGhosts).
//
// Worth is by what a miss costs (Entry::weight: priority and cost, a factor 2 a step) and by what
// the entry takes: with Goal::kHits it is divided by the bytes where bytes are what is short, as in
// GDSF; with kByteHits it is not. docs/adr/0009-adaptive-policy.md tells what was tried and what
// each part brings.
//
// Cost: a hit changes one word; an eviction looks at 48 words. Memory beyond the nodes: 8 bytes an
// entry, 4 bytes a ghost, kGhosts ghosts an entry, 5 KiB a shard, and the sample (ReuseAudit),
// which all shards share. Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_ADAPTIVE_POLICY_H_
#define MERIDIAN_COMMON_ENGINE_ADAPTIVE_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/engine/candidate_pool.h"
#include "common/engine/eviction_policy.h"
#include "common/engine/key_hasher.h"
#include "common/engine/reuse_ghosts.h"
#include "common/engine/reuse_learner.h"
#include "common/engine/reuse_state.h"

namespace meridian {

class AdaptivePolicy final : public EvictionPolicy {
 public:
  // What is to be many: the requests answered, or the bytes answered.
  enum class Goal { kHits, kByteHits };
  // Ghosts an entry of capacity; a small cache may have more of them.
  static constexpr size_t kGhosts = 2;
  static constexpr size_t kGhostsOfSmall = 4;
  static constexpr size_t kSmall = 8192;

  // One policy for each shard of a pool: they learn together. REQUIRES: as many shards as a pool
  // has, all with about the same limits.
  static std::vector<std::unique_ptr<EvictionPolicy>> Create(
      const std::vector<PolicyLimits>& shards, Goal goal, KeyHasher hasher, uint64_t seed);
  AdaptivePolicy(PolicyLimits limits, Goal goal, KeyHasher hasher,
                 std::shared_ptr<ReuseLearner> learner, size_t shards, uint64_t seed);

  void OnInsert(EntryNode& node) override;
  void OnHit(EntryNode& node) override;
  void OnRemove(EntryNode& node) override;
  void OnReplace(EntryNode& old, EntryNode& node) override;
  void OnMove(EntryNode& old, EntryNode& node) override;
  bool Resize(PolicyLimits limits) override;
  EntryNode& Victim() override;

 private:
  // What there is to know of an entry, in 8 bytes, so that to compare entries touches no nodes.
  struct Known {
    NodeHandle node;
    uint16_t used_at;  // A tick.
    ReuseState state;
    uint8_t size;  // Of the charge: see SizeCodeOf.
  };
  // Ages end here: what is older is as old, before the ticks come round.
  static constexpr uint32_t kOldest = AgeBucketBegin(31);

  uint32_t Tick() const { return static_cast<uint32_t>(requests_ >> rules_.scale.tick_shift()); }
  uint32_t AgeOf(const Known& known) const { return static_cast<uint16_t>(Tick() - known.used_at); }
  Known& KnownOf(const EntryNode& node) { return known_[node.policy_index]; }
  float ChargeOf(const EntryNode& node) const;
  float WorthOf(const Known& known) const;
  // Notes a use: the next state of the entry, now.
  void Use(EntryNode& node, ReuseState state);
  void StopAgeOfNext();
  size_t Capacity() const;
  void Learn();
  void RenewRules();

  PolicyLimits limits_;
  const Goal goal_;
  const KeyHasher hasher_;
  const std::shared_ptr<ReuseLearner> learner_;
  const size_t shards_;  // That learn together.
  XorShift random_;
  ReuseLearner::Rules rules_;
  uint64_t requests_ = 0;
  uint64_t told_requests_ = 0;  // What the learner knows of them.
  uint64_t learn_at_ = 0;
  double charges_ = 0;             // Of all nodes, where bytes count.
  std::vector<Known> known_;       // Every node knows its index.
  size_t weighted_ = 0;            // How many of the nodes have a weight.
  size_t age_hand_ = 0;            // The next whose age is looked at.
  EntryNode* newcomer_ = nullptr;  // Inserted last, and not yet compared with a victim.
  CandidatePool candidates_;
  ReuseGhosts ghosts_;
  size_t ghosts_for_ = 0;  // The capacity that ghosts_ was made for.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_ADAPTIVE_POLICY_H_
