// Batches of changes of a ReplicationLink that are fetched together and sent each by itself.

#ifndef MERIDIAN_SERVER_REPLICATION_SHIPMENT_H_
#define MERIDIAN_SERVER_REPLICATION_SHIPMENT_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "server/node/l2_store.h"
#include "server/replication/link_backlog.h"
#include "server/replication/own_drops.h"
#include "server/replication/replication_link.h"

namespace meridian {

// Changes of a batch that cannot be sent as they were made. They are counted when the batch has
// crossed, however often it was tried.
struct ReplicationLink::Losses {
  std::vector<bool> gone;             // The own store has them no more; whether it was a removal.
  std::vector<absl::Status> dropped;  // A store does not take them, or gives no record.
};

struct ReplicationLink::Shipment {
  uint64_t attempt = 0;
  std::vector<SlotBatch> batches;
  std::vector<L2Key> keys;  // Whose records are sent; of all batches, in their order.
  std::vector<std::vector<L2Write>> writes;    // By batch, until they are sent, and
  std::vector<std::vector<uint32_t>> changes;  // of which change of the batch each of them is.
  std::vector<Losses> losses;                  // By batch.
  // By batch, of its changes: what is sent in its place is not what was written.
  std::vector<std::vector<bool>> not_sent;
  // Of keys of which the own store has nothing, or something older than its log names.
  std::vector<OwnDrop> own_drops;
  std::set<uint32_t> overloaded;  // Slots of which not all was fetched, for the load on our side.
  size_t open = 0;                // Batches that are not finished.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_SHIPMENT_H_
