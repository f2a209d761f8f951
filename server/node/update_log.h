// UpdateLog keeps which keys clients have changed through this node, until the coordinator is told:
// its rules for updates warm what hangs on them.
//
// What clients of this node Set or Invalidate is kept, once each; what peers, other regions,
//   origins and leases bring is not: they are no updates, or another node's.
// Bounds: keys and bytes, of a namespace and of all together. What is beyond is counted, and
//   nobody is told of it.
// Cost: in a namespace that no rule is for (SetFollowed), or with no room left, one relaxed load a
//   request; else one lock a request, and a copy of each key that is new.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_UPDATE_LOG_H_
#define MERIDIAN_SERVER_NODE_UPDATE_LOG_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "common/engine/engine.h"
#include "server/node/operations.h"

namespace meridian {

class UpdateLog {
 public:
  static constexpr size_t kMaxKeys = 200;       // Of a namespace,
  static constexpr size_t kMaxKeysOfAll = 500;  // and of all.
  static constexpr size_t kMaxBytes = size_t{256} << 10;

  // Keys of one namespace.
  struct Batch {
    NamespaceId id = 0;
    std::string name_space;
    std::vector<std::string> keys;
  };

  // At first all are followed.
  bool Follows(NamespaceId id) const {
    return states_[id].load(std::memory_order_relaxed) != State::kLeftOut;
  }
  // False: its keys are not kept until further notice, and what is kept of them goes.
  void SetFollowed(NamespaceId id, bool follows) ABSL_LOCKS_EXCLUDED(mu_);

  // What became of a client's request.
  void Add(NamespaceId id, const WriteRequest& request, const std::vector<WriteResult>& results)
      ABSL_LOCKS_EXCLUDED(mu_);
  // What was kept since the last call.
  std::vector<Batch> Take() ABSL_LOCKS_EXCLUDED(mu_);

  // Keys for which there was no room; of a full namespace also those that are kept already.
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  // kFull: there is no room for more of it until Take; nobody need wait for the lock to hear that.
  enum class State : uint8_t { kFollowed, kFull, kLeftOut };

  struct Lane {
    std::string name_space;
    absl::flat_hash_set<std::string> keys;
  };

  // Changed under mu_.
  std::array<std::atomic<State>, Engine::kMaxNamespaces + 1> states_ = {};
  std::atomic<uint64_t> dropped_{0};
  absl::Mutex mu_;
  absl::flat_hash_map<NamespaceId, Lane> lanes_ ABSL_GUARDED_BY(mu_);
  size_t keys_ ABSL_GUARDED_BY(mu_) = 0;  // Of all lanes; and their bytes.
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_UPDATE_LOG_H_
