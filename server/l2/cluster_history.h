// ClusterHistory tells a failover of a Redis Cluster from a move of slots, by comparing one slot
// table with the next: a slot that comes to a server which was a primary already was moved with its
// data; one that comes to a server which was none was taken over by a replica, that may lack the
// last changes. Also the first slot that is moved to a server new to the cluster looks so: then it
// is compared once in vain. Thread safety: none.

#ifndef MERIDIAN_SERVER_L2_CLUSTER_HISTORY_H_
#define MERIDIAN_SERVER_L2_CLUSTER_HISTORY_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/l2/cluster_slots.h"
#include "server/policy/redis_url.h"

namespace meridian {

class ClusterHistory {
 public:
  // Redis' slots that were taken over since the table before; `table` is all of a server's answer.
  std::vector<bool> TakenOver(const SlotTable& table);

  // Redis' slots that the server had in the last table.
  std::vector<bool> SlotsOf(const RedisAddress& primary) const;

 private:
  // Of each of Redis' slots, the last one that was known; nullopt: none yet.
  std::vector<std::optional<RedisAddress>> primaries_{kRedisSlotCount};
  // In some table, and never a replica since: a server that lags behind gives an older table.
  std::set<RedisAddress> were_primary_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_CLUSTER_HISTORY_H_
