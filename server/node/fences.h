// Fences is what this node knows of the fences of its region: the engine's table, which reads ask,
// and their names, for the store that has lost them and for those who follow.
//
// Bounded: of more than kMaxNamed fences the older half of those of the namespace that has most is
//   given up for one fence of that namespace, which kills more, never less. So is what a
//   namespace's fence says already.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_FENCES_H_
#define MERIDIAN_SERVER_NODE_FENCES_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/base/version.h"
#include "common/engine/engine.h"
#include "server/node/fence.h"

namespace meridian {

class Fences {
 public:
  static constexpr size_t kMaxNamed = FenceTable::kMaxFences / 2;

  // Is told every fence that was news, in no order; not under a lock of this class. Must not block.
  using Listener = std::function<void(const Fence&)>;

  // Neither is owned; both outlive this. `known`: there is no store to learn from.
  Fences(Engine& engine, HybridClock& versions, bool known)
      : engine_(engine), versions_(versions), known_(known) {}

  // From now on no read serves what the fence covers, and every version that this node gives is
  // newer. Returns kFailedPrecondition (CLOCK_SKEW), having learnt nothing, for a fence from the
  // future.
  absl::Status Learn(const Fence& fence) ABSL_LOCKS_EXCLUDED(mu_);

  // The same of a fence that was made just now, whose issuer waits: what the fence kills must not
  // come back by a conditional write that was judged before it was known here and has got a newer
  // version. So it is in force here up to the newest of those; returns that clock, or the fence's.
  absl::StatusOr<uint64_t> LearnPushed(Fence fence) ABSL_LOCKS_EXCLUDED(mu_, judging_);

  // Whoever lets a write depend on what is stored takes the write's version and asks for fences in
  // one `judge`(), which returns the newest version that it gave: a fence is known in all of it, or
  // newer than its versions.
  template <typename Judge>
  void WhileJudging(Judge judge) ABSL_LOCKS_EXCLUDED(judging_) {
    absl::ReaderMutexLock lock(&judging_);
    const uint64_t hlc = judge();
    uint64_t last = judged_.load(std::memory_order_relaxed);
    while (hlc > last && !judged_.compare_exchange_weak(last, hlc, std::memory_order_relaxed)) {
    }
  }

  // Whether everything that the store had when this node started is known: until then nothing that
  // the store holds may be served.
  bool known() const { return known_.load(std::memory_order_acquire); }
  void SetKnown() { known_.store(true, std::memory_order_release); }

  // True when an entry is dead. `tags` as in Record; `written` is its written_hlc().
  bool Covers(NamespaceId name_space, std::string_view key, std::string_view tags,
              uint64_t written) const {
    return engine_.fences().Covers(name_space, key, tags, written);
  }

  // The newest clock at which all that the fence covers is dead here; its version does not matter.
  uint64_t ClockOf(const Fence& fence) const;

  // Those that have names, which is all but what was given up.
  std::vector<Fence> List() const ABSL_LOCKS_EXCLUDED(mu_);

  // What was given up since the last call, with the versions that they had. Bounded like the names.
  std::vector<Fence> TakeGivenUp() ABSL_LOCKS_EXCLUDED(mu_);

  // REQUIRES: before the first Learn.
  void AddListener(Listener listener) { listeners_.push_back(std::move(listener)); }

  // How many were news, by FenceScope.
  uint64_t learned(FenceScope scope) const {
    return learned_[static_cast<size_t>(scope)].load(std::memory_order_relaxed);
  }
  // How often the older half of a namespace's fences became one of the namespace.
  uint64_t merged() const { return merged_.load(std::memory_order_relaxed); }
  size_t named() const ABSL_LOCKS_EXCLUDED(mu_);
  // Nodes that did not say in time that they have a fence of this node.
  uint64_t unconfirmed() const { return unconfirmed_.load(std::memory_order_relaxed); }
  void CountUnconfirmed(size_t nodes) { unconfirmed_.fetch_add(nodes, std::memory_order_relaxed); }

 private:
  using Key = std::pair<std::string, std::string>;  // Of the store: namespace and key.

  // Takes those of a namespace that are not newer than `version` off names_, but for the fence of
  // the namespace itself.
  void GiveUp(const std::string& name_space, bool local, uint64_t hlc)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The fence that takes the place of what was given up, when there are too many.
  std::vector<Fence> Shrink() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // What Learn does when the fence is in the engine's table; `news`: it was not.
  absl::Status Note(const Fence& fence, bool news) ABSL_LOCKS_EXCLUDED(mu_);

  Engine& engine_;
  HybridClock& versions_;
  absl::Mutex judging_ ABSL_ACQUIRED_BEFORE(mu_);
  std::atomic<uint64_t> judged_{0};  // The newest version of a conditional write.
  std::atomic<bool> known_;
  std::vector<Listener> listeners_;
  std::array<std::atomic<uint64_t>, 3> learned_ = {};
  std::atomic<uint64_t> unconfirmed_{0};
  std::atomic<uint64_t> merged_{0};
  mutable absl::Mutex mu_;
  std::map<Key, Version> names_ ABSL_GUARDED_BY(mu_);
  std::vector<Fence> given_up_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_FENCES_H_
