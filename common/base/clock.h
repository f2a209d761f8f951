// Clock says what time it is. Libraries take a Clock& (or the time itself); only programs make a
// SystemClock, tests a FakeClock (tests/support/fake_clock.h).
//
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_BASE_CLOCK_H_
#define MERIDIAN_COMMON_BASE_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace meridian {

class Clock {
 public:
  virtual ~Clock() = default;

  // Wall clock: may jump. For versions, for expiry times that other machines read, for logs.
  virtual absl::Time Now() const = 0;

  // Time since an arbitrary start that never goes backwards. For durations and L1 expiry.
  virtual absl::Duration Monotonic() const = 0;
};

class SystemClock final : public Clock {
 public:
  absl::Time Now() const override;
  absl::Duration Monotonic() const override;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_CLOCK_H_
