// ReadCall is one request of ReadPath that L1 could not answer completely, on its way: it waits for
// what the tiers below bring (MissPath), asks other owners, goes around those that do not answer,
// and answers when the last part has come back.
//
// Thread safety: Start is called once; what comes back may come on any thread.

#ifndef MERIDIAN_SERVER_NODE_READ_CALL_H_
#define MERIDIAN_SERVER_NODE_READ_CALL_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/node/flight.h"
#include "server/node/miss_path.h"
#include "server/node/node_context.h"
#include "server/node/operations.h"
#include "server/node/peer_transport.h"
#include "server/node/routing.h"

namespace meridian {

class ReadPath;

// Lives until its last part has come back.
class ReadCall final : public FlightWaiter, public std::enable_shared_from_this<ReadCall> {
 public:
  ReadCall(ReadPath& path, const NodeContext& context, MissPath& misses, const ReadRequest& request,
           const Namespace& name_space, SlotPolicies policies, TopologyHolder::Snapshot topology,
           std::vector<ReadResult> results, ReadCallback callback, absl::Duration began)
      : path_(path),
        context_(context),
        misses_(misses),
        request_(request),
        name_space_(name_space),
        policies_(std::move(policies)),
        topology_(std::move(topology)),
        results_(std::move(results)),
        callback_(std::move(callback)),
        began_(began),
        wants_leases_(request.options.want_lease && !policies_.base().origin.enabled()),
        wait_ends_(std::min(LowerDeadline(), context.clock.Now() + request.options.lease_wait)) {}

  // Starts every part and answers when the last is back.
  void Start(const std::vector<MissedKey>& misses, std::vector<uint32_t> ownerless,
             OwnerGroups groups);

 private:
  absl::Time LowerDeadline() const { return request_.deadline - kReplyMargin; }

  // Waits for keys that L1 does not have, at most until the deadline.
  void Await(const std::vector<MissedKey>& keys, bool around);

  TimerQueue::Id TimerAt(absl::Time when, void (ReadCall::*run)());

  bool WaitsForLeases() const override { return may_wait_.load(std::memory_order_acquire); }

  // The call has a lease, or has waited long enough: it waits for no other holder.
  void EndLeaseWaits();

  // The deadline has come: what is not there is not waited for.
  void GiveUp();

  void Land(const Waiter& waiter, const Landing& landing) override;

  // Of a read that somebody waits for.
  void Count(uint32_t slot, const Landing& landing) const;
  // Whether L1 has what a read that warms has found; for the waiter's key, of this node.
  void NoteKept(const Waiter& waiter, ReadResult* result) const;

  void Take(const Landing& landing, ReadResult* result) const;

  // Looks for keys whose owner is unknown or does not answer. Does not touch L1.
  void FetchAround(const std::vector<uint32_t>& indexes);

  // An answer before these times is the owner's last word.
  struct Attempt {
    absl::Time ends;
    absl::Time waits_until;  // For who has leases.
  };

  // Asks the owner. When the topology turns out to be old, asks the new owner once; when the owner
  // does not answer, or neither of them owns the key, goes around it. Without Redis there is no way
  // around: it asks until somebody owns the key.
  void Forward(const TopologyHolder::Snapshot& topology, OwnerGroup group, bool first);

  // Whether the owner may wait for somebody who fills the key.
  bool MayBeFilled() const;

  // Whether the owner, which is alive, still waits for the origin. An attempt takes only a part of
  // our time.
  bool StillLoads(const ReadResult& answer) const;

  void TakeReply(const TopologyHolder::Snapshot& topology, OwnerGroup group, PeerReadReply reply,
                 Attempt attempt, bool first);

  // Sends keys once more, by a newer topology. What is ours now is read from L2 without a fill.
  void Reroute(const TopologyHolder::Snapshot& newer, std::vector<uint32_t> indexes);

  // Reroutes after kOwnerChanging.
  void AskLater(std::vector<uint32_t> indexes);

  void GoAround(std::vector<uint32_t> indexes, const absl::Status& why);

  void Done();

  // Waits for keys that others fill, of one owner: the next one in turn. False: there is no reason
  // to wait. A call that got a lease, from whatever owner, has its answer.
  bool WaitAtOnePlace();

  void StopTimers();

  void InflateAndAnswer();

  ReadPath& path_;
  const NodeContext& context_;
  MissPath& misses_;
  const ReadRequest& request_;
  const Namespace& name_space_;
  const SlotPolicies policies_;
  const TopologyHolder::Snapshot topology_;
  // Parts write disjoint elements; the last Done() synchronises with all of them.
  std::vector<ReadResult> results_;
  ReadCallback callback_;
  const absl::Duration began_;
  const bool wants_leases_;
  const absl::Time wait_ends_;  // Of the waiting for those who have leases.
  // Never again true once it is false: a lease may be in the call, which others wait for.
  std::atomic<bool> may_wait_{true};
  size_t turn_ = 0;  // Of WaitAtOnePlace.
  std::atomic<int> pending_{0};
  absl::Mutex mu_;
  std::vector<MissPath::Wait> waits_ ABSL_GUARDED_BY(mu_);
  TimerQueue::Id timer_ ABSL_GUARDED_BY(mu_);
  TimerQueue::Id lease_timer_ ABSL_GUARDED_BY(mu_);
  bool gave_up_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_READ_CALL_H_
