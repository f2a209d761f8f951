// ClusterMembership decides who is a member of the region: joining -> serving -> draining -> gone.
// A pure state machine: time is passed in, nothing is sent.
//
// Nodes that join are gathered for `settle`, so that a cluster that starts makes few epochs. When
// slots move between nodes that all live, the next topology is planned first: those that lose slots
// may hand over what they hold of them, and it is published when they have, or after `hand_off`. A
// later change replaces the plan, but not the time that it has; a node that fails, or is back after
// a restart, changes the topology at once. When every node falls silent the last
// topology stays: then the coordinator is more likely cut off than they are all dead. Silence while
// the coordinator itself was paused (a gap between calls) is not held against anybody.
//
// Promise: every Topology that Tick returns has a higher epoch than all before, than the restored
//   one, and than any that a node reported.
// Cost: a heartbeat is one map look-up; Tick looks at every node.
// Thread safety: none; used by one thread (the coordinator's executor).

#ifndef MERIDIAN_SERVER_COORDINATOR_CLUSTER_MEMBERSHIP_H_
#define MERIDIAN_SERVER_COORDINATOR_CLUSTER_MEMBERSHIP_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/cluster/topology.h"

namespace meridian {

struct MembershipOptions {
  std::string region;
  absl::Duration heartbeat_interval = absl::Milliseconds(500);
  absl::Duration failure_timeout = absl::Seconds(2);  // Silence after which a node is gone.
  absl::Duration settle = absl::Milliseconds(100);    // How long joins are gathered.
  // After a change of leader: how long the members may take to find the new one.
  absl::Duration takeover_grace = absl::Seconds(6);
  // How long a planned topology waits for those that lose slots by it; zero: nothing is planned.
  absl::Duration hand_off = absl::ZeroDuration();
};

// What a node says of itself.
struct NodeReport {
  Member member;
  uint64_t epoch = 0;  // That it uses.
  double warmth = 0;
  std::vector<std::string> unreachable_peers;
  uint64_t handed_off_epoch = 0;  // Of the last planned topology that it has handed over for.
};

// What is known of a node.
struct NodeView {
  Member member;
  absl::Duration heartbeat_age;
  uint64_t epoch = 0;
  double warmth = 0;
};

class ClusterMembership {
 public:
  explicit ClusterMembership(MembershipOptions options);

  // Takes over from an earlier leader: its members stay, and have takeover_grace to come back;
  // those that drained, and own nothing, failure_timeout. The next Tick publishes them under a new
  // epoch. REQUIRES: nothing was called before.
  void Restore(const Topology& stored, absl::Duration now);

  // A node's first message on a stream. kInvalidArgument: the member is malformed;
  // kAlreadyExists: another live process uses this id; kResourceExhausted: too many nodes.
  // `session` is of the stream, unique among streams.
  absl::Status Register(const NodeReport& report, uint64_t session, absl::Duration now);

  // A later message; only id, incarnation and state of the member count.
  // kNotFound: the node is not (or no longer) a member and must register again.
  absl::Status Heartbeat(const NodeReport& report, absl::Duration now);

  // A stream ended. A draining node is gone with its last one; another node has until its failure
  // timeout to come back.
  void Disconnect(const std::string& id, uint64_t session, absl::Duration now);

  // Applies what is due: failures, joins. Returns the topology to publish, if it changed.
  // REQUIRES: called at least every heartbeat_interval; a longer gap counts as a pause.
  std::optional<Topology> Tick(absl::Duration now);

  // What is published next, when those who lose slots by it have handed over what they hold;
  // nullptr: nothing is planned.
  const Topology* planned() const { return plan_.has_value() ? &*plan_ : nullptr; }
  // Planned topologies that were published, and of these, those for which somebody was late.
  uint64_t hand_offs() const { return hand_offs_; }
  uint64_t late_hand_offs() const { return late_hand_offs_; }

  // When Tick should be called next, in the monotonic time that was passed in.
  absl::Duration NextDue() const;

  std::vector<NodeView> Nodes(absl::Duration now) const;
  uint64_t epoch() const { return epoch_; }

  // What happened since the last call, for the log: "node us-1 joined".
  std::vector<std::string> TakeEvents();
  // Who has drained and left since the last call; who went in another way is not among them.
  std::vector<std::string> TakeLeft();

 private:
  struct Node {
    Member member;
    uint64_t session = 0;       // Of its newest stream; 0: none.
    absl::Duration last_heard;  // In the future while a grace period runs.
    uint64_t epoch = 0;
    double warmth = 0;
    uint64_t handed_off_epoch = 0;
  };

  using NodeMap = std::map<std::string, Node>;

  void NoteTime(absl::Duration now);
  void NoteJoin(absl::Duration now);
  void NoteReport(const NodeReport& report, absl::Duration now, Node* node);
  void ForgetSilentNodes(absl::Duration now);
  // The topology of the present members, or nullopt; takes the next epoch.
  std::optional<Topology> Next();
  // Whether slots move, and all that have them can hand them over.
  bool CanHandOff(const Topology& next) const;
  bool AllHandedOff() const;
  Topology Publish(Topology next);
  NodeMap::iterator Forget(NodeMap::iterator it, std::string_view why);

  const MembershipOptions options_;
  NodeMap nodes_;
  uint64_t epoch_ = 0;        // Of the last topology, or higher.
  bool has_history_ = false;  // A topology was restored or published.
  bool changed_ = false;      // Publish at the next Tick.
  bool all_silent_ = false;
  absl::Duration last_call_ = absl::InfiniteDuration();
  absl::Duration join_due_ = absl::InfiniteDuration();    // When joining nodes begin to serve.
  absl::Duration join_limit_ = absl::InfiniteDuration();  // join_due_ moves no further than this.
  std::optional<Topology> published_;                     // By this leader.
  std::optional<Topology> plan_;
  absl::Duration plan_due_ = absl::InfiniteDuration();  // Of the first plan since published_.
  uint64_t hand_offs_ = 0;
  uint64_t late_hand_offs_ = 0;
  absl::Duration hold_until_ = -absl::InfiniteDuration();  // Nothing is published before this.
  std::vector<std::string> events_;
  std::vector<std::string> left_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_CLUSTER_MEMBERSHIP_H_
