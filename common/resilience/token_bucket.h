// TokenBucket lets `rate` tokens a second through, and up to `burst` at once after a rest.
//
// A pure state machine: time (monotonic) is a parameter. No thread safety of its own.

#ifndef MERIDIAN_COMMON_RESILIENCE_TOKEN_BUCKET_H_
#define MERIDIAN_COMMON_RESILIENCE_TOKEN_BUCKET_H_

#include <algorithm>

#include "absl/time/time.h"

namespace meridian {

class TokenBucket {
 public:
  // Full at first. REQUIRES: rate > 0, burst >= 1.
  TokenBucket(double rate, double burst, absl::Duration now)
      : rate_(rate), burst_(burst), tokens_(burst), at_(now) {}

  // Tokens that are there now.
  double Available(absl::Duration now) {
    if (now > at_) {
      tokens_ = std::min(burst_, tokens_ + rate_ * absl::ToDoubleSeconds(now - at_));
      at_ = now;
    }
    return tokens_;
  }

  // More than there is: whoever comes next waits until it is made good.
  void Take(double count, absl::Duration now) { tokens_ = Available(now) - count; }

  // How long until `count` tokens are there. REQUIRES: count <= burst.
  absl::Duration WaitFor(double count, absl::Duration now) {
    const double missing = count - Available(now);
    if (missing <= 0) return absl::ZeroDuration();
    // A moment more, so that rounding does not make the caller come a moment too early.
    return absl::Seconds(missing / rate_) + absl::Microseconds(1);
  }

  double burst() const { return burst_; }

  // From `now` on another rate; what is there stays, up to the new burst.
  void SetRate(double rate, double burst, absl::Duration now) {
    (void)Available(now);
    rate_ = rate;
    burst_ = burst;
    tokens_ = std::min(tokens_, burst);
  }

 private:
  double rate_;
  double burst_;
  double tokens_;
  absl::Duration at_;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RESILIENCE_TOKEN_BUCKET_H_
