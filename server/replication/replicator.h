// Replicator brings this region's own changes to every other region: one link each, that share
// nothing but the tail.
//
// Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_REPLICATOR_H_
#define MERIDIAN_SERVER_REPLICATION_REPLICATOR_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/replication/change_sink.h"
#include "server/replication/region_cuts.h"
#include "server/replication/replication_link.h"

namespace meridian {

class Replicator final : public ChangeSink {
 public:
  // `options` are every link's, but for target_region. Nothing is owned; everything outlives this.
  Replicator(const ReplicationLinkOptions& options, L2Store& own,
             const std::map<std::string, L2Store*>& others, const TaskGate& gate,
             const Hearing& hearing, const Clock& clock, const ClockGuard& clock_guard,
             ReplicationObserver& observer, const ReplicationLink::ModeOf& mode_of,
             SyncWaits& sync_waits);

  void Start();

  // See ReplicationLink::SetCut.
  void SetCut(const std::string& region, const std::optional<RegionCut>& cut);

  // REQUIRES: there is a link to the region.
  LinkState StateOf(const std::string& region) const;

  // Sorted by target region.
  std::vector<LinkStatus> Links() const;

  void OnSlotGained(uint32_t slot, LogPosition position) override;
  void OnSlotLost(uint32_t slot) override;
  void OnChanges(LogPosition after, const LogSlice& slice) override;
  void OnGap(uint32_t slot, GapKind kind) override;
  void OnLoss(const SlotLoss& loss) override;
  void OnLossesKnown(LogPosition kept) override;

 private:
  std::vector<std::unique_ptr<ReplicationLink>> links_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_REPLICATOR_H_
