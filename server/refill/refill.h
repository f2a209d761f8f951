// Refill keeps the warmth of a region over changes of its nodes: a node saves which keys of its
// slots are hot (HeatSaver), and one that gains slots reads what their last owner had saved and
// fills its L1 with it, the hottest first (SlotRefill). server/app makes one when the node has a
// regional store, and gives it to Replication as the last of its sinks.
//
// Promise: after Stop() has returned nothing of this runs.
// Cost: a thread of its own, that of `executor`, for walks and digests; else that of its parts.
// Thread safety: all methods may be called concurrently; Stop not from the executor's own tasks.

#ifndef MERIDIAN_SERVER_REFILL_REFILL_H_
#define MERIDIAN_SERVER_REFILL_REFILL_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/executor.h"
#include "server/node/node_context.h"
#include "server/refill/heat_saver.h"
#include "server/refill/heat_table.h"
#include "server/refill/key_refill.h"
#include "server/refill/slot_refill.h"
#include "server/replication/change_sink.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct RefillOptions {
  SlotRefillOptions refill;
  HeatSaverOptions saver;
};

class Refill final : public ChangeSink {
 public:
  // `context` is not owned and outlives every callback of its store; `executor` outlives those,
  // too. `settled` is called on the executor.
  Refill(RefillOptions options, const NodeContext& context, Executor& executor,
         SlotRefill::Settled settled);
  ~Refill() override { Stop(); }

  // Follows the context's topology from now on. REQUIRES: called once, before the tail starts.
  void Start();
  void Stop() { gate_.Close(); }

  // 0 to 1; see HeatTable. 0 while the node owns nothing.
  double warmth() const { return table_.warmth(); }
  size_t expected_keys() const { return table_.expected(); }
  bool owns_slots() const { return table_.owned() > 0; }
  uint64_t saved_digests() const { return saver_.saved(); }
  const SlotRefill::Counters& counters() const { return refill_.counters(); }

  // ChangeSink, on the tail's executor. REQUIRES: after the sink that keeps L1 coherent.
  void OnSlotGained(uint32_t slot, LogPosition position) override;
  void OnSlotLost(uint32_t slot) override;
  void OnChanges(LogPosition after, const LogSlice& slice) override {}
  void OnGap(uint32_t slot, GapKind kind) override;
  void OnLoss(const SlotLoss& loss) override {}

 private:
  const NodeContext& context_;
  const TaskGate gate_;
  HeatTable table_;
  KeyRefill keys_;
  SlotRefill refill_;
  HeatSaver saver_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REFILL_REFILL_H_
