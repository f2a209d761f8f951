// WarmReadiness says whether a node that has started may be called ready as far as its warmth goes:
// when it is warm enough, or when it had its first slots for so long that nobody shall wait longer.
//
// And what the coordinator is told, which lets no other node restart while this one is cold.
//
// Promise: once true it stays so, whatever becomes of the warmth: only a start waits. Nothing else
//   is looked at, no store and no origin, so it becomes true in every case. Nor do others wait
//   longer for a node that does not become warm.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_REFILL_WARM_READINESS_H_
#define MERIDIAN_SERVER_REFILL_WARM_READINESS_H_

#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace meridian {

struct WarmReadinessOptions {
  double warmth = 0.8;
  absl::Duration deadline = absl::Seconds(10);  // Since the first slots.
  double paced = 0.8;  // What the coordinator takes for warm, whatever is enough for `warmth`.
};

class WarmReadiness {
 public:
  explicit WarmReadiness(WarmReadinessOptions options) : options_(options) {}

  // What is known at `now` (monotonic). Called often: the deadline begins with the first call that
  // says that the node owns slots.
  bool Update(bool owns_slots, double warmth, absl::Duration now) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (ready_ || !owns_slots) return ready_;
    if (!owns_since_) owns_since_ = now;
    ready_ = IsWarm(warmth) || now - *owns_since_ >= options_.deadline;
    return ready_;
  }

  // The warmth, or 1 when the node has had slots and been cold for so long that nobody shall wait
  // for it. Nothing is warm about a node without slots. Called often.
  double Told(bool owns_slots, double warmth, absl::Duration now) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (!owns_slots || warmth >= options_.paced) {
      cold_since_.reset();
      return owns_slots ? warmth : 0;
    }
    if (!cold_since_) cold_since_ = now;
    return now - *cold_since_ >= options_.deadline ? 1 : warmth;
  }

  bool IsWarm(double warmth) const { return warmth >= options_.warmth; }

 private:
  const WarmReadinessOptions options_;
  absl::Mutex mu_;
  std::optional<absl::Duration> owns_since_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Duration> cold_since_ ABSL_GUARDED_BY(mu_);
  bool ready_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REFILL_WARM_READINESS_H_
