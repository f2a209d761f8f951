// MissPath looks for keys that L1 does not have in the tiers below: one look per key and node,
// however many callers want it.
//
// The L2 reads of one call's keys go out together. A value that was found is put into L1 when the
// key is ours and the policy says so.
// Promise: every waiter is landed exactly once, or was taken out by Leave; a waiter is never given
//   something older than what this node knew of the key when it began to wait. No thread waits for
//   the network. When many wait for one key, they are answered on the executor of the timers, some
//   at a time.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_MISS_PATH_H_
#define MERIDIAN_SERVER_NODE_MISS_PATH_H_

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "server/node/flight.h"
#include "server/node/flight_table.h"
#include "server/node/l2_store.h"
#include "server/node/node_context.h"
#include "server/node/operations.h"
#include "server/node/record.h"

namespace meridian {

// A key that L1 did not have, and what L1 had seen of it when it was asked.
struct MissedKey {
  uint32_t index;  // Of the caller.
  EntryKey key;
  FillToken token;
};

class MissPath {
 public:
  // Where a caller waits.
  struct Wait {
    std::shared_ptr<Flight> flight;
    uint64_t id;
  };

  // `context` and what it refers to are not owned and outlive every callback.
  explicit MissPath(const NodeContext& context) : context_(context) {}

  // Lands `who` for every key; may do so before it returns. `around`: the keys are not ours.
  // The caller keeps the bytes of the keys for the time of the call. Returns where `who` waits.
  std::vector<Wait> Get(const Namespace& name_space, const NamespacePolicy& policy,
                        const ReadRequest& request, std::span<const MissedKey> keys, bool around,
                        const std::shared_ptr<FlightWaiter>& who);

  // The caller waits no longer. nullopt: it was landed, or is being landed.
  std::optional<Waiter> Leave(const Wait& wait);

  // Reads a key of ours from L2 and lengthens the life of its entry in L1, which has `version`, or
  // replaces it. Nobody waits for it.
  void Refresh(const Namespace& name_space, const EntryKey& key, Version version);

  const FlightTable& flights() const { return flights_; }

 private:
  using FlightPtr = std::shared_ptr<Flight>;

  // Begins flights: reads their keys from L2.
  // Reads L2 until `deadline`, then once more for those who joined and have more time.
  void Begin(std::vector<FlightPtr> flights, absl::Time deadline = absl::InfiniteFuture());
  void TakeRecord(const FlightPtr& flight, const L2Record& record);
  void TakeStored(const FlightPtr& flight, const L2Record& record, Tier tier);
  // There is no live value; `flight` may have an old one.
  void NotFound(const FlightPtr& flight);

  // A write that waits for the store, if it is newer than what the store has said.
  std::optional<L2Record> NewerHint(const Flight& flight, const L2Record& record) const;

  // Puts what L2 has into L1, if the policy says so.
  void FillL1(const Flight& flight, const Record& record, absl::Duration ttl, const Buffer& value);

  // Ends the flight for all who wait, and begins the next one of its key.
  void Land(const FlightPtr& flight, const Landing& landing);
  void LandError(const FlightPtr& flight, Error error);

  const NodeContext& context_;
  FlightTable flights_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_MISS_PATH_H_
