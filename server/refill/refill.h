// Refill keeps the warmth of a region over changes of its nodes: a node saves which keys of its
// slots are hot (HeatSaver), and one that gains slots reads what their last owner had saved and
// fills its L1 with it, the hottest first (SlotRefill). When a change of owners is planned, who
// loses slots gives what L1 has of them to those who gain them before it happens (HandOffSender,
// HandOffStage). server/app makes one when the node has a regional store, and gives it to
// Replication as the last of its sinks.
//
// Promise: after Stop() has returned nothing of this runs.
// Cost: a thread of its own, that of `executor`, for walks and digests; else that of its parts.
// Thread safety: all methods may be called concurrently; Stop not from the executor's own tasks.

#ifndef MERIDIAN_SERVER_REFILL_REFILL_H_
#define MERIDIAN_SERVER_REFILL_REFILL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/executor.h"
#include "common/cluster/topology.h"
#include "server/node/hand_off.h"
#include "server/node/node_context.h"
#include "server/refill/hand_off_sender.h"
#include "server/refill/hand_off_stage.h"
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
  HandOffSenderOptions sender;
  HandOffStageOptions stage;
};

class Refill final : public ChangeSink, public HandOffTarget {
 public:
  // `context` and `transport` are not owned and outlive every callback of the store and of the
  // transport; `executor` outlives those, too. `settled` is called on the executor.
  Refill(RefillOptions options, const NodeContext& context, HandOffTransport& transport,
         Executor& executor, SlotRefill::Settled settled);
  ~Refill() override { Stop(); }

  // Follows the context's topology from now on. REQUIRES: called once, before the tail starts.
  void Start();
  void Stop() { gate_.Close(); }

  // `planned` comes next. `done` is called on the executor when this node has given away, and saved
  // the heat of, what it loses by it, or has tried for as long as it may; not when another plan
  // replaces this one, nor after Stop. `taken`: entries that others have taken.
  using HandedOff = std::function<void(uint64_t taken)>;
  void Plan(TopologyHolder::Snapshot planned, HandedOff done);
  // Saves the heat of all slots now; `done` is called on the executor, unless Stop comes first.
  void SaveHeat(std::function<void()> done);

  // HandOffTarget. Also answers after Stop.
  void Take(uint64_t epoch, std::vector<HandOffItem> items, HandOffDone done) override;

  // Entries that others have taken from this node, since the start.
  uint64_t handed_off() const { return handed_off_.load(std::memory_order_relaxed); }
  // What became of what others have handed over.
  const HandOffStage::Counters& taken() const { return stage_.counters(); }

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
  void OnAway(uint32_t slot) override { away_.insert(slot); }
  void OnBack(uint32_t slot) override { away_.erase(slot); }
  void OnCaughtUp(absl::Duration at) override;

 private:
  void HandOff(const TopologyHolder::Snapshot& planned, HandedOff done);
  // Its L1 was dropped just now, and is kept true from now on.
  void Followed(uint32_t slot);

  const NodeContext& context_;
  const TaskGate gate_;
  HeatTable table_;
  KeyRefill keys_;
  SlotRefill refill_;
  HeatSaver saver_;
  HandOffStage stage_;
  HandOffSender sender_;
  std::set<uint32_t> away_;           // On the tail's executor.
  std::atomic<bool> handing_{false};  // Somebody waits for what the tail hears.
  std::atomic<uint64_t> handed_off_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REFILL_REFILL_H_
