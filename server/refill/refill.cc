#include "server/refill/refill.h"

#include <utility>

namespace meridian {

Refill::Refill(RefillOptions options, const NodeContext& context, Executor& executor,
               SlotRefill::Settled settled)
    : context_(context),
      gate_(executor),
      keys_(context),
      refill_(options.refill, keys_, context.l2, table_, gate_, context.clock, std::move(settled)),
      saver_(options.saver, context, keys_, table_, gate_) {}

void Refill::Start() {
  // The listener may outlive this: then the gate is closed and the task is dropped.
  const auto follow = [this] {
    refill_.SetOwned(context_.topology.Get()->SlotsOf(context_.node_id));
  };
  context_.topology.AddListener(
      [gate = gate_, follow](const TopologyHolder::Snapshot&, const TopologyHolder::Snapshot&) {
        gate.Post(follow);
      });
  gate_.Post([this, follow] {
    follow();
    saver_.Start();
  });
}

void Refill::OnSlotGained(uint32_t slot, LogPosition position) {
  gate_.Post([this, slot] { refill_.Followed(slot); });
}

void Refill::OnSlotLost(uint32_t slot) {
  gate_.Post([this, slot] { refill_.Lost(slot); });
}

// L1 was dropped as well.
void Refill::OnGap(uint32_t slot, GapKind kind) {
  gate_.Post([this, slot] { refill_.Followed(slot); });
}

}  // namespace meridian
