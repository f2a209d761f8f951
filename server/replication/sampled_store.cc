#include "server/replication/sampled_store.h"

#include "server/node/fence.h"
#include "server/replication/staleness_sampler.h"

namespace meridian {

void SampledStore::SetListener(Listener listener) {
  absl::MutexLock lock(&mu_);
  listener_ = std::move(listener);
}

void SampledStore::Tell(CarriedOut change) const {
  absl::MutexLock lock(&mu_);
  if (listener_ != nullptr) listener_(std::move(change));
}

void SampledStore::Apply(std::vector<L2Write> writes, absl::Time deadline, ApplyCallback callback) {
  struct Chosen {
    size_t index;
    CarriedOut change;
  };
  std::vector<Chosen> chosen;
  for (size_t i = 0; i < writes.size(); ++i) {
    const L2Write& write = writes[i];
    // What is not logged need not be known to anybody.
    if (!write.logged || !IsSampled(write.key.name_space, write.key.key, write.version, one_in_)) {
      continue;
    }
    chosen.push_back({i, {write.key, write.version, clock_.Now()}});
  }
  if (chosen.empty()) return store_.Apply(std::move(writes), deadline, std::move(callback));
  store_.Apply(std::move(writes), deadline,
               [this, chosen = std::move(chosen),
                callback = std::move(callback)](std::vector<L2WriteResult> results) mutable {
                 std::erase_if(chosen, [&results](const Chosen& one) {
                   const L2WriteResult& result = results[one.index];
                   return !result.status.ok() || result.outcome != L2WriteOutcome::kApplied;
                 });
                 // First the writer's own memory: a look that is due at once must find it.
                 callback(std::move(results));
                 for (Chosen& one : chosen) Tell(std::move(one.change));
               });
}

}  // namespace meridian
