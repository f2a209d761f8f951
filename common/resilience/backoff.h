// Backoff says how long to wait before the next attempt: exponential, capped, jittered.
//
// Promise: the n-th delay lies within +-jitter of min(max, initial * multiplier^n).
// Randomness is passed in, so tests and simulations are exact. No thread safety of its own.

#ifndef MERIDIAN_COMMON_RESILIENCE_BACKOFF_H_
#define MERIDIAN_COMMON_RESILIENCE_BACKOFF_H_

#include <algorithm>

#include "absl/time/time.h"

namespace meridian {

struct BackoffOptions {
  absl::Duration initial = absl::Milliseconds(50);
  absl::Duration max = absl::Seconds(2);
  double multiplier = 2.0;
  double jitter = 0.2;  // Share of the delay, 0..1.
};

// `duration` times a factor between 1 - jitter and 1 + jitter. REQUIRES: `random` in [0, 1).
inline absl::Duration WithJitter(absl::Duration duration, double jitter, double random) {
  return duration * (1.0 + jitter * (2.0 * random - 1.0));
}

class Backoff {
 public:
  explicit Backoff(BackoffOptions options) : options_(options), delay_(options.initial) {}

  // The delay before the next attempt; the one after it will be longer.
  // REQUIRES: `random` in [0, 1).
  absl::Duration Next(double random) {
    const absl::Duration delay = std::min(delay_, options_.max);
    delay_ = std::min(delay * options_.multiplier, options_.max);
    return WithJitter(delay, options_.jitter, random);
  }

  // After a success.
  void Reset() { delay_ = options_.initial; }

 private:
  BackoffOptions options_;
  absl::Duration delay_;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RESILIENCE_BACKOFF_H_
