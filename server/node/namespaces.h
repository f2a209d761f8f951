// Namespaces is what the node knows of each data type: its id in the engine, its policy, its
// counts.
//
// Promise: a Namespace* stays valid as long as the Namespaces object. A request that took policies
//   before a reload ends with them; what neither is in force nor held by a request is freed,
//   however many versions there were.
// Cost: Resolve takes a shared lock and one hash lookup; call it once a request, not once a key.
//   Namespace::policies() takes a shared lock and counts a reference: likewise. SetPolicies makes
//   200 bytes for each namespace that is used, and during a trial a policy for each that is named.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_NAMESPACES_H_
#define MERIDIAN_SERVER_NODE_NAMESPACES_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "common/engine/engine.h"
#include "common/engine/traffic_log.h"
#include "server/node/key_rates.h"
#include "server/node/read_figures.h"
#include "server/node/slot_policies.h"
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

// Of what the origin was asked for, and of leases. As NamespaceCounters.
struct OriginCounters {
  std::atomic<uint64_t> loads{0};  // Calls, every attempt.
  std::atomic<uint64_t> retries{0};
  // Keys, by what became of them; `invalid`: the answer may not be stored; `unavailable`: the
  // origin could not be reached, or was not asked because it has failed too often.
  std::atomic<uint64_t> found{0};
  std::atomic<uint64_t> absent{0};
  std::atomic<uint64_t> errors{0};
  std::atomic<uint64_t> invalid{0};
  std::atomic<uint64_t> timeouts{0};
  std::atomic<uint64_t> unavailable{0};
  std::atomic<uint64_t> dependencies_cut{0};      // Entries that inherit more than they know.
  std::atomic<uint64_t> dependencies_unknown{0};  // That hang on a key that was not stored.
  std::atomic<uint64_t> ignored{0};               // Results that nobody had asked for.
  std::atomic<uint64_t> overtaken{0};             // Loaded, and not stored: something newer came.
  std::atomic<uint64_t> answers{0};               // Callers that were given a loaded value.
  std::atomic<uint64_t> negative_hits{0};  // Callers told that the origin has nothing, unasked.
  std::atomic<uint64_t> stale_answers{0};  // Callers that were given an old value.
  std::atomic<uint64_t> leases_granted{0};
  std::atomic<uint64_t> leases_filled{0};
  std::atomic<uint64_t> leases_void{0};      // Filled too late: something newer was there.
  std::atomic<uint64_t> leases_expired{0};   // Not filled in time.
  std::atomic<uint64_t> leases_returned{0};  // Without a value.
  std::atomic<double> mean_cost{0};          // That the origin said; 0: none yet.
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
  OriginCounters origin;
};

class Namespace {
 public:
  Namespace(std::string_view name_in, NamespaceId id_in, const SlotPolicies& policies,
            std::unique_ptr<TrafficLog> traffic_in, std::shared_ptr<ReadFigures> figures_in)
      : name(name_in),
        id(id_in),
        traffic(std::move(traffic_in)),
        figures(std::move(figures_in)),
        policies_(policies) {}

  // The policies in force. They may be others at the next call: take them once a request.
  SlotPolicies policies() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::ReaderMutexLock lock(&mu_);
    return policies_;
  }
  // What belongs to the namespace as a whole; of its keys only when no trial runs.
  std::shared_ptr<const NamespacePolicy> policy() const { return policies().shared_base(); }

  // The engine's pool for the policy's pools[i]; the shared one while there is none.
  static constexpr size_t kMaxOwnPools = 4;
  PoolId pool(size_t i) const {
    return pools_[std::min(i, kMaxOwnPools - 1)].load(std::memory_order_relaxed);
  }

  const std::string name;
  const NamespaceId id;
  // What L1 was asked for, for what-if answers; nullptr when it is not followed.
  const std::unique_ptr<TrafficLog> traffic;
  // Of reads of keys that this node owns; shared by the namespaces that are too many to have their
  // own.
  const std::shared_ptr<ReadFigures> figures;
  // Of reads that reach this node: those of near caches do not.
  mutable KeyRates rates;
  mutable NamespaceCounters counters;

 private:
  friend class Namespaces;
  mutable absl::Mutex mu_;  // After those of Namespaces.
  SlotPolicies policies_ ABSL_GUARDED_BY(mu_);
  std::array<std::atomic<PoolId>, kMaxOwnPools> pools_ = {};
};

