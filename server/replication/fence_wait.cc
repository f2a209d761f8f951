#include "server/replication/fence_wait.h"

#include <utility>

#include "server/replication/hearing.h"
#include "server/replication/replicated_write.h"

namespace meridian {
FenceWait::FenceWait(FenceWaitOptions options, L2Store& own, std::map<std::string, L2Store*> others,
                     TaskGate gate, const Clock& clock)
    : options_(options),
      own_(own),
      others_(std::move(others)),
      gate_(std::move(gate)),
      clock_(clock) {}

void FenceWait::SetOwned(std::vector<uint32_t> slots) {
  slots_ = std::move(slots);
  if (looking_ || slots_.empty() || settled_.size() == others_.size()) return;
  looking_ = true;
  since_ = clock_.Monotonic();
  Look();
}

void FenceWait::Look() {
  if (slots_.empty()) {
    looking_ = false;
    absl::MutexLock lock(&mu_);
    waits_for_.clear();
    return;
  }
  for (const auto& [region, store] : others_) {
    if (settled_.count(region) == 0) ++open_;
  }
  for (const auto& [region, store] : others_) {
    if (settled_.count(region) == 0) Ask(region, *store);
  }
}

void FenceWait::Ask(const std::string& region, L2Store& store) {
  AskHearing(own_, {region, &store, slots_, TombstoneHorizon(clock_.Now(), options_.tombstone_ttl)},
             options_.timeout, gate_, clock_, [this, region](const HearingAnswer& answer) {
               Judge(region, answer.status.ok() && !answer.unheard.empty());
             });
}

void FenceWait::Judge(const std::string& region, bool behind) {
  if (clock_.Monotonic() - since_ > options_.give_up) behind = false;
  if (!behind) settled_.insert(region);
  {
    absl::MutexLock lock(&mu_);
    if (behind) {
      waits_for_.insert(region);
    } else {
      waits_for_.erase(region);
    }
  }
  if (--open_ > 0) return;
  if (settled_.size() == others_.size()) {
    looking_ = false;
  } else {
    gate_.PostAfter(options_.interval, [this] { Look(); });
  }
}

std::vector<std::string> FenceWait::WaitsFor() const {
  absl::MutexLock lock(&mu_);
  return {waits_for_.begin(), waits_for_.end()};
}

}  // namespace meridian
