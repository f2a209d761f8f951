// StalenessSampler measures how soon a change is everywhere: it follows a share of the changes of
// the slots that this node owns, and looks 1 s, 10 s and 60 s later wherever a read may find the
// key. The same for fences, which the owners of the slots that keep them follow.
// It hears of them twice: from the changelog, as L1 does, and from the node that has carried one
// out, so that a change which the changelog has lost is looked for all the same. What is told twice
// is followed once by each node: by two nodes when somebody wrote around the owner.
//
// Since when: since the regional Redis has the change, as the position in its log tells, or since a
//   moment before, when this node sent it there; what
//   another region wrote is looked for here by that region's samplers, too. What is right only
//   later than an age does not count as right at that age: of a change that was heard of too late
//   only what is wrong counts, and late_total says how many there were.
// Places: L1 of the slot's owner and of every other node that has the key, the mirrors that have
//   it, the regional Redis and,
//   for a change of this region, the Redis of every other one that its namespace reaches; the nodes
//   there are looked at by the samplers there, which hear of the same change. A place is wrong when
//   it would serve a value that is older than the change; to have nothing is right. A place that
//   does not answer counts as neither. Changes are chosen by the hash of key and version.
// Of a fence, a node is wrong when it knows none so new that covers as much, and a store when it
//   has neither the fence nor one of the namespace that is as new: a node that starts learns its
//   fences there. Every fence is chosen, for there are few.
// What is wrong when it should be right (1 s within the region; 10 s between regions, and for a
//   mirror, which may be 3 s behind) is an incident, which names the place and the cause that can
//   be seen from here; what this node's own memory keeps wrongly is dropped then.
// Bounded: options.per_second, fences_per_second, max_waiting and max_incidents; one row for each
//   namespace that was sampled. Cost: for a sampled change three times a call to each node, which
//   looks into its memory, and to each store; nothing for the others but a hash.
// Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_STALENESS_SAMPLER_H_
#define MERIDIAN_SERVER_REPLICATION_STALENESS_SAMPLER_H_

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/cluster/topology.h"
#include "common/engine/engine.h"
#include "server/node/explain_report.h"
#include "server/node/fence.h"
#include "server/node/fences.h"
#include "server/node/l2_store.h"
#include "server/node/mirror_reads.h"
#include "server/node/peer_transport.h"
#include "server/replication/change_sink.h"
#include "server/replication/replication_link.h"
#include "server/replication/sampled_store.h"
#include "server/replication/task_gate.h"

namespace meridian {

// When a change is looked for.
inline constexpr std::array<absl::Duration, 3> kStalenessAges = {
    absl::Seconds(1), absl::Seconds(10), absl::Seconds(60)};

// Whether a change is one of those that are followed: by the hash of key and version, so that all
// who hear of it choose alike; every fence, and nothing else of ours. `one_in` 0: none.
bool IsSampled(std::string_view name_space, std::string_view key, Version version, uint64_t one_in);

struct StalenessOptions {
  std::string own_region;
  std::string node_id;
  uint64_t one_in = 100;  // Changes; 0: none is followed.
  size_t per_second = 2;
  size_t fences_per_second = 1;  // More are not followed; `one_in` does not hold for them.
  size_t max_waiting = 200;      // Changes that are followed at a time.
  size_t max_incidents = 100;
  absl::Duration timeout = absl::Seconds(2);
};

// What was seen of one namespace in one region; by the index of kStalenessAges.
struct StalenessRow {
  std::string name_space;
  std::string region;
  std::array<uint64_t, 3> right = {};
  std::array<uint64_t, 3> wrong = {};
};

struct StalenessIncident {
  absl::Time at;  // When it was first seen.
  std::string name_space;
  std::string key;  // Of a fence its tag or prefix.
  uint32_t slot = 0;
  std::string region;
  std::string place;   // A node's id, a node's id and "/mirror", or "redis".
  absl::Duration age;  // Of the change, when the place was last wrong.
  bool over = false;   // It was right later.
  Version expected;
  Version found;
  const char* cause = "";                // See docs/consistency.md.
  std::optional<FenceScope> fence = {};  // That was followed; nullopt: a change of a key.
};

struct StalenessReport {
  std::vector<StalenessRow> rows;            // By namespace and region.
  std::vector<StalenessIncident> incidents;  // The latest last.
  uint64_t incidents_total = 0;
  uint64_t sampled_total = 0;         // Changes of keys.
  uint64_t fences_sampled_total = 0;  // As well.
  uint64_t unanswered_total = 0;      // Looks at places that did not answer.
  uint64_t late_total = 0;  // Changes and fences that were heard of later than the first age.
  // That this node has carried out, and that found no place on their way to the sampler; see
  // CarriedOutQueue.
  uint64_t dropped_changes_total = 0;
  uint64_t dropped_fences_total = 0;
};

class StalenessSampler final : public ChangeSink {
 public:
  // What is known of the replication to a region.
  using LinkOf = std::function<LinkState(const std::string& region)>;

