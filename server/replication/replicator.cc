#include "server/replication/replicator.h"

#include "common/base/hash.h"

namespace meridian {

Replicator::Replicator(const ReplicationLinkOptions& options, L2Store& own,
                       const std::map<std::string, L2Store*>& others, const TaskGate& gate,
                       const Hearing& hearing, const Clock& clock, const ClockGuard& clock_guard,
                       ReplicationObserver& observer, const ReplicationLink::ModeOf& mode_of,
                       SyncWaits& sync_waits) {
  for (const auto& [region, store] : others) {
    ReplicationLinkOptions link = options;
    link.target_region = region;
    link.seed = Hash64(region, options.seed);
    links_.push_back(std::make_unique<ReplicationLink>(link, own, *store, gate, hearing, clock,
                                                       clock_guard, observer, mode_of, sync_waits));
  }
}

void Replicator::Start() {
  for (const auto& link : links_) link->Start();
}

void Replicator::SetCut(const std::string& region, const std::optional<RegionCut>& cut) {
  for (const auto& link : links_) {
    if (link->target_region() == region) link->SetCut(cut);
  }
}

LinkState Replicator::StateOf(const std::string& region) const {
  for (const auto& link : links_) {
    if (link->target_region() == region) return link->Status().state;
  }
  return LinkState::kDisconnected;
}

std::vector<LinkStatus> Replicator::Links() const {
  std::vector<LinkStatus> statuses;
  for (const auto& link : links_) statuses.push_back(link->Status());
  return statuses;
}

void Replicator::OnSlotGained(uint32_t slot, LogPosition position) {
  for (const auto& link : links_) link->OnSlotGained(slot, position);
}

void Replicator::OnSlotLost(uint32_t slot) {
  for (const auto& link : links_) link->OnSlotLost(slot);
}

void Replicator::OnChanges(LogPosition after, const LogSlice& slice) {
  for (const auto& link : links_) link->OnChanges(after, slice);
}

void Replicator::OnGap(uint32_t slot, GapKind kind) {
  for (const auto& link : links_) link->OnGap(slot, kind);
}

void Replicator::OnLoss(const SlotLoss& loss) {
  for (const auto& link : links_) link->OnLoss(loss);
}

void Replicator::OnLossesKnown(LogPosition kept) {
  for (const auto& link : links_) link->OnLossesKnown(kept);
}

}  // namespace meridian
