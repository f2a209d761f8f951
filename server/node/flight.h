// A Flight is the one look for a key that the lower tiers are asked for, however many want it:
// first L2, then the origin, or somebody who was given the right to fill the key (a lease).
//
// Who wants the key joins as a waiter, with a deadline of its own: a waiter that goes away leaves,
// the flight goes on. Whoever takes a waiter out of the flight answers it, exactly once; answers
// are given without a lock held. FlightTable says which flight a key has now. Thread safety: the
// constants may be read, the rest under `mu`; methods lock it themselves.

#ifndef MERIDIAN_SERVER_NODE_FLIGHT_H_
#define MERIDIAN_SERVER_NODE_FLIGHT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/buffer.h"
#include "common/base/timer_queue.h"
#include "common/base/version.h"
#include "common/engine/engine.h"
#include "common/engine/entry.h"
#include "common/engine/fill_token.h"
#include "common/engine/key_watch.h"
#include "common/rpc/error.h"
#include "server/node/namespaces.h"
#include "server/node/operations.h"

namespace meridian {

// What a look came to, for one waiter. Cheap to copy: bytes are shared.
struct Landing {
  EntryState state = EntryState::kMiss;  // kOk, kMiss or kError.
  Tier tier = Tier::kNone;               // Of a miss: who knows that there is nothing.
  Encoding encoding = Encoding::kIdentity;
  bool fleeting = false;  // As ReadResult::fleeting.
  uint32_t raw_size = 0;
  Version version;
  uint64_t written = 0;  // As Entry::written.
  uint64_t written_hlc() const { return written != 0 ? written : version.hlc; }
  Buffer value;
  Buffer tags;               // As Entry::tags.
  absl::Time expires_at;     // kOk. Over: the waiter allowed it.
  bool stale = false;        // kOk. Something newer was looked for, and not found in time.
  std::string lease;         // The waiter may fill the key; empty: it may not.
  bool lease_taken = false;  // kMiss: somebody else may.
  std::shared_ptr<const Error> error;  // kError.
};

struct Waiter;

class FlightWaiter {
 public:
  virtual ~FlightWaiter() = default;
  // On any thread, without locks; at most once for each index that joined.
  virtual void Land(const Waiter& waiter, const Landing& landing) = 0;
  // Whether it waits for somebody else who has a lease. Once false, it stays so: who holds a lease
  // and waits for another might be waited for.
  virtual bool WaitsForLeases() const { return true; }
};

// One key of one call that waits.
struct Waiter {
  std::shared_ptr<FlightWaiter> who;
  uint32_t index = 0;        // Of the key, for `who`.
  uint32_t slot = 0;         // Of the key.
  absl::Duration max_stale;  // As far as the policy allows it.
  bool want_lease = false;
  // What this node knew of the key when the call missed it, as Flight::token and Flight::fences:
  // nothing older may be the answer.
  FillToken token = {};
  uint64_t fences = 0;
  WarmSourceId warm_source = 0;  // 0: it wants the value.

  // Whether the key's slot was dropped after `of_flight` and before the waiter asked.
  bool BeganAfterDropOf(const FillToken& of_flight) const {
    return static_cast<int32_t>(token.generation - of_flight.generation) > 0;
  }
  // Whether the waiter takes an old value, that ended at `expires_at`.
  bool Takes(absl::Time expires_at, absl::Time now) const {
    return max_stale > absl::ZeroDuration() && now - expires_at <= max_stale;
  }
};

// What one waiter is told of a flight that has ended in `landing`: an old value, when nothing
// better was found and the waiter takes it.
inline const Landing& AnswerFor(const Waiter& waiter, const Landing& landing,
                                const std::optional<Landing>& old, absl::Time now) {
  const bool better = landing.state == EntryState::kOk || landing.tier != Tier::kNone;
  if (!better && old && waiter.Takes(old->expires_at, now)) return *old;
  return landing;
}

// What the key is looked for as.
enum class FlightKind : uint8_t {
  kOwned,   // A key of ours that L1 does not have.
  kForced,  // The caller wants what the lower tier has now, whatever L1 and L2 have.
  kAround,  // A key of a node that does not answer: nothing goes into L1.
};

enum class FlightPhase : uint8_t { kReading, kLoading, kLeased };

class Flight {
 public:
  // `engine` is not owned and outlives this.
  Flight(Engine& engine, const Namespace& name_space_in, SlotPolicies policies_in,
         FlightKind kind_in, const EntryKey& key_in, std::string_view request_id_in)
      : name_space(name_space_in),
        policies(std::move(policies_in)),
        policy(policies.Of(key_in.slot)),
        kind(kind_in),
        request_id(request_id_in),
        watch(kind_in == FlightKind::kAround ? KeyWatch() : engine.Watch(key_in)),
        fences(engine.fences().changes()),
        token(engine.BeginFill(key_in)),
        bytes_(key_in.key),
        key_(key_in) {
    key_.key = bytes_;
  }

