// CoordinatorClient keeps a node registered with the leader of its region's coordinators.
//
// It has one Register stream at a time. A standby's answer leads it to the leader; a coordinator
// that fails or falls silent makes it try the next one, and after a whole round without success it
// backs off. Every topology goes to the TopologyHolder, which takes only higher epochs; without any
// coordinator the last one stays.
//
// Cost: one small message each heartbeat interval. No thread waits.
// Thread safety: all public methods may be called by any thread; the work is done on the executor.
//   REQUIRES: the executor is stopped before this is destroyed (the end of a stream may still be
//   posted to it); the transport is destroyed after this and before the executor.

#ifndef MERIDIAN_SERVER_MEMBERSHIP_COORDINATOR_CLIENT_H_
#define MERIDIAN_SERVER_MEMBERSHIP_COORDINATOR_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/cluster/topology.h"
#include "common/resilience/backoff.h"
#include "server/membership/coordinator_transport.h"
#include "server/policy/policy_follower.h"

namespace meridian {

struct CoordinatorClientOptions {
  std::vector<std::string> coordinators;  // Addresses; at least one.
  std::string region;
  absl::Duration heartbeat_interval = absl::Milliseconds(500);  // Until the coordinator says.
  absl::Duration reply_timeout = absl::Milliseconds(1500);      // Silence after which it is left.
  BackoffOptions backoff = {.initial = absl::Milliseconds(100), .max = absl::Seconds(1)};
  uint64_t random_seed = 0;  // Of the backoff's jitter.
  // What is hot here, called on the executor: told when a coordinator has taken the node, and then
  // every hot_keys_interval with a heartbeat. nullptr: nothing is told.
  std::function<std::vector<HotKey>()> hot_keys = nullptr;
  absl::Duration hot_keys_interval = absl::Seconds(5);
  // Whose reads are told likewise, every accesses_interval; not owned. nullptr: nobody's.
  AccessSampler* accesses = nullptr;
  absl::Duration accesses_interval = absl::Seconds(2);
  // Takes the policies that a coordinator assigns, and says which are followed; called on the
  // executor. Not owned, outlives the client; nullptr: nobody follows.
  PolicyFollower* policies = nullptr;
  // Told once of each topology that is planned, on the executor; SetHandedOff answers. nullptr:
  // this node hands nothing over, and says so at once.
  std::function<void(TopologyHolder::Snapshot planned)> planned = nullptr;
};

// For status pages.
struct CoordinatorClientStatus {
  bool connected = false;   // A coordinator has answered on the current stream.
  std::string coordinator;  // The one that is followed, or tried.
  std::string problem;      // Why the last stream ended; empty while connected.
};

class CoordinatorClient {
 public:
  CoordinatorClient(CoordinatorClientOptions options, const Clock& clock, Executor& executor,
                    CoordinatorTransport& transport, TopologyHolder& topology);

  // As the node `self`, whose addresses others can reach now. Before, nobody is connected to.
  void Start(Member self);
  // Ends the stream and makes no other. `done` is called on the executor.
  void Stop(std::function<void()> done);

  // kDraining: gives the slots away; the coordinator is told at once.
  void SetState(MemberState state);
  void SetWarmth(double warmth);
  // What this node loses by the planned topology of this epoch was handed over, or is not going to
  // be. The coordinator is told at once.
  void SetHandedOff(uint64_t epoch);

  CoordinatorClientStatus status() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Connect(const std::string& address);
  void TryNext();
  void HandleReply(uint64_t stream, CoordinatorReply reply);
  void TakeTopology(Topology next);
  void HandlePlanned(Topology planned);
  void HandleEnd(uint64_t stream, const StreamEnd& end);
  void Beat(uint64_t stream);
  void SendHeartbeat();
  void SetStatus(bool connected, const std::string& coordinator, const std::string& problem)
      ABSL_LOCKS_EXCLUDED(mu_);

  const CoordinatorClientOptions options_;
  const Clock& clock_;               // Not owned; outlives this.
  Executor& executor_;               // Not owned; outlives this.
  CoordinatorTransport& transport_;  // Not owned; outlives this.
  TopologyHolder& topology_;         // Not owned; outlives this.

  // Used on the executor only.
  Member member_;
  double warmth_ = 1;
  uint64_t planned_epoch_ = 0;     // That this stream's coordinator has told last.
  uint64_t handed_off_epoch_ = 0;  // Of it, when it was handed over for.
  std::minstd_rand random_;
  Backoff backoff_;
  size_t next_ = 0;            // Index of the coordinator to try next.
  size_t failures_ = 0;        // In a row.
  size_t redirects_ = 0;       // In a row.
  std::string logged_reason_;  // Of the last failure in the log: a long outage is one line.
  uint64_t stream_id_ = 0;     // Of stream_; events of others are not heard.
  std::unique_ptr<CoordinatorStream> stream_;
  absl::Duration heard_at_;
  absl::Duration interval_;
  absl::Duration hot_keys_due_;
  absl::Duration accesses_due_;
  bool stopped_ = false;

  mutable absl::Mutex mu_;
  CoordinatorClientStatus status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_MEMBERSHIP_COORDINATOR_CLIENT_H_
