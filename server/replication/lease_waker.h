// LeaseWaker tells those who wait for somebody who has a lease what the changelog's tail hears of
// their keys: a fill that another node carried out, or a write that came in between. Without it
// they would wait for a value that is there.
//
// Cost: while nobody has a lease, one load for each slice of changes.
// Thread safety: as ChangeSink.

#ifndef MERIDIAN_SERVER_REPLICATION_LEASE_WAKER_H_
#define MERIDIAN_SERVER_REPLICATION_LEASE_WAKER_H_

#include <optional>

#include "common/engine/engine.h"
#include "server/node/miss_path.h"
#include "server/replication/change_sink.h"

namespace meridian {

class LeaseWaker final : public ChangeSink {
 public:
  // Neither is owned; both outlive this. `misses` nullptr: nobody waits. Comes after the sink that
  // keeps L1 coherent: who is woken looks into L2, and what it finds goes into L1.
  LeaseWaker(Engine& engine, MissPath* misses) : engine_(engine), misses_(misses) {}

  // What came since a lease was given, and before `position`, is told by nobody else.
  void OnSlotGained(uint32_t slot, LogPosition position) override { InDoubt(slot, /*lost=*/false); }
  // Who waits here hears of nothing any more: the next owner does.
  void OnSlotLost(uint32_t slot) override { InDoubt(slot, /*lost=*/true); }
  void OnChanges(LogPosition after, const LogSlice& slice) override {
    if (misses_ == nullptr || !misses_->HasLeases()) return;
    for (const LogEntry& entry : slice.entries) {
      if (!entry.version.is_set()) continue;  // Not written by us: nobody's change.
      const std::optional<NamespaceId> name_space = engine_.InternNamespace(entry.name_space);
      if (!name_space) continue;  // None of its keys is leased.
      misses_->OnChanged({.name_space = *name_space,
                          .slot = slice.slot,
                          .hash = engine_.HashOf(*name_space, entry.key),
                          .key = entry.key},
                         entry.version);
    }
  }
  // What the hole has swallowed may be what is waited for.
  void OnGap(uint32_t slot, GapKind kind) override { InDoubt(slot, /*lost=*/false); }
  void OnLoss(const SlotLoss& loss) override {
    if (loss.rewound || loss.resumed != loss.kept) InDoubt(loss.slot, /*lost=*/false);
  }

 private:
  void InDoubt(uint32_t slot, bool lost) {
    if (misses_ != nullptr && misses_->HasLeases()) misses_->OnSlotInDoubt(slot, lost);
  }

  Engine& engine_;
  MissPath* const misses_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_LEASE_WAKER_H_
