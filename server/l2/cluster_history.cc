#include "server/l2/cluster_history.h"

namespace meridian {

std::vector<bool> ClusterHistory::TakenOver(const SlotTable& table) {
  std::vector<bool> taken(kRedisSlotCount, false);
  for (size_t slot = 0; slot < kRedisSlotCount; ++slot) {
    const std::optional<size_t> primary = table.PrimaryOf(static_cast<uint16_t>(slot));
    if (!primary) continue;  // Nobody's: whoever had it last is remembered.
    const RedisAddress& now = table.primaries()[*primary];
    std::optional<RedisAddress>& before = primaries_[slot];
    taken[slot] = before && *before != now && were_primary_.count(now) == 0;
    before = now;
  }
  for (size_t i = 0; i < table.primaries().size(); ++i) {
    for (const RedisAddress& replica : table.ReplicasOf(i)) were_primary_.erase(replica);
  }
  were_primary_.insert(table.primaries().begin(), table.primaries().end());
  return taken;
}

std::vector<bool> ClusterHistory::SlotsOf(const RedisAddress& primary) const {
  std::vector<bool> slots(kRedisSlotCount, false);
  for (size_t slot = 0; slot < kRedisSlotCount; ++slot) slots[slot] = primaries_[slot] == primary;
  return slots;
}

}  // namespace meridian
