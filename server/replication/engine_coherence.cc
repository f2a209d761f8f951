#include "server/replication/engine_coherence.h"

#include <algorithm>
#include <optional>

#include "common/base/version_before.h"

namespace meridian {

void EngineCoherence::OnSlotGained(uint32_t slot, LogPosition position) {
  engine_.DropSlot(slot);
  if (followed_ != nullptr) followed_->Gained(slot);
}

void EngineCoherence::OnSlotLost(uint32_t slot) {
  if (followed_ != nullptr) followed_->Lost(slot);
  engine_.DropSlot(slot);
}

void EngineCoherence::OnGap(uint32_t slot, GapKind kind) { engine_.DropSlot(slot); }

void EngineCoherence::OnLoss(const SlotLoss& loss) {
  // Changes up to there were not told: what was read before them must not come in afterwards.
  if (loss.resumed != loss.kept) engine_.VoidFills();
}

void EngineCoherence::DropOlder(uint32_t slot, const LogEntry& entry) {
  const std::optional<NamespaceId> name_space = engine_.InternNamespace(entry.name_space);
  if (!name_space) return;  // L1 holds nothing of namespaces beyond its limit.
  const EntryKey key{.name_space = *name_space,
                     .slot = slot,
                     .hash = engine_.HashOf(*name_space, entry.key),
                     .key = entry.key};
  // The same version in L1 is this very write, done through this node. An absent key is erased,
  // too: a fill that read the store before the change may be under way.
  if (engine_.IsBehind(key, entry.version)) engine_.Erase(key, entry.version);
}

void EngineCoherence::OnChanges(LogPosition after, const LogSlice& slice) {
  for (const LogEntry& entry : slice.entries) {
    if (!entry.version.is_set()) continue;  // Not written by us: nobody's change.
    if (absl::Status status = hybrid_clock_.Merge(entry.version.hlc); !status.ok()) {
      observer_.OnClockSkew(status);
    }
    DropOlder(slice.slot, entry);
    if (!IsChangeOf(entry.version, hybrid_clock_.region())) {
      observer_.OnForeignChange(
          entry.version.region,
          std::max(absl::ZeroDuration(), clock_.Now() - entry.version.time()));
    }
  }
}

}  // namespace meridian
