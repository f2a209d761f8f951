// NodeContext is what the read path and the write path share. Of what it names it owns the activity alone; server/app makes it
// and outlives both.

#ifndef MERIDIAN_SERVER_NODE_NODE_CONTEXT_H_
#define MERIDIAN_SERVER_NODE_NODE_CONTEXT_H_

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/timer_queue.h"
#include "common/base/version.h"
#include "common/cluster/topology.h"
#include "common/engine/engine.h"
#include "server/node/access_sampler.h"
#include "server/node/clock_guard.h"
#include "server/node/fences.h"
#include "server/node/followed_slots.h"
#include "server/node/hint_log.h"
#include "server/node/key_activity.h"
#include "server/node/l2_store.h"
#include "server/node/namespaces.h"
#include "server/node/origin.h"
#include "server/node/peer_transport.h"
#include "server/node/slot_horizons.h"
#include "server/node/sync_replication.h"
#include "server/node/watch_hub.h"

namespace meridian {

struct NodeContext {
  std::string node_id;
  bool l1_only = false;  // No regional store is configured: `l2` is NoL2.
  absl::Duration tombstone_ttl = absl::Hours(24);
  const Clock& clock;
  HybridClock& versions;
  Engine& engine;
  Namespaces& namespaces;
  L2Store& l2;
  PeerTransport& peers;
  TopologyHolder& topology;
  TimerQueue& timers;  // Deadlines of who waits.
  // What is known of the keys of namespaces whose policy asks for it; see entry_rules.h.
  const std::unique_ptr<KeyActivity> activity = std::make_unique<KeyActivity>();
  // Inflates large values of L2 and of peers, whose threads everybody waits for; nullptr: they do.
  Executor* inflater = nullptr;
  // Whether this machine's clock may give versions; nullptr: it always may.
  ClockGuard* clock_guard = nullptr;
  // Writes that wait for the regional store; nullptr: none may.
  HintLog* hints = nullptr;
  // What was invalidated many keys at once; never nullptr in a node that reads or invalidates.
  Fences* fences = nullptr;
  // Slots of which nothing old may be served for a while; nullptr: there are none.
  const SlotHorizons* horizons = nullptr;
  // Tells which other regions have a write; nullptr: there are none.
  SyncReplication* sync = nullptr;
  // Loads what no tier has; nullptr: nothing does.
  Origins* origins = nullptr;

  // Is told what happens to keys of ours; nullptr: nobody follows.
  WatchHub* watch = nullptr;
  // Samples who asks for what, for prediction; nullptr: nobody wants to know.
  AccessSampler* accesses = nullptr;
  // Slots of ours whose changes this node hears of; nullptr: of all, or there is no changelog.
  const FollowedSlots* followed = nullptr;

  // Whether L1 may keep something of the slot.
  bool Follows(uint32_t slot) const { return followed == nullptr || followed->Follows(slot); }

  // A key of ours has `version` now, and L1 shows nothing older.
  void TellWatchers(std::string_view name_space, const EntryKey& key, Version version) const {
    if (watch != nullptr) watch->Changed(key.slot, name_space, key.key, version);
  }
  // A write of ours failed, but may have been carried out, or be carried out yet.
  void WarnWatchers(std::string_view name_space, const EntryKey& key, Version version) const {
    if (watch != nullptr) watch->MayChange(key.slot, name_space, key.key, version);
  }

  // Whether what the store holds under the key is dead. `tags` and `written` as of Fences::Covers.
  bool IsFenced(NamespaceId name_space, const EntryKey& key, std::string_view tags,
                uint64_t written) const {
    return (fences != nullptr && fences->Covers(name_space, key.key, tags, written)) ||
           (horizons != nullptr && horizons->Covers(key.slot, written));
  }

  // OK, or kFailedPrecondition (CLOCK_SKEW).
  absl::Status CheckClock() const {
    return clock_guard == nullptr ? absl::OkStatus() : clock_guard->Check();
  }
};

// What is reserved for the way back: calls to lower tiers end this long before the caller's deadline.
inline constexpr absl::Duration kReplyMargin = absl::Milliseconds(5);

// How long one attempt at another node may take when `remaining` is left: half of it, so that a frozen
// owner leaves time to go around it.
inline absl::Duration PeerAttempt(absl::Duration remaining) {
  return std::max(remaining / 2, std::min(remaining, absl::Milliseconds(20)));
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_NODE_CONTEXT_H_
