#include "server/refill/refill.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

namespace meridian {

Refill::Refill(RefillOptions options, const NodeContext& context, HandOffTransport& transport,
               Executor& executor, SlotRefill::Settled settled)
    : context_(context),
      gate_(executor),
      keys_(context),
      refill_(options.refill, keys_, context.l2, table_, gate_, context.clock, std::move(settled)),
      saver_(options.saver, context, keys_, table_, gate_),
      stage_(options.stage, context, keys_, gate_),
      sender_(options.sender, context, transport, gate_) {}

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

void Refill::Plan(TopologyHolder::Snapshot planned, HandedOff done) {
  gate_.Post(
      [this, planned = std::move(planned), done = std::move(done)] { HandOff(planned, done); });
}

void Refill::HandOff(const TopologyHolder::Snapshot& planned, HandedOff done) {
  const std::vector<uint32_t> own = context_.topology.Get()->SlotsOf(context_.node_id);
  const std::vector<uint32_t> next = planned->SlotsOf(context_.node_id);
  std::vector<uint32_t> gained;
  std::set_difference(next.begin(), next.end(), own.begin(), own.end(), std::back_inserter(gained));
  stage_.Begin(planned->epoch(), gained);
  if (std::includes(next.begin(), next.end(), own.begin(), own.end())) return done(0);
  struct Both {
    int open = 2;
    uint64_t taken = 0;
    HandedOff done;
    void End() {
      if (--open == 0) done(taken);
    }
  };
  auto both = std::make_shared<Both>();
  both->done = std::move(done);
  handing_.store(true, std::memory_order_relaxed);
  saver_.Hurry([both] { both->End(); });
  sender_.Begin(planned, [this, both](uint64_t taken) {
    handing_.store(false, std::memory_order_relaxed);
    handed_off_.fetch_add(taken, std::memory_order_relaxed);
    both->taken = taken;
    both->End();
  });
}

void Refill::SaveHeat(std::function<void()> done) {
  gate_.Post([this, done = std::move(done)] { saver_.Hurry(done); });
}

void Refill::Take(uint64_t epoch, std::vector<HandOffItem> items, HandOffDone done) {
  struct Call {
    std::vector<HandOffItem> items;
    HandOffDone done;
    ~Call() {  // The gate was closed before it began.
      if (done != nullptr) done(absl::UnavailableError("SHUTTING_DOWN: the node ends"));
    }
  };
  auto call = std::make_shared<Call>();
  call->items = std::move(items);
  call->done = std::move(done);
  gate_.Post([this, epoch, call] {
    const absl::StatusOr<uint64_t> taken = stage_.Take(epoch, std::move(call->items));
    std::exchange(call->done, nullptr)(taken);
  });
}

void Refill::Followed(uint32_t slot) {
  refill_.Followed(slot);
  stage_.Followed(slot);
}

void Refill::OnSlotGained(uint32_t slot, LogPosition position) {
  gate_.Post([this, slot] { Followed(slot); });
}

void Refill::OnSlotLost(uint32_t slot) {
  away_.erase(slot);
  gate_.Post([this, slot] { refill_.Lost(slot); });
}

// L1 was dropped as well.
void Refill::OnGap(uint32_t slot, GapKind kind) {
  gate_.Post([this, slot] { Followed(slot); });
}

void Refill::OnCaughtUp(absl::Duration at) {
  if (!away_.empty() || !handing_.load(std::memory_order_relaxed)) return;
  gate_.Post([this, at] { sender_.OnCaughtUp(at); });
}

}  // namespace meridian
