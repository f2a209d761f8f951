// PoolTable is the budget pools of one shard: what each holds, and which one must give way.
//
// A pool's cap is also its fair share, as far as the caps fit into the total: when they add up to
// more, they shrink in proportion. The pools without a cap, the shared one among them, divide
// equally what the caps leave. Bytes and entries are reckoned apart.
// Rule: a pool over its cap gives way first. When only the total is exceeded, the pool that is
//   furthest above its fair share does, so a pool may use what others leave free, and they get it
//   back.
// Cost: Over() is O(pools in use) when something has to go; the rest is O(1). No allocation but in
// Configure. Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_POOL_TABLE_H_
#define MERIDIAN_COMMON_ENGINE_POOL_TABLE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "common/engine/eviction_policy.h"
#include "common/engine/pool.h"

namespace meridian {

class PoolTable {
 public:
  // Of one shard. 0: no bound of its own.
  struct Limits {
    size_t bytes = 0;
    size_t entries = 0;
    friend bool operator==(const Limits&, const Limits&) = default;
  };

  // `shared` is the policy of kSharedPool.
  PoolTable(Limits total, std::unique_ptr<EvictionPolicy> shared);

  // The pool that entries which name `id` belong to: itself, or kSharedPool when it was never
  // configured.
  PoolId Resolve(PoolId id) const {
    return id < pools_.size() && pools_[id].policy ? id : kSharedPool;
  }

  // Creates or changes a pool. What is in it moves over to `policy`, worst first, when there is
  // one: O(entries of the pool). nullptr keeps the policy that is there. REQUIRES: the demotions of
  // all pools make no cycle; `policy` for a new pool.
  void Configure(PoolId id, Limits limits, std::optional<PoolId> demote_to,
                 std::unique_ptr<EvictionPolicy> policy);

  // The next limits on the way of a pool to `limits`: those, or as far as it gets by giving up a
  // few entries.
  Limits StepTowards(PoolId id, Limits limits) const;

  // The rest REQUIRES a resolved id.
  EvictionPolicy& policy(PoolId id) { return *pools_[id].policy; }
  std::optional<PoolId> demote_to(PoolId id) const { return pools_[id].demote_to; }
  PoolUse use(PoolId id) const { return pools_[id].use; }
  Limits limits(PoolId id) const { return pools_[id].limits; }

  // The most that one entry of this pool may take.
  size_t max_bytes(PoolId id) const;

  void Add(PoolId id, size_t charge) {
    pools_[id].use.bytes += charge;
    ++pools_[id].use.entries;
    used_.bytes += charge;
    ++used_.entries;
    NoteCap(pools_[id]);
  }
  void Subtract(PoolId id, size_t charge) {
    pools_[id].use.bytes -= charge;
    --pools_[id].use.entries;
    used_.bytes -= charge;
    --used_.entries;
    NoteCap(pools_[id]);
  }

  // What all pools hold.
  PoolUse used() const { return used_; }

  // The pool that must give up an entry, by the rule above; nullopt when everything fits.
  std::optional<PoolId> Over() const;

 private:
  struct Pool {
    std::unique_ptr<EvictionPolicy> policy;  // nullptr: not configured.
    Limits limits;
    Limits fair;
    std::optional<PoolId> demote_to;
    PoolUse use;
    bool over_cap = false;
  };

  void NoteCap(Pool& pool) {
    const bool over = (pool.limits.bytes != 0 && pool.use.bytes > pool.limits.bytes) ||
                      (pool.limits.entries != 0 && pool.use.entries > pool.limits.entries);
    over_cap_ += static_cast<int>(over) - static_cast<int>(pool.over_cap);
    pool.over_cap = over;
  }

  void ComputeFairShares();
  template <typename Field, typename UseField>
  PoolId FurthestAbove(Field fair, UseField use) const;

  const Limits total_;
  std::vector<Pool> pools_;     // By id.
  std::vector<PoolId> in_use_;  // The configured ones, ascending.
  PoolUse used_;
  int over_cap_ = 0;  // How many pools are.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_POOL_TABLE_H_
