// StoredPolicies tells a node that starts which policies the coordinators of its region have stored
// in the regional Redis, so that it need not go by its own file while none of them answers.
//
// Promise: asks until the store has answered or a coordinator has said which policies are in force:
//   its word counts more. One that is connected and has not said so, because it does not know yet,
//   is not heard. `done` is called once, then. Nobody waits for it: until it is known the node's
//   own file counts, also for whether the node is ready.
// Cost: one GET, and one more each kRetry while the store does not answer.
// Thread safety: made and destroyed while the executor does not run; everything runs on it.
//   REQUIRES: the executor outlives the store's callbacks.

#ifndef MERIDIAN_SERVER_MEMBERSHIP_STORED_POLICIES_H_
#define MERIDIAN_SERVER_MEMBERSHIP_STORED_POLICIES_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/executor.h"
#include "server/node/lease_store.h"
#include "server/policy/policy_follower.h"

namespace meridian {

class StoredPolicies {
 public:
  static constexpr absl::Duration kRetry = absl::Seconds(1);
  // More is none of ours: two versions of 256 KiB at most.
  static constexpr size_t kMaxBytes = 1 << 20;

  // References are not owned; `store` lives until `done`. `follower` is told what the coordinators
  // say, on the executor.
  StoredPolicies(LeaseStore& store, Executor& executor, PolicyFollower& follower,
                 std::function<void()> done);

  void Start();

 private:
  bool IsHeard() const { return follower_.Status().revision > 0; }
  void Ask();
  void Take(const absl::StatusOr<std::optional<std::string>>& stored);

  LeaseStore& store_;
  Executor& executor_;
  PolicyFollower& follower_;
  const std::function<void()> done_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_MEMBERSHIP_STORED_POLICIES_H_