  // Nothing is owned; all outlive this. `mirrors` nullptr: this node keeps none.
  StalenessSampler(StalenessOptions options, L2Store& own, std::map<std::string, L2Store*> others,
                   Engine& engine, Fences& fences, MirrorReads* mirrors, PeerTransport& peers,
                   const TopologyHolder& topology, TaskGate gate, const Clock& clock,
                   ReplicationLink::ModeOf mode_of, LinkOf link_of);

  void OnSlotGained(uint32_t slot, LogPosition position) override {}
  void OnSlotLost(uint32_t slot) override {}
  void OnChanges(LogPosition after, const LogSlice& slice) override;
  void OnGap(uint32_t slot, GapKind kind) override {}
  void OnLoss(const SlotLoss& loss) override {}
  // What this node has carried out itself; see SampledStore.
  void OnCarriedOut(const CarriedOut& change);

  StalenessReport Report() const;

 private:
  struct Sample {
    L2Key key;
    Version version;
    std::optional<Fence> fence;  // `key` is where the stores keep it.
    std::map<std::pair<std::string, std::string>, uint64_t> incidents;  // By region and place.
    size_t first_age = 0;  // For looks at an earlier one it was heard of too late.
    uint64_t id = 0;       // In followed_.

    const std::string& name_space() const { return fence ? fence->name_space : key.name_space; }
  };
  using SamplePtr = std::shared_ptr<Sample>;
  struct Place {
    std::string region;
    std::string name;
    bool is_mirror = false;
  };

  // Follows the change if it is one of those that are to be followed, and there is room.
  // `heard_at`: for how long the store has had it.
  void Hear(uint32_t slot, std::string_view name_space, std::string_view key, Version version,
            absl::Duration heard_at);
  // So many a second may be followed, and there is room for one more.
  bool HasRoom(size_t* in_second, size_t per_second);
  // Of what is heard of now: for how long the store has had it.
  absl::Duration AgeOf(LogPosition position) const;
  void Follow(SamplePtr sample, absl::Duration heard_at);
  void Look(const SamplePtr& sample, size_t age);
  void LookAtNodes(const SamplePtr& sample, size_t age);
  void LookAtStore(const SamplePtr& sample, size_t age, const std::string& region, L2Store& store);
  // A node says what its memory has.
  void JudgeNode(const SamplePtr& sample, size_t age, const std::string& node,
                 const std::vector<TierReport>& reports);
  // `found`: what a read would be served there; nullopt: nothing.
  void Judge(const SamplePtr& sample, size_t age, const Place& place, std::optional<Version> found);
  // What the store has: `records` are those of the sample's key and, of a fence, of its
  // namespace's.
  void JudgeStore(const SamplePtr& sample, size_t age, const std::string& region,
                  const std::vector<L2Record>& records);
  // `clock`: of the newest fence there that covers as much.
  void JudgeFence(const SamplePtr& sample, size_t age, const Place& place, uint64_t clock);
  void Count(const SamplePtr& sample, size_t age, const Place& place, bool right, Version found);
  void Note(const SamplePtr& sample, size_t age, const Place& place, Version found);
  void MendHere(const Sample& sample, const Place& place);
  const char* CauseOf(const SamplePtr& sample, const Place& place) const;
  std::vector<TierReport> InOwnMemory(const L2Key& key) const;

  const StalenessOptions options_;
  L2Store& own_;
  const std::map<std::string, L2Store*> others_;
  Engine& engine_;
  Fences& fences_;
  MirrorReads* const mirrors_;
  PeerTransport& peers_;
  const TopologyHolder& topology_;
  const TaskGate gate_;
  const Clock& clock_;
  const ReplicationLink::ModeOf mode_of_;
  const LinkOf link_of_;
  absl::flat_hash_set<uint64_t> followed_;        // Now, by the hash of slot, key and version.
  absl::Duration second_ = absl::ZeroDuration();  // The one that in_second_ counts.
  size_t in_second_ = 0;
  size_t fences_in_second_ = 0;
  std::map<std::pair<std::string, std::string>, StalenessRow> rows_;
  uint64_t first_incident_ = 0;  // The number of incidents_.front(); numbers grow by one.
  std::deque<StalenessIncident> incidents_;
  uint64_t sampled_total_ = 0;
  uint64_t fences_sampled_total_ = 0;
  uint64_t unanswered_total_ = 0;
  uint64_t late_total_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_STALENESS_SAMPLER_H_
