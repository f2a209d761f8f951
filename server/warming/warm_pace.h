// WarmPace says how many reads may be on their way to the nodes, so that warming gives way to
// users: one more after every so many good answers, half as many after an answer that was late, and
// none for a while when a node said that it has too much to do.
//
// Promise: 1 <= limit() <= max; a pause is over after at most `max_pause`.
// A pure state machine: time (monotonic) and randomness are parameters. No thread safety of its
// own.

#ifndef MERIDIAN_SERVER_WARMING_WARM_PACE_H_
#define MERIDIAN_SERVER_WARMING_WARM_PACE_H_

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"
#include "common/resilience/backoff.h"

namespace meridian {

struct WarmPaceOptions {
  size_t max = 4;                          // Reads at once.
  absl::Duration late = absl::Seconds(1);  // An answer that takes longer slows down.
  absl::Duration min_pause = absl::Milliseconds(100);
  absl::Duration max_pause = absl::Seconds(10);
};

class WarmPace {
 public:
  explicit WarmPace(WarmPaceOptions options)
      : options_(options),
        limit_(options.max),
        pauses_({.initial = options.min_pause, .max = options.max_pause}) {}

  // Reads that may be on their way now.
  size_t limit(absl::Duration now) const { return now < paused_until_ ? 0 : limit_; }
  // Reads may begin again then; in the past when they may now.
  absl::Duration paused_until() const { return paused_until_; }

  // A node answered after `took`.
  void OnAnswer(absl::Duration took, absl::Duration now) {
    pauses_.Reset();
    if (took <= options_.late) {
      if (++good_ < limit_) return;
      good_ = 0;
      limit_ = std::min(limit_ + 1, options_.max);
      return;
    }
    good_ = 0;
    if (limit_ == 1) {
      Pause(std::min(took, options_.max_pause), now);  // Less than one at a time: every other.
    }
    limit_ = std::max<size_t>(limit_ / 2, 1);
  }

  // A node has too much to do and wants to be left alone for `retry_after` (0: it did not say).
  void OnOverload(absl::Duration retry_after, double random, absl::Duration now) {
    good_ = 0;
    limit_ = std::max<size_t>(limit_ / 2, 1);
    if (now < paused_until_) return;  // Others of the same moment say the same.
    Pause(std::min(std::max(retry_after, pauses_.Next(random)), options_.max_pause), now);
  }

 private:
  void Pause(absl::Duration pause, absl::Duration now) {
    paused_until_ = std::max(paused_until_, now + pause);
  }

  const WarmPaceOptions options_;
  size_t limit_;
  size_t good_ = 0;  // In a row, since the limit changed.
  Backoff pauses_;
  absl::Duration paused_until_ = -absl::InfiniteDuration();
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_PACE_H_
