// LeaseStore is where one of several coordinators becomes the leader, and where the leader keeps
// what the next one must know. server/l2/redis_lease_store.h implements it on the regional Redis;
// LocalLeaseStore (local_lease_store.h) serves a coordinator that has no Redis and is alone.
//
// Fencing: every change of leader raises the token; PutFenced of an older token is refused, so a
//   paused leader that wakes up changes nothing (Kleppmann, "How to do distributed locking", 2016).
//   A store that has lost its data counts on from the highest token that a bidder has heard of, and
//   leaves the lease to whoever led when it did, who still knows what was stored
//   (keeping_lease_store.h).
// Promise: every callback is called exactly once, on the store's own thread; it must not block.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_LEASE_STORE_H_
#define MERIDIAN_SERVER_NODE_LEASE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace meridian {

// How much a bidder wants a lease that is free.
enum class LeaseClaim : uint8_t {
  kTakes = 0,    // Takes it, unless the store has lost its data.
  kInsists = 1,  // Takes it.
  kLeads = 2,    // Takes it; had it until now, as far as it knows, with `known_token`.
  kLooks = 3,    // Does not take it, nor renew it.
};

// Who asks for a lease, and what it tells the others by that.
struct LeaseBid {
  std::string holder;             // Its id.
  std::string address;            // Where it is reached.
  std::string http_address = {};  // The same over HTTP; empty: it is not.
  std::string note = {};          // Of one that does not get it, to the holder; empty: nothing.
  uint64_t known_token = 0;       // The highest that it has heard of.
  LeaseClaim claim = LeaseClaim::kTakes;
};

struct LeaseState {
  bool held = false;              // By the caller.
  uint64_t token = 0;             // Fencing token of the holder.
  std::string holder;             // Id of the holder; empty: it is free.
  std::string address;            // Where the holder is reached.
  std::string http_address = {};  // Empty: not known, as of a holder of an older release.
  // To the holder alone, and once: the notes of those that asked since it did last, by their ids.
  std::map<std::string, std::string> notes = {};
  bool lost_data = false;  // Held, by a store that has forgotten the token.
  // By the store's clock; unset: it has none of its own.
  std::optional<absl::Time> now = {};
};

// One value of PutAllFenced; nullopt deletes it.
struct FencedWrite {
  std::string key;
  std::optional<std::string> value;
};

class LeaseStore {
 public:
  static constexpr size_t kMaxNotes = 32;

  using LeaseCallback = std::function<void(absl::StatusOr<LeaseState>)>;
  using StatusCallback = std::function<void(absl::Status)>;
  using ValueCallback = std::function<void(absl::StatusOr<std::optional<std::string>>)>;

  virtual ~LeaseStore() = default;

  // Takes the lease `name` for `ttl` if it is free, as `bid.claim` wants it, or already
  // `bid.holder`'s (renewal keeps the token), and answers who has it now. Of at most kMaxNotes the
  // notes are kept.
  virtual void TryAcquire(std::string name, LeaseBid bid, absl::Duration ttl,
                          LeaseCallback callback) = 0;

  // Gives the lease back if `holder` has it.
  virtual void Release(std::string name, std::string holder, StatusCallback callback) = 0;

  // Stores `value` under `key` if `token` is the current token of the lease `name` and `name` is
  // held; kFailedPrecondition otherwise.
  virtual void PutFenced(std::string name, uint64_t token, std::string key, std::string value,
                         StatusCallback callback) = 0;

  // As PutFenced, of several values at once: all of them, or none.
  virtual void PutAllFenced(std::string name, uint64_t token, std::vector<FencedWrite> writes,
                            StatusCallback callback) = 0;

  // The value stored last, nullopt when there is none.
  virtual void GetValue(std::string key, ValueCallback callback) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_LEASE_STORE_H_
