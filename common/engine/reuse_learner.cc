#include "common/engine/reuse_learner.h"

namespace meridian {
namespace {

constexpr double kRemakeFactor = 1.5;  // Of the capacity, when the audit is made anew.

}  // namespace

ReuseLearner::ReuseLearner(size_t shards, size_t most_entries, size_t resolution, XorShift random)
    : shards_(shards), random_(random), scale_(most_entries, resolution) {}

void ReuseLearner::Renew(Rules* rules) const {
  absl::MutexLock lock(&mu_);
  rules->scale = scale_;
  rules->table = audit_->Best();
  rules->worth = worth_[rules->table];
  rules->bytes_are_short = bytes_are_short_;
  rules->sample = audit_->sample();
  rules->version = version_.load(std::memory_order_relaxed);
}

void ReuseLearner::Publish() { version_.fetch_add(1, std::memory_order_release); }

void ReuseLearner::Record(const Use& use, uint64_t requests) {
  absl::MutexLock lock(&mu_);
  requests_ += requests;
  const uint32_t tick = static_cast<uint32_t>(requests_ / shards_ >> scale_.tick_shift());
  const ReuseTable before = audit_->Best();
  audit_->Record({use.hash, tick, use.state, use.charge, use.cost}, worth_, &model_);
  if (audit_->Best() != before) Publish();
}

void ReuseLearner::Learn(size_t capacity, size_t room, bool bytes_are_short) {
  absl::MutexLock lock(&mu_);
  if (bytes_are_short != bytes_are_short_) audit_for_ = 0;
  bytes_are_short_ = bytes_are_short;
  if (audit_ == nullptr || capacity != scale_.capacity()) {
    scale_.SetCapacity(capacity);
    StableFrequencyWorth(scale_, &worth_[kStableWorth]);
    DistanceWorth(scale_, &worth_[kDistanceWorth]);
    RecencyWorth(&worth_[kRecencyWorth]);
  }
  const double change = static_cast<double>(capacity) / static_cast<double>(audit_for_);
  if (audit_for_ == 0 || change > kRemakeFactor || change < 1 / kRemakeFactor) {
    audit_for_ = capacity;
    audit_ = std::make_unique<ReuseAudit>(capacity * shards_, room * shards_, XorShift(random_()));
  }
  model_.Solve(scale_, &worth_[kLearnedWorth]);
  Publish();
}

}  // namespace meridian
