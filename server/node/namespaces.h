// Namespaces is what the node knows of each data type: its id in the engine, its policy, its
// counts.
//
// Promise: a Namespace* stays valid as long as the Namespaces object, and so does every policy that
//   it had: a request that took one before a reload ends with it. The few policies that were ever
//   in force are what that costs.
// Cost: Resolve takes a shared lock and one hash lookup; call it once a request, not once a key.
//   Namespace::policy() is one load.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_NAMESPACES_H_
#define MERIDIAN_SERVER_NODE_NAMESPACES_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "common/engine/engine.h"
#include "common/engine/traffic_log.h"
#include "server/policy/policy_table.h"

namespace meridian {

// Of values that are stored compressed. As NamespaceCounters.
struct CompressionCounters {
  std::atomic<uint64_t> compressed_values{0};
  std::atomic<uint64_t> incompressible_values{0};  // Tried, and left as they were.
  std::atomic<uint64_t> raw_bytes{0};              // Of the compressed ones, before ...
  std::atomic<uint64_t> stored_bytes{0};           // ... and after.
  std::atomic<uint64_t> inflated_values{0};
  std::atomic<uint64_t> corrupt_values{0};  // Could not be inflated.
  std::atomic<uint64_t> deflate_nanos{0};   // CPU time.
  std::atomic<uint64_t> inflate_nanos{0};
};

// Counts since start. Relaxed: each is exact, together they are a moment's blur.
struct NamespaceCounters {
  std::atomic<uint64_t> l1_hits{0};
  std::atomic<uint64_t> l2_hits{0};
  std::atomic<uint64_t> misses{0};
  std::atomic<uint64_t> errors{0};
  std::atomic<uint64_t> sets{0};
  std::atomic<uint64_t> invalidations{0};
  std::atomic<uint64_t> not_admitted{0};     // Kept out of L1 by the admission policy.
  std::atomic<uint64_t> boosts{0};           // Lives in L1 that hits have lengthened.
  std::atomic<uint64_t> refreshes{0};        // Read again from L2 ahead of their expiry in L1.
  std::atomic<uint64_t> pool_promotions{0};  // Moved to a hotter pool by their hits.
  std::atomic<uint64_t> bypassed{0};         // Gets and Sets of keys that are not to be cached.
  CompressionCounters compression;
};

class Namespace {
 public:
  Namespace(std::string_view name_in, NamespaceId id_in, const NamespacePolicy& policy,
            std::unique_ptr<TrafficLog> traffic_in)
      : name(name_in), id(id_in), traffic(std::move(traffic_in)), policy_(&policy) {}

  // The policy in force. It may be another one at the next call: take it once a request.
  const NamespacePolicy& policy() const { return *policy_.load(std::memory_order_acquire); }

  // The engine's pool for the policy's pools[i]; the shared one while there is none.
  static constexpr size_t kMaxOwnPools = 4;
  PoolId pool(size_t i) const {
    return pools_[std::min(i, kMaxOwnPools - 1)].load(std::memory_order_relaxed);
  }

  const std::string name;
  const NamespaceId id;
  // What L1 was asked for, for what-if answers; nullptr when it is not followed.
  const std::unique_ptr<TrafficLog> traffic;
  mutable NamespaceCounters counters;

 private:
  friend class Namespaces;
  std::atomic<const NamespacePolicy*> policy_;
  std::array<std::atomic<PoolId>, kMaxOwnPools> pools_ = {};
};

class Namespaces {
 public:
  // So many namespaces, the first that are used, have a log of their traffic: up to 2 MiB each.
  static constexpr size_t kMaxTrafficLogs = 32;

  // `engine` is not owned and outlives this.
  Namespaces(Engine& engine, PolicyTable policies);

  // nullptr when there are Engine::kMaxNamespaces others already.
  const Namespace* Resolve(std::string_view name) ABSL_LOCKS_EXCLUDED(mu_);

  // All that were used, sorted by name.
  std::vector<const Namespace*> List() const ABSL_LOCKS_EXCLUDED(mu_);

  // The policies in force.
  std::shared_ptr<const PolicyTable> policies() const ABSL_LOCKS_EXCLUDED(mu_);

  // What of the policies' budgets cannot be done, or not wholly; for people.
  std::vector<std::string> Problems() const ABSL_LOCKS_EXCLUDED(mu_);

  // Puts other policies in force, for every request that begins from now on.
  void SetPolicies(std::shared_ptr<const PolicyTable> policies) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // `policy`, or the equal one that was in force before.
  const NamespacePolicy& Keep(const NamespacePolicy& policy) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Makes the engine's pools those of `policy`, before it is in force.
  void SetPools(Namespace& name_space, const NamespacePolicy& policy)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Engine& engine_;
  mutable absl::Mutex mu_;
  std::shared_ptr<const PolicyTable> policies_ ABSL_GUARDED_BY(mu_);
  PoolId next_pool_ ABSL_GUARDED_BY(mu_) = kSharedPool + 1;
  std::vector<std::string> problems_ ABSL_GUARDED_BY(mu_);
  // Every policy that was ever in force, each once: readers hold plain pointers.
  std::vector<std::unique_ptr<const NamespacePolicy>> kept_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, std::unique_ptr<Namespace>> map_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_NAMESPACES_H_
