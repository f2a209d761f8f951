// ClockGuard tells whether this machine's wall clock may be trusted: it compares it with the clocks
// of others (the regions' stores, other nodes), which it remembers relative to monotonic time. A
// jump of the wall clock shows at once, before anybody was asked again.
//
// The clock is off when it is more than kMaxSkew away from the median of the others; of two that
// disagree the nearer counts, so that one wrong clock elsewhere stops nobody. Without any other
// clock every clock is right. While it is off, no version may be given out: a version from the
// future wins over every later write, and one from the past loses against what was deleted since.
//
// Cost of Check: two looks at the clock and one at an atomic. Thread safety: all methods may be
// called concurrently.

#ifndef MERIDIAN_SERVER_NODE_CLOCK_GUARD_H_
#define MERIDIAN_SERVER_NODE_CLOCK_GUARD_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/version.h"

namespace meridian {

// How far this clock is ahead of another's, by that one's last word.
struct ClockOffset {
  std::string reference;
  absl::Duration ahead;
};

class ClockGuard {
 public:
  static constexpr absl::Duration kMaxSkew = HybridClock::kMaxSkew;
  // The word of a reference that is not heard any more counts for so long, unless it is the last.
  static constexpr absl::Duration kMemory = absl::Seconds(60);

  // `clock` outlives this.
  explicit ClockGuard(const Clock& clock) : clock_(clock) {}

  // `reference` ("redis of us", "node n2") said that it is `its_time`, some time between the
  // monotonic times `sent` and `received` of this machine.
  void Measured(const std::string& reference, absl::Time its_time, absl::Duration sent,
                absl::Duration received) ABSL_LOCKS_EXCLUDED(mu_);

  bool ok() const { return absl::AbsDuration(Ahead()) <= kMaxSkew; }
  // OK, or kFailedPrecondition (CLOCK_SKEW) with how far the clock is off.
  absl::Status Check() const;

  // Of the median; 0 as long as nobody has said anything.
  absl::Duration Ahead() const;
  // Sorted by reference.
  std::vector<ClockOffset> Offsets() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Word {
    absl::Duration base;      // Its wall time minus our monotonic time.
    absl::Duration received;  // Monotonic.
  };

  // This machine's.
  absl::Duration Base() const { return clock_.Now() - absl::UnixEpoch() - clock_.Monotonic(); }

  const Clock& clock_;
  mutable absl::Mutex mu_;
  std::map<std::string, Word> words_ ABSL_GUARDED_BY(mu_);
  std::atomic<int64_t> median_ns_{0};  // Of the bases; 0: nobody has said anything.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_CLOCK_GUARD_H_
