#include "server/policy/policy_trial.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace meridian {

TrialSlots::TrialSlots(uint64_t version, uint32_t percent) {
  std::array<std::pair<uint64_t, uint32_t>, kSlotCount> order;
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const std::array<char, 2> bytes = {static_cast<char>(slot & 0xff),
                                       static_cast<char>(slot >> 8)};
    order[slot] = {Hash64(std::string_view(bytes.data(), bytes.size()), version), slot};
  }
  std::sort(order.begin(), order.end());
  const size_t count = (size_t{std::min(percent, uint32_t{100})} * kSlotCount + 50) / 100;
  for (size_t i = 0; i < count; ++i) slots_.set(order[i].second);
}

bool IsOfWholeNamespace(std::string_view field) {
  const std::string_view group = field.substr(0, field.find('.'));
  constexpr std::array<std::string_view, 11> kWhole = {
      "key",  "bypass_parameters", "origin",      "replication",         "sync_regions",
      "tier", "max_bytes",         "max_entries", "write_without_redis", "eviction",
      "goals"};
  return std::find(kWhole.begin(), kWhole.end(), group) != kWhole.end();
}

NamespacePolicy TrialPolicy(const NamespacePolicy& base, NamespacePolicy trial) {
  trial.key = base.key;
  trial.bypass_parameters = base.bypass_parameters;
  trial.origin = base.origin;
  trial.replication = base.replication;
  trial.sync_regions = base.sync_regions;
  trial.write_without_redis = base.write_without_redis;
  trial.pools = base.pools;
  trial.goals = base.goals;
  return trial;
}

}  // namespace meridian
