// SentinelBelief decides which answer of a group's sentinels is to be believed. No I/O, no clock.
//
// A failover raises the group's configuration epoch, and a sentinel that was cut off names the
// primary of before with the epoch of before. So the highest epoch counts, and it is remembered: an
// older answer is refused, also when nobody else answers. SENTINEL RESET keeps the epoch. Only
// sentinels that were set up anew (SENTINEL REMOVE and MONITOR, new machines) begin again at 0:
// when a majority of those that the URL names says nothing but older epochs for kForgetAfter, they
// are believed again. Sentinels that lag behind a failover catch up within seconds. Thread safety:
// none.

#ifndef MERIDIAN_SERVER_L2_SENTINEL_BELIEF_H_
#define MERIDIAN_SERVER_L2_SENTINEL_BELIEF_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "absl/time/time.h"
#include "server/policy/redis_url.h"

namespace meridian {

class SentinelBelief {
 public:
  static constexpr absl::Duration kForgetAfter = absl::Seconds(30);

  struct Answer {
    std::optional<RedisAddress> primary;  // nullopt: none, or it knows no such group.
    uint64_t epoch = 0;
  };

  // The index of the answer to believe, nullopt when there is none. `answers` has an element for
  // every sentinel that the URL names; `now` is monotonic.
  std::optional<size_t> Judge(std::span<const Answer> answers, absl::Duration now);

  // The highest epoch that was believed.
  uint64_t epoch() const { return epoch_; }
  bool IsStale(const Answer& answer) const { return answer.primary && answer.epoch < epoch_; }

 private:
  uint64_t epoch_ = 0;
  std::optional<absl::Duration> older_since_;  // A majority says nothing but older epochs.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_SENTINEL_BELIEF_H_
