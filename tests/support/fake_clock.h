// FakeClock stands still until a test moves it.

#ifndef MERIDIAN_TESTS_SUPPORT_FAKE_CLOCK_H_
#define MERIDIAN_TESTS_SUPPORT_FAKE_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"

namespace meridian {

class FakeClock final : public Clock {
 public:
  explicit FakeClock(absl::Time now = absl::FromUnixSeconds(1'800'000'000)) : now_(now) {}

  absl::Time Now() const override {
    absl::MutexLock lock(&mu_);
    return now_;
  }
  absl::Duration Monotonic() const override {
    absl::MutexLock lock(&mu_);
    return monotonic_;
  }

  // Time passes.
  void Advance(absl::Duration duration) {
    absl::MutexLock lock(&mu_);
    now_ += duration;
    monotonic_ += duration;
  }
  // Somebody sets the wall clock; monotonic time does not notice.
  void JumpTo(absl::Time now) {
    absl::MutexLock lock(&mu_);
    now_ = now;
  }

 private:
  mutable absl::Mutex mu_;
  absl::Time now_ ABSL_GUARDED_BY(mu_);
  absl::Duration monotonic_ ABSL_GUARDED_BY(mu_) = absl::Seconds(1000);
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAKE_CLOCK_H_
