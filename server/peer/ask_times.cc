#include "server/peer/ask_times.h"

namespace meridian {

bool AskTimes::Begin(uint64_t hash, absl::Duration now) {
  absl::MutexLock lock(&mu_);
  if (next_.size() >= kMaxPast) {
    absl::erase_if(next_, [now](const auto& next) { return next.second <= now; });
  }
  absl::Duration& next = next_[hash];
  if (next > now) return false;
  next = absl::InfiniteDuration();
  return true;
}

void AskTimes::End(uint64_t hash, AskOutcome outcome, absl::Duration now) {
  absl::MutexLock lock(&mu_);
  next_[hash] = now + PauseAfter(outcome);
  ++counts_[static_cast<size_t>(outcome)];
}

AskTimes::Counts AskTimes::counts() const {
  absl::MutexLock lock(&mu_);
  return counts_;
}

}  // namespace meridian
