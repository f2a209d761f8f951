// PolicyFollower decides which policies a node uses: those that its coordinator assigns, else those
// of its own file.
//
// What was assigned stays in force while no coordinator is there. The file counts again when the
// coordinator says so (version 0), or after a restart until it, or the store, is heard.
// Promise: only whole, valid tables are applied. An assignment that cannot be read here, as one of
// a
//   newer release, changes nothing; Status() says why until a later one is fine.
// Thread safety: Status() by any thread; the rest, and `apply`, by one at a time.

#ifndef MERIDIAN_SERVER_POLICY_POLICY_FOLLOWER_H_
#define MERIDIAN_SERVER_POLICY_POLICY_FOLLOWER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/policy/policy_table.h"
#include "server/policy/policy_trial.h"

namespace meridian {

struct AssignedVersion {
  uint64_t version = 0;
  std::string yaml;  // Empty: the node's own file.
};

// What a coordinator says that the nodes of its region use.
struct AssignedPolicies {
  uint64_t revision = 0;  // Grows with every change.
  AssignedVersion base;
  std::optional<AssignedVersion> trial;
  uint32_t trial_percent = 0;
};

struct PolicyFollowerStatus {
  uint64_t revision = 0;  // That is followed; 0: none was assigned.
  std::string problem;    // Why a newer one is not; empty: there is none.
  uint64_t base_version = 0;
  uint64_t trial_version = 0;
  uint32_t trial_percent = 0;  // 0: no trial.
};

class PolicyFollower {
 public:
  using Apply = std::function<void(PolicySet)>;

  // `own` is in force already.
  PolicyFollower(std::shared_ptr<const PolicyTable> own, Apply apply);

  // The node's file has changed.
  void SetOwn(std::shared_ptr<const PolicyTable> own);
  // An older assignment than the one that is followed is ignored.
  void Follow(const AssignedPolicies& assigned);

  PolicyFollowerStatus Status() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void ApplyNow();
  std::shared_ptr<const PolicyTable> OrOwn(const std::shared_ptr<const PolicyTable>& table) const {
    return table == nullptr ? own_ : table;
  }

  const Apply apply_;
  std::shared_ptr<const PolicyTable> own_;
  std::shared_ptr<const PolicyTable> base_;   // nullptr: own_.
  std::shared_ptr<const PolicyTable> trial_;  // nullptr: own_, when there is a trial.

  mutable absl::Mutex mu_;
  PolicyFollowerStatus status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_POLICY_FOLLOWER_H_
