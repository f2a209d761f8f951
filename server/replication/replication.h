// Replication is everything that follows the regional changelog on one node: L1 coherence, the
// links to the other regions, and the heartbeat. server/app makes one when the node has a regional
// store.
//
// Promise (docs/consistency.md): a change of another node or region is out of this node's L1 within
//   a poll (10 ms, 20 ms when idle) of being in the regional store; an own change reaches every
//   region at least once, the newest version wins everywhere, and an unreachable region delays
//   only itself. After Stop() has returned nothing of this runs.
// Thread safety: all methods may be called concurrently; Stop not from the executor's own tasks.

#ifndef MERIDIAN_SERVER_REPLICATION_REPLICATION_H_
#define MERIDIAN_SERVER_REPLICATION_REPLICATION_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/version.h"
#include "common/cluster/topology.h"
#include "common/engine/engine.h"
#include "server/node/clock_guard.h"
#include "server/node/fences.h"
#include "server/node/followed_slots.h"
#include "server/node/hint_log.h"
#include "server/node/l2_store.h"
#include "server/node/mirror_reads.h"
#include "server/node/miss_path.h"
#include "server/node/slot_horizons.h"
#include "server/node/watch_hub.h"
#include "server/replication/change_sink.h"
#include "server/replication/changelog_tail.h"
#include "server/replication/heartbeat.h"
#include "server/replication/region_diff.h"
#include "server/replication/replication_link.h"
#include "server/replication/replication_observer.h"
#include "server/replication/sampled_store.h"
#include "server/replication/staleness_sampler.h"
#include "server/replication/store_upkeep.h"
#include "server/replication/store_recovery.h"

namespace meridian {

struct ReplicationOptions {
  std::string own_region;
  std::string node_id;
  absl::Duration heartbeat_interval = absl::Seconds(1);  // Zero: none.
  ChangelogTailOptions tail;
  ReplicationLinkOptions link;  // own_region, target_region and seed are filled in.
  StalenessOptions staleness;   // own_region and node_id are filled in.
  StoreUpkeepOptions upkeep;    // tombstone_ttl is filled in.

  // Returns kInvalidArgument naming the field, the value and the rule.
  absl::Status Validate() const;
};

// Nothing is owned. All outlive the Replication; `executor` also outlives the last callback of the
// stores, so stop the stores before the executor.
struct ReplicationDeps {
  L2Store& own;
  std::map<std::string, L2Store*> others;  // By region name.
  Engine& engine;
  HybridClock& hybrid_clock;
  TopologyHolder& topology;
  Executor& executor;
  const Clock& clock;
  ReplicationObserver& observer;
  ClockGuard& clock_guard;  // Is told the stores' clocks.
  HintLog& hints;           // Is replayed.
  Fences& fences;           // Learns those of the store.
  SlotHorizons& horizons;   // Learns which slots may hold what others have deleted.
  // What of a namespace leaves the region. Called on the executor. kInternalNamespace always does.
  ReplicationLink::ModeOf mode_of;
  Heartbeat::Write write_heartbeat;
  PeerTransport& peers;       // Are looked at by the sampler.
  WatchHub* watch = nullptr;  // Is told what the tail hears; nullptr: nobody follows.
  // See StoreRecovery. Called on the executor; empty: never known.
  StoreRecovery::StoredUntil stored_until;
  MirrorReads* mirrors = nullptr;  // Are looked at by the sampler; nullptr: none.
  MissPath* misses = nullptr;      // Who waits there for leases hears of changes; nullptr: nobody.
  ChangeSink* follower = nullptr;  // Hears what the tail tells, after all others; nullptr: nobody.
  FollowedSlots* followed = nullptr;  // Is told what L1 may keep; nullptr: nobody asks.
};

class Replication {
 public:
  // Returns kInvalidArgument for bad options, for an own region among the others, and for regions
  // whose ids collide.
  static absl::StatusOr<std::unique_ptr<Replication>> Create(ReplicationOptions options,
                                                             ReplicationDeps deps);
  ~Replication();

  // Follows `topology` from now on. REQUIRES: called once.
  void Start();
  void Stop();

  // Sorted by target region. Cost: waits for the task that runs now.
  std::vector<LinkStatus> Links() const;

  // Compares the own region and others, all or those named; nothing but stores is asked, so any
  // node can do it. `done` gets kNotFound for a region that this node does not know, and
  // kFailedPrecondition (REGION_CUT) for a repair of one that is cut.
  void Diff(RegionDiffOptions options, RegionDiff::Done done);

  // Stops (or resumes) replication to `region`, for all nodes of the own region, until it is set
  // otherwise; see RegionCuts. `done` gets kNotFound (UNKNOWN_REGION) for a region that this node
  // does not know, and for its own.
  void SetCut(const std::string& region, bool cut, std::string reason,
              std::function<void(absl::Status)> done);

  // Regions that must tell this one what was deleted before a node that starts is ready; see
  // FenceWait. Empty: none.
  std::vector<std::string> WaitsForFences() const;

  // What changelogs and tombstones take in the regional store; see StoreUpkeep.
  StoreUse Use() const;

  // For writers of namespaces that replicate synchronously. Lives as long as this.
  SyncReplication& sync();
  // Answers all of them with what there is: the node is about to stop.
  void AnswerSyncWaits();

  // For the SampledStore in front of the own store: the sampler looks for what it tells. May be
  // called concurrently, also after this is gone; what comes too fast is dropped.
  SampledStore::Listener CarriedOutListener();
  // How soon changes were everywhere. Cost: waits for the task that runs now.
  StalenessReport Staleness() const;

  // How many owned slots are followed already; equal to the owned slots in the steady state.
  size_t followed_slots() const;

 private:
  struct Parts;
  Replication(ReplicationOptions options, ReplicationDeps deps);

  const std::unique_ptr<Parts> parts_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_REPLICATION_H_
