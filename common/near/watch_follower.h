// WatchFollower is what is known of one node's Watch stream: it turns messages into what a
// NearCache knows, and says what to ask for when a stream begins.
//
// Promise: a slot is attached to the NearCache only from a stream's first message on, and detached
//   before anything of it could have been missed: a message that is lost, a node that is another
//   process, or events that the node no longer has. Messages may come twice, late or not at all.
//   How far a stream is complete is told in local time, and never later than it was: local and
//   remote clocks are compared by the time at which the stream was asked for, and only their rates
//   must agree, for as long as one stream lasts.
// Cost: a message is O(its events); a stream's first is O(slots). Thread safety: none.

#ifndef MERIDIAN_COMMON_NEAR_WATCH_FOLLOWER_H_
#define MERIDIAN_COMMON_NEAR_WATCH_FOLLOWER_H_

#include <bitset>
#include <cstdint>

#include "absl/time/time.h"
#include "common/base/hash.h"
#include "common/near/near_cache.h"
#include "meridian/cache/v1/cache_service.pb.h"

namespace meridian {

class WatchFollower {
 public:
  using Slots = std::bitset<kSlotCount>;

  // `cache` is not owned and outlives this; `source` is of its NewSource.
  WatchFollower(NearCache& cache, NearCache::Source source) : cache_(cache), source_(source) {}
  ~WatchFollower() { SetSlots({}); }
  WatchFollower(const WatchFollower&) = delete;
  WatchFollower& operator=(const WatchFollower&) = delete;

  // What is wanted. Slots that are not wanted any more are detached at once; new ones are attached
  // by the next stream.
  void SetSlots(const Slots& slots);
  const Slots& slots() const { return slots_; }
  NearCache::Source source() const { return source_; }

  // A stream is asked for now; this is what to ask. What still comes from the one before must not
  // be given to Take any more.
  cache::v1::WatchRequest Begin(absl::Duration now);

  // A message of the stream. False: it is of no use any more, and another must begin.
  bool Take(const cache::v1::WatchResponse& message);

  uint64_t resumes() const { return resumes_; }
  uint64_t restarts() const {
    return restarts_;
  }  // Streams that began anew, and what was kept went.

 private:
  bool TakeFirst(const cache::v1::WatchResponse& message);
  void TakeEvent(const cache::v1::WatchEvent& event);
  void Attach(uint32_t slot);
  void Detach(uint32_t slot);
  // Nothing that was known is good.
  void Forget();

  NearCache& cache_;
  const NearCache::Source source_;
  Slots slots_;
  Slots asked_;               // By the stream.
  Slots attached_;            // Of asked_.
  uint64_t incarnation_ = 0;  // 0: nothing is known.
  uint64_t sequence_ = 0;
  bool first_ = true;                            // The stream's first message has not come.
  absl::Duration began_ = absl::ZeroDuration();  // When the stream was asked for, here ...
  uint64_t began_at_ms_ = 0;                     // ... and when its first message was sent, there.
  absl::Duration complete_ = absl::ZeroDuration();
  uint64_t resumes_ = 0;
  uint64_t restarts_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_NEAR_WATCH_FOLLOWER_H_
