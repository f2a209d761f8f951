#include "server/membership/stored_policies.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/membership/policies_proto.h"
#include "server/policy/rollout_keys.h"

namespace meridian {

StoredPolicies::StoredPolicies(LeaseStore& store, Executor& executor, PolicyFollower& follower,
                               std::function<void()> done)
    : store_(store), executor_(executor), follower_(follower), done_(std::move(done)) {}

void StoredPolicies::Start() {
  executor_.Post([this] { Ask(); });
}

void StoredPolicies::Ask() {
  if (IsHeard()) return done_();
  store_.GetValue(absl::StrCat(rollout_keys::kPartPrefix, rollout_keys::kAssignmentPart),
                  [this, executor = &executor_](absl::StatusOr<std::optional<std::string>> stored) {
                    executor->Post([this, stored = std::move(stored)] { Take(stored); });
                  });
}

void StoredPolicies::Take(const absl::StatusOr<std::optional<std::string>>& stored) {
  if (!stored.ok()) {
    executor_.PostAfter(kRetry, [this] { Ask(); });
    return;
  }
  coordinator::v1::PolicyAssignment assignment;
  if (IsHeard() || !stored->has_value()) return done_();
  if ((*stored)->size() > kMaxBytes || !assignment.ParseFromString(**stored)) {
    spdlog::warn("policies: what the store has cannot be read; those of the file stay in force");
    return done_();
  }
  if (assignment.revision() > 0) follower_.Follow(FromProto(assignment));
  done_();
}

}  // namespace meridian
