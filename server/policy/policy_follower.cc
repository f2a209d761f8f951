#include "server/policy/policy_follower.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace meridian {
namespace {

using Table = std::shared_ptr<const PolicyTable>;

// nullptr: the node's own.
absl::StatusOr<Table> TableOf(const AssignedVersion& version) {
  if (version.yaml.empty()) return Table();
  ASSIGN_OR_RETURN(PolicyTable table,
                   PolicyTable::ReadFile(absl::StrCat("version ", version.version), version.yaml,
                                         PolicyTable::FileKind::kPolicies));
  return std::make_shared<const PolicyTable>(std::move(table));
}

}  // namespace

PolicyFollower::PolicyFollower(Table own, Apply apply)
    : apply_(std::move(apply)), own_(std::move(own)) {}

PolicyFollowerStatus PolicyFollower::Status() const {
  absl::MutexLock lock(&mu_);
  return status_;
}

void PolicyFollower::ApplyNow() {
  const PolicyFollowerStatus status = Status();
  PolicySet set = {.base = OrOwn(base_), .base_version = status.base_version};
  if (status.trial_percent > 0) {
    set.trial = OrOwn(trial_);
    set.trial_version = status.trial_version;
    set.trial_percent = status.trial_percent;
  }
  apply_(std::move(set));
}

void PolicyFollower::SetOwn(Table own) {
  own_ = std::move(own);
  if (base_ == nullptr) ApplyNow();
}

void PolicyFollower::Follow(const AssignedPolicies& assigned) {
  PolicyFollowerStatus next = Status();
  if (assigned.revision <= next.revision) return;
  absl::StatusOr<Table> base = TableOf(assigned.base);
  absl::StatusOr<Table> trial =
      assigned.trial.has_value() ? TableOf(*assigned.trial) : absl::StatusOr<Table>(Table());
  if (!base.ok() || !trial.ok()) {
    absl::MutexLock lock(&mu_);
    status_.problem = std::string((base.ok() ? trial : base).status().message());
    return;
  }
  base_ = *std::move(base);
  trial_ = *std::move(trial);
  next = {.revision = assigned.revision, .problem = "", .base_version = assigned.base.version};
  if (assigned.trial.has_value()) {
    next.trial_version = assigned.trial->version;
    next.trial_percent = assigned.trial_percent;
  }
  {
    absl::MutexLock lock(&mu_);
    status_ = next;
  }
  ApplyNow();
}

}  // namespace meridian