class Namespaces {
 public:
  // So many namespaces, the first that are used, have a log of their traffic: up to 2 MiB each.
  static constexpr size_t kMaxTrafficLogs = 32;
  // So many, the first that are used, have read figures of their own; the rest have them together.
  static constexpr size_t kMaxFigures = 200;

  // `engine` is not owned and outlives this.
  Namespaces(Engine& engine, PolicyTable policies);

  // nullptr when there are Engine::kMaxNamespaces others already. A namespace that was never used
  // waits for a change of the policies that is under way.
  const Namespace* Resolve(std::string_view name) ABSL_LOCKS_EXCLUDED(change_mu_, mu_);

  // All that were used, sorted by name.
  std::vector<const Namespace*> List() const ABSL_LOCKS_EXCLUDED(mu_);

  // The read figures of each, sorted by name; those that are shared under "other", last.
  std::vector<std::pair<std::string, std::shared_ptr<const ReadFigures>>> Figures() const
      ABSL_LOCKS_EXCLUDED(mu_);

  // The policies in force, of a trial those of the other slots.
  std::shared_ptr<const PolicyTable> policies() const ABSL_LOCKS_EXCLUDED(mu_);

  // What of the policies' budgets cannot be done, or not wholly; for people.
  std::vector<std::string> Problems() const ABSL_LOCKS_EXCLUDED(mu_);

  // Puts other policies in force, for every request that begins from now on. Those that are under
  // way, and those that begin while the engine's pools change, do not wait.
  void SetPolicies(PolicySet policies) ABSL_LOCKS_EXCLUDED(change_mu_, mu_);
  void SetPolicies(std::shared_ptr<const PolicyTable> policies) {
    SetPolicies(PolicySet{.base = std::move(policies)});
  }

 private:
  // The pools of a named namespace, or those of "*", which all others share.
  struct Budget {
    ShardRange shards;
    std::vector<PoolId> pools;  // As in the policy.
  };

  // Makes the engine's pools those of the policies. Budgets that are gone lose their pools only
  // when others need them: nothing enters those any more.
  void SetBudgets(const PolicyTable& policies, std::vector<std::string>* problems)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mu_);
  void SetBudget(const std::string& name, const NamespacePolicy& policy,
                 const PolicyTable& policies, std::vector<std::string>* problems)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mu_);
  // A new budget of so many pools, or that of a namespace that has none any more.
  Budget MakeBudget(const std::string& name, const std::vector<PoolOptions>& pools,
                    const PolicyTable& policies) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mu_);
  // Where the entries of who has this budget are, when it is used already.
  std::optional<ShardRange> UsedShards(const std::string& name, const PolicyTable& policies) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // Of the namespace, or of "*".
  const Budget* BudgetOf(const std::string& name, const PolicyTable& policies) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mu_);
  void GivePools(Namespace& name_space, const PolicyTable& policies,
                 std::vector<std::string>* problems) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mu_);

  // What `policies` say of a namespace. `slots`: of the trial; nullptr: none runs.
  SlotPolicies PoliciesOf(std::string_view name, const PolicySet& policies,
                          const std::shared_ptr<const TrialSlots>& slots)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mu_);
  std::vector<Namespace*> Used() ABSL_LOCKS_EXCLUDED(mu_);

  Engine& engine_;

  // Held while policies change and while a namespace is added; before mu_.
  absl::Mutex change_mu_ ABSL_ACQUIRED_BEFORE(mu_);
  // By the namespace's name, or "*". Only namespaces that have pools, or had.
  std::map<std::string, Budget> budgets_ ABSL_GUARDED_BY(change_mu_);
  PoolId next_pool_ ABSL_GUARDED_BY(change_mu_) = kSharedPool + 1;
  // TrialPolicy of two policies of the tables in force, which all namespaces that have them share.
  std::map<std::pair<const NamespacePolicy*, const NamespacePolicy*>,
           std::shared_ptr<const NamespacePolicy>>
      trials_ ABSL_GUARDED_BY(change_mu_);

  mutable absl::Mutex mu_;
  PolicySet policies_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const TrialSlots> trial_slots_ ABSL_GUARDED_BY(mu_);  // nullptr: no trial runs.
  std::vector<std::string> problems_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, std::unique_ptr<Namespace>> map_ ABSL_GUARDED_BY(mu_);
  // Of those beyond kMaxFigures; null: there are none.
  std::shared_ptr<ReadFigures> other_figures_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_NAMESPACES_H_
