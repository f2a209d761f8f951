#include "common/engine/pool_table.h"

#include <algorithm>
#include <utility>

namespace meridian {
namespace {

constexpr size_t kStepEntries = 64;

// The fair shares of pools with these caps (0: none) in `total`.
std::vector<size_t> FairShares(const std::vector<size_t>& caps, size_t total) {
  size_t uncapped = 0;
  double sum = 0;  // A double: caps may be "everything", and add up to more than 64 bits.
  for (const size_t cap : caps) {
    uncapped += cap == 0;
    sum += static_cast<double>(cap);
  }
  const double scale = sum > static_cast<double>(total) ? static_cast<double>(total) / sum : 1;
  const double rest = std::max(0.0, static_cast<double>(total) - sum);
  std::vector<size_t> shares;
  shares.reserve(caps.size());
  for (const size_t cap : caps) {
    const double share =
        cap == 0 ? rest / static_cast<double>(uncapped) : scale * static_cast<double>(cap);
    shares.push_back(static_cast<size_t>(share));
  }
  return shares;
}

}  // namespace

PoolTable::PoolTable(Limits total, std::unique_ptr<EvictionPolicy> shared) : total_(total) {
  Configure(kSharedPool, {}, std::nullopt, std::move(shared));
}

void PoolTable::Configure(PoolId id, Limits limits, std::optional<PoolId> demote_to,
                          std::unique_ptr<EvictionPolicy> policy) {
  if (id >= pools_.size()) pools_.resize(id + size_t{1});
  Pool& pool = pools_[id];
  pool.limits = limits;
  pool.demote_to = demote_to;
  NoteCap(pool);
  if (policy != nullptr) {
    for (size_t left = pool.use.entries; left > 0; --left) {
      EntryNode& node = pool.policy->Victim();
      pool.policy->OnRemove(node);
      node.policy_bits = 0;
      policy->OnInsert(node);
    }
    pool.policy = std::move(policy);
  }
  ComputeFairShares();
}

PoolTable::Limits PoolTable::StepTowards(PoolId id, Limits limits) const {
  if (id >= pools_.size() || pools_[id].use.entries <= kStepEntries) return limits;
  const PoolUse& use = pools_[id].use;
  if (limits.entries != 0) limits.entries = std::max(limits.entries, use.entries - kStepEntries);
  if (limits.bytes != 0) {
    const size_t step = use.bytes / use.entries * kStepEntries;
    limits.bytes = std::max(limits.bytes, use.bytes - step);
  }
  return limits;
}

void PoolTable::ComputeFairShares() {
  in_use_.clear();
  std::vector<size_t> bytes;
  std::vector<size_t> entries;
  for (size_t id = 0; id < pools_.size(); ++id) {
    if (pools_[id].policy == nullptr) continue;
    in_use_.push_back(static_cast<PoolId>(id));
    bytes.push_back(pools_[id].limits.bytes);
    entries.push_back(pools_[id].limits.entries);
  }
  bytes = FairShares(bytes, total_.bytes);
  entries = FairShares(entries, total_.entries);
  for (size_t i = 0; i < in_use_.size(); ++i) pools_[in_use_[i]].fair = {bytes[i], entries[i]};
}

size_t PoolTable::max_bytes(PoolId id) const {
  const size_t cap = pools_[id].limits.bytes;
  return cap == 0 ? total_.bytes : std::min(cap, total_.bytes);
}

template <typename Field, typename UseField>
PoolId PoolTable::FurthestAbove(Field fair, UseField use) const {
  // The shares add up to the total at most, so when that is exceeded, one pool is above its share.
  PoolId furthest = kSharedPool;
  size_t most = 0;
  for (const PoolId id : in_use_) {
    const Pool& pool = pools_[id];
    if (pool.use.*use <= pool.fair.*fair || pool.use.entries == 0) continue;
    const size_t above = pool.use.*use - pool.fair.*fair;
    if (above > most) {
      most = above;
      furthest = id;
    }
  }
  return furthest;
}

std::optional<PoolId> PoolTable::Over() const {
  if (over_cap_ > 0) {
    for (const PoolId id : in_use_) {
      if (pools_[id].over_cap) return id;
    }
  }
  if (used_.bytes > total_.bytes) return FurthestAbove(&Limits::bytes, &PoolUse::bytes);
  if (total_.entries != 0 && used_.entries > total_.entries) {
    return FurthestAbove(&Limits::entries, &PoolUse::entries);
  }
  return std::nullopt;
}

}  // namespace meridian
