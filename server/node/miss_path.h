// MissPath looks for keys that L1 does not have in the tiers below: one look per key and node,
// however many callers want it.
//
// First L2: the reads of one call's keys go out together. Then, if the namespace has an origin,
// that: the value goes into L2 and L1 with the version that was given when the load began, so that
// a write, delete or fence that came meanwhile is newer and wins. Else a caller that asks for it is
// given a lease, the right to fill the key under such a version, and the others wait for the value;
// when it is not filled in time, the next one is given a lease.
// Promise: every waiter is landed exactly once; a waiter is never given
//   something older than what this node knew of the key when it began to wait. No thread waits for
//   the network. When many wait for one key, they are answered on the executor of the timers, some
//   at a time.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_MISS_PATH_H_
#define MERIDIAN_SERVER_NODE_MISS_PATH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "server/node/flight.h"
#include "server/node/flight_table.h"
#include "server/node/l2_store.h"
#include "server/node/node_context.h"
#include "server/node/operations.h"
#include "server/node/origin.h"
#include "server/node/record.h"

namespace meridian {

// A key that L1 did not have, and what L1 had seen of it when it was asked.
struct MissedKey {
  uint32_t index;  // Of the caller.
  EntryKey key;
  FillToken token;
};

class MissPath final : private OriginSink {
 public:
  // Where a caller waits.
  struct Wait {
    std::shared_ptr<Flight> flight;
    uint64_t id;
  };

  // `context` and what it refers to are not owned and outlive every callback.
  explicit MissPath(const NodeContext& context) : context_(context), flights_(context.engine) {}

  // Lands `who` for every key; may do so before it returns. `around`: the keys are not ours.
  // The caller keeps the bytes of the keys for the time of the call. Returns where `who` waits.
  std::vector<Wait> Get(const Namespace& name_space, const SlotPolicies& policies,
                        const ReadRequest& request, std::span<const MissedKey> keys, bool around,
                        const std::shared_ptr<FlightWaiter>& who);

  // The caller waits no longer: it is landed with what there is now, unless it was already.
  void Leave(const Wait& wait);
  // The same, if what it waits for is somebody else who has a lease. For callers whose
  // WaitsForLeases is false since they joined.
  void EndLeaseWait(const Wait& wait);

  // Reads a key of ours from L2 and lengthens the life of its entry in L1, which has `version`, or
  // replaces it. Nobody waits for it.
  void Refresh(const Namespace& name_space, const EntryKey& key, Version version);
  // Loads a key of ours anew from its origin. Nobody waits for it.
  void Reload(const Namespace& name_space, const EntryKey& key);

  // A key of ours was written: who waits for it to be filled is given the value.
  void OnWritten(const EntryKey& key, const Landing& value);
  // The leases of a key of ours up to `version` are void, by a delete or by something newer in L2:
  // the next one who waits for one of them begins anew.
  void OnLeaseVoid(const EntryKey& key, Version version);
  // A key of ours has `version` in L2, by whom ever: who waits for a lease is given what is there,
  // if that is a live value, or void the lease.
  void OnChanged(const EntryKey& key, Version version);
  // What happened to keys of the slot since their leases were given is not known, or no longer
  // told: all of them are void. Who waits for one begins anew, or, when the slot is `lost`, is told
  // that somebody has a lease, and asks the next owner.
  void OnSlotInDoubt(uint32_t slot, bool lost);
  bool HasLeases() const { return flights_.leased() > 0; }
  // The lease with this version has ended without a value: who waits for it is told `absence`, or
  // without one begins anew, and the next one gets a lease. False: it has ended already, and
  // nothing happens.
  bool EndLease(const EntryKey& key, Version version, const Landing* absence);
  // Whether the key has an old value, for which this lease was to bring a new one.
  bool LeaseRenews(const EntryKey& key, Version version);
  // What L1 had seen of the key when the lease with this version was given; nullopt: nobody holds
  // that lease. For nodes without L2, where nothing else knows what came meanwhile.
  std::optional<FillToken> LeaseOf(const EntryKey& key, Version version);

  const FlightTable& flights() const { return flights_; }

 private:
  using FlightPtr = std::shared_ptr<Flight>;

  // Begins flights: reads their keys from L2.
  // Reads L2 until `deadline`, then once more for those who joined and have more time.
  void Begin(std::vector<FlightPtr> flights, absl::Time deadline = absl::InfiniteFuture());
  // From now on what the flight brings is void when the key is written or fenced.
  void BeginAnew(Flight& flight) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(flight.mu);
  // The same, and nothing that it had matters any more; the caller calls Begin.
  void LookAgain(Flight& flight) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(flight.mu);
  // Whether the waiter knows of something newer than what the flight has come to: it joined later
  // than the flight began.
  bool IsLate(const Flight& flight, const Waiter& waiter, const Landing& landing) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(flight.mu);
  // The old value that the flight has, unless a fence has killed it since.
  std::optional<Landing> OldOf(Flight& flight) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(flight.mu);
  // As OldOf, for those who are answered before it is known whether the load fails.
  std::optional<Landing> ExpiredOf(Flight& flight) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(flight.mu);

