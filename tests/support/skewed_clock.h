// SkewedClock is a clock whose wall time is off from another's by what a test says. Monotonic time
// is the other's.

#ifndef MERIDIAN_TESTS_SUPPORT_SKEWED_CLOCK_H_
#define MERIDIAN_TESTS_SUPPORT_SKEWED_CLOCK_H_

#include <atomic>
#include <cstdint>

#include "common/base/clock.h"

namespace meridian {

class SkewedClock final : public Clock {
 public:
  // `clock` outlives this.
  explicit SkewedClock(const Clock& clock) : clock_(clock) {}

  absl::Time Now() const override { return clock_.Now() + absl::Milliseconds(offset_ms_.load()); }
  absl::Duration Monotonic() const override { return clock_.Monotonic(); }
  // Positive: ahead.
  void SetOffset(absl::Duration offset) { offset_ms_ = absl::ToInt64Milliseconds(offset); }

 private:
  const Clock& clock_;
  std::atomic<int64_t> offset_ms_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_SKEWED_CLOCK_H_
