// HeatSaver finds out which keys of the owned slots L1 answers most, and saves them in L2, a digest
// for each slot, for whoever owns the slot next.
//
// It walks through all of L1, a piece at a time, in rounds of `interval` or longer. A key weighs
// what its entry's hits say, or what it weighed before, whichever is more, so that a key whose
// entry was just written anew, or refilled, keeps its place. What it weighed before is halved every
// `half_life`; in every round when L1 no longer has the key. A digest is saved when it says
// something else than the saved one (HeatDigest::Overlap below kSame), or when half of that one's
// life is over.
//
// A node that is about to lose slots has it hurry: the round that is under way, or one that begins
// now, goes on without pauses.
//
// Promise: a slot that is still being refilled is left alone: what its last owner knew of it stays.
// Cost: `walk_buckets` entries of L1 are looked at every `tick`, which is what bounds a round of a
//   large L1; kMaxKeys keys a slot in memory during a round; a call of L2 for save_slots digests,
//   at most one every `tick`.
// Thread safety: saved() may be called by any thread; the rest runs behind the gate.

#ifndef MERIDIAN_SERVER_REFILL_HEAT_SAVER_H_
#define MERIDIAN_SERVER_REFILL_HEAT_SAVER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/engine/engine.h"
#include "server/node/l2_store.h"
#include "server/node/node_context.h"
#include "server/refill/heat_table.h"
#include "server/refill/key_refill.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct HeatSaverOptions {
  absl::Duration interval = absl::Seconds(10);
  absl::Duration tick = absl::Milliseconds(10);
  absl::Duration ttl = absl::Hours(6);          // Of a saved digest.
  absl::Duration half_life = absl::Minutes(5);  // Of what a key weighed that L1 has.
  absl::Duration timeout = absl::Seconds(1);
  size_t walk_buckets = 256;
  size_t save_slots = 16;
};

class HeatSaver {
 public:
  static constexpr double kSame = 0.9;

  // References outlive this; `context` also the callbacks of its store.
  HeatSaver(HeatSaverOptions options, const NodeContext& context, const KeyRefill& keys,
            HeatTable& table, TaskGate gate);

  void Start();

  // Saves now what is known; `done` is called when that round is over, as far as L2 answers.
  // REQUIRES: behind the gate, after Start.
  void Hurry(std::function<void()> done);

  // Digests that L2 has taken, since the start.
  uint64_t saved() const { return saved_.load(std::memory_order_relaxed); }

 private:
  // What the walk has found of a slot: a heap, the coldest first.
  struct Found {
    uint64_t generation;
    std::vector<HeatKey> keys;
  };
  // A digest that L2 is asked to take.
  struct Saving {
    uint32_t slot;
    uint64_t generation;
    std::string bytes;
  };

  void BeginRoundAfter(absl::Duration delay);
  void BeginRound();
  absl::Duration Pause() const { return hurried_.empty() ? options_.tick : absl::ZeroDuration(); }
  void Walk();
  void Note(const ResidentKey& key, absl::Duration now);
  void Finish();
  HeatDigest DigestOf(const HeatDigest& last, bool fades, std::vector<HeatKey> found) const;
  uint32_t ResidentOf(const HeatDigest& digest) const;
  void Save(std::vector<Saving> batch);
  void Saved(const std::vector<Saving>& batch, const std::vector<L2WriteResult>& results);
  void EndRound();

  const HeatSaverOptions options_;
  const NodeContext& context_;
  const KeyRefill& keys_;
  HeatTable& table_;
  const TaskGate gate_;

  uint64_t next_round_ = 0;  // Tells the round that is due from one that Hurry has replaced.
  bool in_round_ = false;
  std::vector<std::function<void()>> hurried_;  // Who waits for the end of the round.
  absl::Duration round_began_;
  Engine::WalkPlace place_;
  std::vector<bool> wanted_;  // Slots of this round.
  std::vector<std::string> names_;
  std::map<uint32_t, Found> found_;
  std::atomic<uint64_t> saved_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REFILL_HEAT_SAVER_H_
