// LeaderLease makes one of several coordinators the leader, by a lease that it renews.
//
// Promise: is_leader() of two processes is never true at the same time, as long as their monotonic
//   clocks run at rates that differ by less than `margin` in `ttl`: a leader counts its time from
//   when it asked, not from when the answer came, and stops `margin` before the store lets another
//   in. It does not lead, nor try to, while ClockWitnesses say that its wall clock is off. What a
//   paused leader sends late is refused by the fencing token (lease_store.h). A store
//   that loses its data is the exception: a coordinator that starts in that very moment, has
//   never heard of a leader, and finds the store at its first question, leads beside the old one
//   for up to ttl.
//   When the store has lost its data, who led last is before the others: they wait until nobody has
//   taken the lease for ttl, as does one that found the store away when it started.
// Cost: one small call to the store every ttl / 3, every ttl / 10 while it fails.
// Thread safety: is_leader() and view() may be called by any thread; everything else, and the
//   listeners, run on the executor. REQUIRES: the executor is stopped before this is destroyed, and
//   outlives the store's callbacks.

#ifndef MERIDIAN_SERVER_COORDINATOR_LEADER_LEASE_H_
#define MERIDIAN_SERVER_COORDINATOR_LEADER_LEASE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "server/coordinator/clock_witnesses.h"
#include "server/node/lease_store.h"

namespace meridian {

struct LeaderLeaseOptions {
  std::string name = "coordinator";
  std::string holder;  // Unique among the coordinators, differs after every start.
  absl::Duration ttl = absl::Seconds(3);
  absl::Duration margin = absl::Milliseconds(500);  // < ttl / 2.
};

// Who leads, as far as this process knows.
struct LeaderView {
  bool leading = false;
  uint64_t token = 0;
  std::string address;  // Of the leader; empty: unknown.
  std::string problem;  // Why the store does not answer; empty: it did when it was asked last.
  std::string http_address = {};   // Of the leader; empty: unknown, or it is not to be reached.
  std::string clock_problem = {};  // Why this one must not lead (ClockWitnesses); empty: it may.
};

class LeaderLease {
 public:
  // The last note of a coordinator that stops, to whoever leads. No release takes it for alerts.
  static constexpr char kGoodbye[] = "goodbye";

  struct Listener {
    std::function<void(uint64_t token)> on_elected;
    std::function<void(const std::string& why)> on_lost;
    std::function<void()> on_data_lost = nullptr;  // The store had forgotten all; this one leads.
  };

  LeaderLease(LeaderLeaseOptions options, const Clock& clock, Executor& executor, LeaseStore& store,
              Listener listener);

  // Begins to ask for the lease. `address` is where others reach this coordinator, `http_address`
  // over HTTP; empty: they do not.
  void Start(std::string address, std::string http_address = "");

  // Stops asking; a leader steps down and gives the lease back, another one says goodbye. `done` is
  // called when the store has answered.
  void Stop(std::function<void()> done);

  // Steps down at once, for a caller that the store told so (a fenced write was refused).
  void StepDown(const std::string& why);

  // A node's clock says so. Steps down when it is this one's clock that is wrong.
  void NodeSaid(const std::string& node, absl::Time its_time);

  // What the leader is told while this coordinator does not lead; empty: nothing. Within ttl / 3.
  void SetNote(std::string note) { note_ = std::move(note); }
  // What others told a leader so within the last ttl, by their holders.
  std::map<std::string, std::string> Notes() const;

  // Of this clock, to the store's and the nodes'. Any thread.
  std::vector<ClockOffset> ClockOffsets() const { return clocks_.Offsets(); }

  bool is_leader() const ABSL_LOCKS_EXCLUDED(mu_);
  LeaderView view() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Note {
    std::string text;
    absl::Duration at;  // Monotonic.
  };

  void Ask();
  void AskAfter(absl::Duration delay);  // Unless another question goes out before.
  void HandleAnswer(uint64_t generation, absl::Duration asked_at,
                    const absl::StatusOr<LeaseState>& answer);
  void CheckExpiry();
  // For its clock; gives the lease back, so that another one need not wait for its end.
  void Renounce(const std::string& problem);
  void TakeNotes(const LeaseState& answer);
  LeaseClaim Claim();
  // Of what every answer tells.
  void Hear(const LeaseState& answer);
  void ForgetLeader() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const LeaderLeaseOptions options_;
  const Clock& clock_;  // Not owned; outlives this.
  Executor& executor_;  // Not owned; outlives this.
  LeaseStore& store_;   // Not owned; outlives this.
  const Listener listener_;

  ClockWitnesses clocks_;
  std::string address_;
  std::string http_address_;
  std::string note_;
  std::map<std::string, Note> notes_;  // By holder.
  bool store_was_away_ = false;        // At some question.
  bool stopped_ = false;
  uint64_t generation_ = 0;   // Of the last question.
  uint64_t last_heard_ = 0;   // Generation of the last answer; older ones are not heard.
  uint64_t known_token_ = 0;  // The highest that was heard of,
  uint64_t own_token_ = 0;    // and the last one of our own.
  std::optional<absl::Duration> free_since_;  // Monotonic; nullopt: somebody has the lease.
  mutable absl::Mutex mu_;                    // Never held while a listener or the store is called.
  LeaderView view_ ABSL_GUARDED_BY(mu_);
  absl::Duration valid_until_ ABSL_GUARDED_BY(mu_);  // Monotonic; of view_.leading.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_LEADER_LEASE_H_
