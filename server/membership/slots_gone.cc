#include "server/membership/slots_gone.h"

#include <utility>

namespace meridian {

void SlotsGone::Waiting::TellAll() {
  std::vector<std::function<void()>> told;
  {
    absl::MutexLock lock(&mu);
    told.swap(all);
  }
  for (const std::function<void()>& gone : told) gone();
}

SlotsGone::SlotsGone(TopologyHolder& topology, std::string id)
    : topology_(topology), id_(std::move(id)) {
  topology_.AddListener([waiting = waiting_, id = id_](const TopologyHolder::Snapshot&,
                                                       const TopologyHolder::Snapshot& current) {
    if (current->SlotsOf(id).empty()) waiting->TellAll();
  });
}

void SlotsGone::Await(std::function<void()> gone) {
  {
    absl::MutexLock lock(&waiting_->mu);
    waiting_->all.push_back(std::move(gone));
  }
  // After that, so that no change is missed between the two.
  if (topology_.Get()->SlotsOf(id_).empty()) waiting_->TellAll();
}

}  // namespace meridian