  const EntryKey& key() const { return key_; }

  const Namespace& name_space;
  const SlotPolicies policies;    // As they were when it began.
  const NamespacePolicy& policy;  // Of the key.
  const FlightKind kind;
  const std::string request_id;

  // What this node learns of the key while the flight is there.
  const KeyWatch watch;

  // Takes one out; nullopt: it was answered.
  std::optional<Waiter> Take(uint64_t id) ABSL_LOCKS_EXCLUDED(mu);

  bool HasWaiters() ABSL_LOCKS_EXCLUDED(mu) {
    absl::MutexLock lock(&mu);
    return !waiters.empty();
  }

  absl::Mutex mu;
  // How many changes of fences there were, and what L1 had seen of the key, when the phase began:
  // what L1 is given later is refused when something was written since, and who waits and knows
  // more is not answered before it was looked whether that matters.
  uint64_t fences ABSL_GUARDED_BY(mu);
  FillToken token ABSL_GUARDED_BY(mu);
  bool landed ABSL_GUARDED_BY(mu) = false;
  FlightPhase phase ABSL_GUARDED_BY(mu) = FlightPhase::kReading;
  std::map<uint64_t, Waiter> waiters ABSL_GUARDED_BY(mu);  // In the order in which they came.
  uint64_t next_id ABSL_GUARDED_BY(mu) = 0;
  // Whose place this one took, and who have waiters left: they land when this one does.
  std::vector<std::shared_ptr<Flight>> followers ABSL_GUARDED_BY(mu);
  // What L2 has, when it is not what was asked for: it is over, or a newer one was asked for.
  std::optional<Landing> old ABSL_GUARDED_BY(mu);
  // Of what fills the key: given when the load or the lease began, so that whatever is written or
  // invalidated meanwhile is newer.
  Version version ABSL_GUARDED_BY(mu);
  // Of a lease: what was known of L2 when it was given, or since. Changes up to it are no news.
  Version seen ABSL_GUARDED_BY(mu);
  TimerQueue::Id timer ABSL_GUARDED_BY(mu);  // The soft time-out, or the end of the lease.
  bool soft_is_over ABSL_GUARDED_BY(mu) = false;
  // L2 could not be reached when it was asked: what is loaded cannot be stored, most likely.
  bool l2_away ABSL_GUARDED_BY(mu) = false;
  // Who warms, as long as nobody wants the value.
  WarmSourceId warm_source ABSL_GUARDED_BY(mu) = 0;
  // Some of its waiters were not answered when it landed: it looks again, or follows another.
  bool again ABSL_GUARDED_BY(mu) = false;

 private:
  const std::string bytes_;
  EntryKey key_;  // Its bytes are ours.
};

inline std::optional<Waiter> Flight::Take(uint64_t id) {
  absl::MutexLock lock(&mu);
  const auto it = waiters.find(id);
  if (it == waiters.end()) return std::nullopt;
  Waiter waiter = std::move(it->second);
  waiters.erase(it);
  return waiter;
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_FLIGHT_H_
