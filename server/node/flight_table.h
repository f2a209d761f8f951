// FlightTable knows the flight that each key has now.
//
// Promise: at most one flight of a kind and key can be joined, and a new one takes its place only
//   when something that came since its load began makes void what it loads: a newer version of the
//   key, or a fence of the key's namespace or prefix. Who joins otherwise, but knows more than the
//   flight did when it began, is told apart by MissPath (IsLate). A forced look never shares one
//   that has begun: it joins the next, which begins when this one has landed. At most kMaxWaiters
//   wait.
// Cost: one lock of one of 64 parts and one hash lookup to join; a few allocations a flight.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_FLIGHT_TABLE_H_
#define MERIDIAN_SERVER_NODE_FLIGHT_TABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "common/engine/engine.h"
#include "server/node/flight.h"

namespace meridian {

class FlightTable {
 public:
  static constexpr int64_t kMaxWaiters = 200'000;

  // `engine` is not owned and outlives this.
  explicit FlightTable(Engine& engine) : engine_(engine) {}

  struct Joined {
    std::shared_ptr<Flight> flight;  // nullptr: too many wait already.
    uint64_t id = 0;                 // Of the waiter, for Flight::Take.
    bool lead = false;               // The caller begins the flight.
    // The flight's lease is void by what the waiter knows: the caller takes it back.
    Version void_lease = {};
  };

  // Adds the waiter to the key's flight, or to a new one.
  Joined Join(const Namespace& name_space, const SlotPolicies& policies, FlightKind kind,
              const EntryKey& key, std::string_view request_id, Waiter waiter);

  // A new flight that nobody waits for yet, and that the caller begins; nullptr: the key has one of
  // this kind, or one of its own.
  std::shared_ptr<Flight> Lead(const Namespace& name_space, const SlotPolicies& policies,
                               FlightKind kind, const EntryKey& key);

  // An owned key's flight that has come to something, but not for all who wait, looks again. False:
  // another has taken its place; it follows that one, and the caller begins nothing.
  bool Return(const std::shared_ptr<Flight>& flight);

  // The owned key's flight; nullptr: none.
  std::shared_ptr<Flight> Find(const EntryKey& key);

  // The flight has landed (Flight::landed). Returns the next one of its key, which the caller
  // begins; nullptr: nobody waits for one. Called once for each flight.
  std::shared_ptr<Flight> Remove(const Flight& flight);

  // A waiter was taken out.
  void Left(int64_t waiters = 1) { waiters_.fetch_sub(waiters, std::memory_order_relaxed); }

  int64_t waiters() const { return waiters_.load(std::memory_order_relaxed); }
  size_t size() const;

  // Somebody has a lease of the flight's key, or nobody has any more. Told together with the
  // flight's phase, so that LeasedOf leaves out none.
  void LeaseBegan(const std::shared_ptr<Flight>& flight) ABSL_EXCLUSIVE_LOCKS_REQUIRED(flight->mu);
  void LeaseEnded(const Flight& flight) ABSL_EXCLUSIVE_LOCKS_REQUIRED(flight.mu);
  // The flights of a slot of whose keys somebody has a lease. Cost: theirs alone.
  std::vector<std::shared_ptr<Flight>> LeasedOf(uint32_t slot) const;
  // How many there are of all slots.
  int64_t leased() const { return leased_.load(std::memory_order_relaxed); }

 private:
  struct Key {
    NamespaceId name_space;
    FlightKind kind;
    uint64_t hash;
    std::string_view bytes;  // Of the flight.
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const {
      return key.hash + static_cast<size_t>(key.kind);  // Of a keyed hash already.
    }
  };
  struct Slot {
    std::shared_ptr<Flight> now;
    std::shared_ptr<Flight> next;  // Forced looks and those around that came when `now` had begun.
  };
  struct Part {
    mutable absl::Mutex mu;
    absl::flat_hash_map<Key, Slot, KeyHash> flights ABSL_GUARDED_BY(mu);
  };

  struct Leases {  // Of some slots.
    mutable absl::Mutex mu;
    absl::flat_hash_map<uint32_t, absl::flat_hash_map<const Flight*, std::shared_ptr<Flight>>>
        by_slot ABSL_GUARDED_BY(mu);
  };

  static Key KeyOf(FlightKind kind, const EntryKey& key) {
    return Key{key.name_space, kind, key.hash, key.key};
  }
  Part& PartOf(uint64_t hash) { return parts_[(hash >> 20) % parts_.size()]; }

  // False: the flight has landed, or what it loads is void for the waiter.
  bool TryJoin(Flight& flight, Waiter* waiter, Joined* joined) const;
  // Whether what the waiter knows makes void what was loaded or leased with the flight's version.
  bool IsOvertaken(const Flight& flight, const Waiter& waiter) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(flight.mu);

  Engine& engine_;
  std::array<Part, 64> parts_;
  std::array<Leases, 64> leases_;
  std::atomic<int64_t> waiters_{0};
  std::atomic<int64_t> leased_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_FLIGHT_TABLE_H_