  // Each returns true when the flight goes on to the origin.
  bool TakeRecord(const FlightPtr& flight, const L2Record& record);
  bool TakeStored(const FlightPtr& flight, const L2Record& record, Tier tier);
  // The store could not be reached.
  bool TakeFailure(const FlightPtr& flight, const absl::Status& why);
  // What L1 has by now of a key of ours. Without the store, nothing else knows that somebody filled
  // it after it was missed.
  std::optional<Landing> FoundInL1(const Flight& flight) const;
  // Whether the key is this node's own, though it may be looked for as if it were not.
  bool IsOurs(const Flight& flight) const;
  // There is no live value, but `seen`, if it is set: dead, or old and then the flight has it.
  bool NotFound(const FlightPtr& flight, Version seen);
  bool HasOrigin(const Flight& flight) const {
    return context_.origins != nullptr && flight.policy.origin.enabled();
  }

  // Of one namespace.
  void Load(const std::vector<FlightPtr>& flights);
  // Gives who takes it the old value; the load goes on.
  void OnSoftTimeout(const FlightPtr& flight);
  void OnLoaded(std::vector<OriginAnswer> answers) override;
  // Adds to the answers' tags those of what they depend on, then takes them.
  void CloseThenTake(std::vector<OriginAnswer> answers);
  void TakeAnswers(std::vector<OriginAnswer> answers);
  // Stores what was loaded, then answers.
  struct Fill;
  std::optional<Fill> MakeFill(const FlightPtr& flight, OriginAnswer answer);
  void Store(std::vector<Fill> fills);
  enum class Stored : uint8_t { kYes, kNo, kUnknown };
  void Finish(const Fill& fill, Stored stored);
  // Whether L1 keeps what was loaded of a slot that is not followed: the store can neither be read
  // nor written from here. L1 drops it when the slot is followed.
  bool KeepsWithoutStore(Flight& flight, Stored stored) const ABSL_LOCKS_EXCLUDED(flight.mu);
  // Whether the key's slot was another's, or dropped, since its load began with `token`.
  bool HasMoved(const Flight& flight, const FillToken& token) const;

  // Gives the first who wants it the right to fill the key. Who does not has missed, and so has who
  // does not wait for the one who got it.
  void OfferLease(const FlightPtr& flight, Version seen);
  // Whether the key has got something newer than `seen` since the flight began to look.
  bool WasFilled(const Flight& flight, Version seen) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(flight.mu);
  void OnLeaseExpired(const FlightPtr& flight, Version version);
  // Whether the waiter is to be answered rather than wait for somebody who has a lease.
  bool WaitsNoLonger(const Flight& flight, const Waiter& waiter) const {
    return waiter.want_lease && !HasOrigin(flight) && !waiter.who->WaitsForLeases();
  }
  // Reads the key beside the lease with version `lease`: one that is older than the lease, but came
  // after it was given, ends the waiting, too. Without an answer it asks again while the lease is
  // there.
  void LookBeside(const FlightPtr& flight, Version lease);
  // Whether somebody has the lease of the flight that has version `lease`.
  static bool IsLeased(Flight& flight, Version lease);
  // Whether what the store has is a value, or an absence, that may be answered.
  bool IsLive(const Flight& flight, const Record& record) const;
  // As OnLeaseVoid, of one flight.
  void VoidLease(const FlightPtr& flight, Version version);
  // Answers a waiter at once that joined too late to be thought of.
  void AfterJoin(const FlightPtr& flight, uint64_t id);

  // A write that waits for the store, if it is newer than what the store has said.
  std::optional<L2Record> NewerHint(const Flight& flight, const L2Record& record) const;
  // Whether the store has not said what it has by now of the write with version `waited`, that
  // waited for it when it was asked.
  bool MissedReplay(const Flight& flight, Version waited, const L2Record& record) const;

  // Not what a replica gave, nor a key that nobody tells the changes of.
  bool MayFillL1(const Flight& flight, const L2Record& record) const;
  // Puts what L2 has into L1, if the policy says so.
  void FillL1(Flight& flight, const Record& record, absl::Duration ttl, const Buffer& value);

  // Ends the flight for all who wait, and begins the next one of its key. When some who wait know
  // of something newer, they stay, and the flight looks again, or follows the one that does.
  void Land(const FlightPtr& flight, const Landing& landing);
  void LandLocked(const FlightPtr& flight, const Landing& landing) ABSL_UNLOCK_FUNCTION(flight->mu);
  void LandError(const FlightPtr& flight, Error error);

  const NodeContext& context_;
  FlightTable flights_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_MISS_PATH_H_
