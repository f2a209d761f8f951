// WaitUntil: how a test with real processes waits for a condition, never for a time.

#ifndef MERIDIAN_TESTS_SUPPORT_WAIT_UNTIL_H_
#define MERIDIAN_TESTS_SUPPORT_WAIT_UNTIL_H_

#include <functional>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace meridian {

// Asks `condition` again and again; true as soon as it holds, false when it did not within `limit`.
inline bool WaitUntil(const std::function<bool()>& condition, absl::Duration limit,
                      absl::Duration interval = absl::Milliseconds(10)) {
  const absl::Time deadline = absl::Now() + limit;
  while (!condition()) {
    if (absl::Now() >= deadline) return false;
    absl::SleepFor(interval);
  }
  return true;
}

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_WAIT_UNTIL_H_
