#include "common/base/clock.h"

#include <chrono>

namespace meridian {

// Not absl::Now(): that one reckons from the cycle counter, and sees a jump of the wall clock up to
// seconds late. Deadlines of calls are wall times of the kernel's clock: until both agree again,
// each call would seem to be over before it began.
absl::Time SystemClock::Now() const { return absl::FromChrono(std::chrono::system_clock::now()); }

absl::Duration SystemClock::Monotonic() const {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace meridian
