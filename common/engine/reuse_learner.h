// ReuseLearner is what the AdaptivePolicies of all shards of a pool know together: a sample of all
// their keys teaches one model, and one choice of the table of worths is made for all.
//
// The shards have the same share of the room and of the keys, so that what one learns holds for the
// others; each keeps a copy of the rules, which it renews when Version() has changed. Times are in
// the ticks of one shard: all requests are counted, and divided by the shards.
//
// Cost: a shard comes here for a key of the sample (one in 128 or less of a large cache) and now
// and then to learn; the sample is that of ReuseAudit for all shards together.
// Thread safety: all methods may be called concurrently, also under a shard's lock.

#ifndef MERIDIAN_COMMON_ENGINE_REUSE_LEARNER_H_
#define MERIDIAN_COMMON_ENGINE_REUSE_LEARNER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/engine/reuse_audit.h"
#include "common/engine/reuse_model.h"
#include "common/engine/reuse_state.h"

namespace meridian {

class ReuseLearner {
 public:
  // What a shard goes by.
  struct Rules {
    ReuseScale scale;
    WorthTable worth;
    ReuseTable table = kLearnedWorth;  // Which one `worth` is.
    bool bytes_are_short = false;      // Not entries.
    ReuseSample sample;
    uint32_t version = 0;
  };

  // `most_entries`, `resolution`: of a shard, as for ReuseScale.
  ReuseLearner(size_t shards, size_t most_entries, size_t resolution, XorShift random);

  // Changes when the rules have.
  uint32_t Version() const { return version_.load(std::memory_order_acquire); }
  void Renew(Rules* rules) const ABSL_LOCKS_EXCLUDED(mu_);

  // A use of a key of the sample.
  struct Use {
    uint32_t hash;
    ReuseState state;  // With this use.
    float charge;      // Of the entry; 1 where entries are counted.
    float cost;        // Of a miss.
  };
  // `requests`: of this shard since its last call.
  void Record(const Use& use, uint64_t requests) ABSL_LOCKS_EXCLUDED(mu_);

  // Takes in what was seen. `capacity`: how many entries a shard holds, about; `room`: what it may
  // hold, in the unit of the charges.
  void Learn(size_t capacity, size_t room, bool bytes_are_short) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const size_t shards_;
  std::atomic<uint32_t> version_{0};
  mutable absl::Mutex mu_;
  XorShift random_ ABSL_GUARDED_BY(mu_);
  ReuseScale scale_ ABSL_GUARDED_BY(mu_);
  ReuseModel model_ ABSL_GUARDED_BY(mu_);
  WorthTables worth_ ABSL_GUARDED_BY(mu_) = {};
  std::unique_ptr<ReuseAudit> audit_ ABSL_GUARDED_BY(mu_);
  size_t audit_for_ ABSL_GUARDED_BY(mu_) = 0;  // The capacity that audit_ was made for.
  bool bytes_are_short_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t requests_ ABSL_GUARDED_BY(mu_) = 0;  // Of all shards.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_REUSE_LEARNER_H_
