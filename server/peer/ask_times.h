// AskTimes says when a mirror may ask an owner for a key (again), and counts what came of it.
//
// Promise: nobody asks for a key that is being asked for already. What cannot be mirrored, for
//   whatever reason, is not asked for in a loop while it is hot: see PauseAfter.
// Cost: a short lock. Memory: the keys that were asked for within the longest pause, which are hot
//   ones. Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_PEER_ASK_TIMES_H_
#define MERIDIAN_SERVER_PEER_ASK_TIMES_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace meridian {

// What came of asking.
enum class AskOutcome : uint8_t {
  kKept,
  kOvertaken,  // By a write, or the slot is not followed any more.
  kMissing,    // There is no value.
  kRefused,    // The owner does not say that the value may be kept.
  kFailed,     // No answer.
  kTooLarge,   // For a mirror.
};
inline constexpr size_t kAskOutcomes = 6;

// As in metrics.
constexpr const char* ToText(AskOutcome outcome) {
  constexpr const char* kNames[kAskOutcomes] = {"kept",    "overtaken", "missing",
                                                "refused", "failed",    "too_large"};
  return kNames[static_cast<size_t>(outcome)];
}

class AskTimes {
 public:
  using Counts = std::array<uint64_t, kAskOutcomes>;

  // For how long the key is not asked for.
  static constexpr absl::Duration PauseAfter(AskOutcome outcome) {
    switch (outcome) {
      case AskOutcome::kKept:
      case AskOutcome::kOvertaken:
        return absl::Milliseconds(20);
      case AskOutcome::kMissing:  // A hot key that was deleted is filled again at once.
        return absl::Milliseconds(50);
      case AskOutcome::kFailed:
        return absl::Milliseconds(200);
      case AskOutcome::kRefused:
        return absl::Seconds(1);
      case AskOutcome::kTooLarge:
        break;
    }
    return absl::Seconds(10);  // Up to 8 MiB went over the network for nothing.
  }

  // True: ask now, and then call End. By the key's hash.
  bool Begin(uint64_t hash, absl::Duration now) ABSL_LOCKS_EXCLUDED(mu_);
  void End(uint64_t hash, AskOutcome outcome, absl::Duration now) ABSL_LOCKS_EXCLUDED(mu_);

  Counts counts() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  static constexpr size_t kMaxPast = 1024;

  mutable absl::Mutex mu_;
  // When a key may be asked for; infinite while somebody asks.
  absl::flat_hash_map<uint64_t, absl::Duration> next_ ABSL_GUARDED_BY(mu_);
  Counts counts_ ABSL_GUARDED_BY(mu_) = {};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_PEER_ASK_TIMES_H_
