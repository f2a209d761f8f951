// AdaptivePolicy evicts the entry that is worth least, where what is worth how much is learned from
// the traffic itself.
//
// Entries fall into classes by how often and how far apart they were used, and are of an age: the
// requests since their last use. A table says what an entry of each class and age is worth. One
// table is learned (ReuseModel: the Gittins index of the reuse that was seen), three are fixed (by
// frequency, by distance, by recency); small caches on a sample of the keys tell all the time which
// of them to go by (ReuseAudit). A change of the table moves nothing: what entries carry is the
// same for all. The victim is the lowest of a few random entries, of those that were low before
// (CandidatePool), and of the newcomer, which is thus refused when it is worth less than what is
// there: that keeps scans out. What is known of a key outlives its entry (ReuseGhosts).
//
// Worth is by what a miss costs (Entry::weight: priority and cost, a factor 2 a step) and by what
// the entry takes: with Goal::kHits it is divided by the bytes where bytes are what is short, as in
// GDSF; with kByteHits it is not. docs/adr/0009-adaptive-policy.md tells what was tried and what
// each part brings.
//
// Cost: a hit changes one word; an eviction looks at 48 words. Memory beyond the nodes: 8 bytes an
// entry, 4 bytes a ghost, kGhosts ghosts an entry, and 4 bytes an entry for the sample.
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_ADAPTIVE_POLICY_H_
#define MERIDIAN_COMMON_ENGINE_ADAPTIVE_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/engine/candidate_pool.h"
#include "common/engine/eviction_policy.h"
#include "common/engine/key_hasher.h"
#include "common/engine/reuse_audit.h"
#include "common/engine/reuse_ghosts.h"
#include "common/engine/reuse_model.h"
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

  AdaptivePolicy(PolicyLimits limits, Goal goal, KeyHasher hasher, uint64_t seed);

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

  uint32_t Tick() const { return static_cast<uint32_t>(requests_ >> scale_.tick_shift()); }
  uint32_t AgeOf(const Known& known) const { return static_cast<uint16_t>(Tick() - known.used_at); }
  Known& KnownOf(const EntryNode& node) { return known_[node.policy_index]; }
  float ChargeOf(const EntryNode& node) const;
  float WorthOf(const Known& known) const;
  // Notes a use: the next state of the entry, now.
  void Use(EntryNode& node, ReuseState state);
  void StopAgeOfNext();
  size_t Capacity() const;
  void Learn();

  PolicyLimits limits_;
  const Goal goal_;
  const KeyHasher hasher_;
  XorShift random_;
  ReuseScale scale_;
  uint64_t requests_ = 0;
  uint64_t learn_at_ = 0;
  double charges_ = 0;             // Of all nodes, where bytes count.
  std::vector<Known> known_;       // Every node knows its index.
  size_t weighted_ = 0;            // How many of the nodes have a weight.
  size_t age_hand_ = 0;            // The next whose age is looked at.
  EntryNode* newcomer_ = nullptr;  // Inserted last, and not yet compared with a victim.
  CandidatePool candidates_;
  ReuseGhosts ghosts_;
  size_t audit_for_ = 0;          // The capacity that ghosts_ and audit_ were made for.
  bool bytes_are_short_ = false;  // Not entries.
  ReuseModel model_;
  std::unique_ptr<ReuseAudit> audit_;
  WorthTables worth_ = {};
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_ADAPTIVE_POLICY_H_
