// CoordinatorTransport opens Register streams to coordinators: the port that CoordinatorClient
// stands on. GrpcCoordinatorTransport is the real one; tests have a fake.

#ifndef MERIDIAN_SERVER_MEMBERSHIP_COORDINATOR_TRANSPORT_H_
#define MERIDIAN_SERVER_MEMBERSHIP_COORDINATOR_TRANSPORT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/cluster/hot_key.h"
#include "common/cluster/topology.h"
#include "server/node/access_sampler.h"
#include "server/node/update_log.h"
#include "server/policy/policy_follower.h"

namespace meridian {

// What a node tells the coordinator. The first message of a stream registers the node.
struct NodeHeartbeat {
  Member member;
  std::string region;
  uint64_t epoch = 0;
  absl::Time now;
  double warmth = 0;
  std::vector<std::string> unreachable_peers;
  uint64_t handed_off_epoch = 0;                // Of the last planned topology; 0: none.
  std::optional<std::vector<HotKey>> hot_keys;  // Absent: as they were.
  std::vector<SampledAccess> accesses;          // Since the heartbeat before; oldest first.
  uint32_t callers_per_access_sample = 0;
  absl::Duration sent_at;        // On the clock of the accesses.
  uint64_t policy_revision = 0;  // Of the assignment that is followed.
  std::string policy_problem;    // Why a newer one is not.
};

struct CoordinatorReply {
  std::optional<Topology> topology;  // Newer than the node's; absent: nothing new.
  absl::Duration heartbeat_interval = absl::ZeroDuration();
  std::optional<Topology> planned = std::nullopt;  // What comes next; absent: nothing is planned.
  std::optional<AssignedPolicies> policies = std::nullopt;  // Absent: as they were.
};

// Why a stream ended.
struct StreamEnd {
  std::string reason;  // Stable: "NOT_LEADER", "UNAVAILABLE", ...
  std::string message;
  std::string leader_address;  // Of a NOT_LEADER answer; may be empty.
};

// One stream. Destroying it cancels it: its events are not wanted any more, but one may still come.
class CoordinatorStream {
 public:
  virtual ~CoordinatorStream() = default;
  // Never waits. While an earlier one is on its way, only the newest is kept, with the hot keys
  // and the accesses that were told last.
  virtual void Send(const NodeHeartbeat& heartbeat) = 0;
};

// Whether a node may restart now.
struct TicketAnswer {
  bool granted = false;
  absl::Duration retry_after;  // When it is not granted.
  std::string why;             // When it is not granted: for people.
};

// What a coordinator says of updates that it was told of.
struct UpdateAnswer {
  size_t accepted = 0;     // The first so many of the keys.
  bool is_wanted = false;  // A rule is for updates of their namespace, whatever their form.
};

class CoordinatorTransport {
 public:
  // Called on any thread, on_end exactly once and last; they must not block.
  struct Events {
    std::function<void(CoordinatorReply)> on_reply;
    std::function<void(StreamEnd)> on_end;
  };

  virtual ~CoordinatorTransport() = default;
  virtual std::unique_ptr<CoordinatorStream> Open(const std::string& address, Events events) = 0;

  using TicketCallback = std::function<void(absl::StatusOr<TicketAnswer>)>;
  // Asks for a ticket for `node`. `done` is called once, on any thread, and must not block.
  virtual void AcquireTicket(const std::string& address, const std::string& node,
                             absl::Duration timeout, TicketCallback done) = 0;
  // `node` does not want its ticket any more. An older coordinator takes it for an ask, and may
  // give one: that ends by itself, as one that is not used. `done` as above.
  virtual void GiveTicketBack(const std::string& address, const std::string& node,
                              absl::Duration timeout, std::function<void(absl::Status)> done) = 0;

  using UpdateCallback = std::function<void(absl::StatusOr<UpdateAnswer>)>;
  // Tells of keys that clients have changed. `done` as above.
  virtual void ReportUpdates(const std::string& address, const UpdateLog::Batch& updates,
                             absl::Duration timeout, UpdateCallback done) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_MEMBERSHIP_COORDINATOR_TRANSPORT_H_
