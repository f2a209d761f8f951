// CircuitBreaker says whether it makes sense to call a dependency now.
//
// Closed: calls go through. It opens when too many of the calls fail, in the last window or in the
//   last fifth of it, or after several failed connects in a row. Open: calls fail at once, for
//   `open_for`, doubling up to `max_open_for` each time a probe fails. Half open: a few probes go
//   through; when all have succeeded it closes, when one fails it opens again.
// Every admitted call carries a ticket. A result whose ticket is of an earlier state is ignored, so
//   the late failures of one outage open the breaker once and do not spoil the next probe.
// A pure state machine: time (monotonic) and randomness are parameters; no thread safety of its
// own.

#ifndef MERIDIAN_COMMON_RESILIENCE_CIRCUIT_BREAKER_H_
#define MERIDIAN_COMMON_RESILIENCE_CIRCUIT_BREAKER_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace meridian {

struct CircuitBreakerOptions {
  absl::Duration window = absl::Seconds(10);
  int min_calls = 50;          // Fewer calls in the window never open it.
  double failure_ratio = 0.5;  // 0 < ratio <= 1.
  int connect_failures = 5;    // In a row.
  absl::Duration open_for = absl::Seconds(2);
  absl::Duration max_open_for = absl::Seconds(30);
  double jitter = 0.2;
  int probes = 3;

  // Returns kInvalidArgument naming the field, the value and the rule.
  absl::Status Validate() const;
};

class CircuitBreaker {
 public:
  enum class State { kClosed, kOpen, kHalfOpen };
  using Ticket = uint64_t;

  // REQUIRES: options.Validate() is OK.
  explicit CircuitBreaker(CircuitBreakerOptions options) : options_(options) {}

  // A ticket if a call may be made now; its result must be reported exactly once.
  std::optional<Ticket> TryEnter(absl::Duration now);

  void OnSuccess(Ticket ticket, absl::Duration now);
  // REQUIRES: 0 <= random < 1.
  void OnFailure(Ticket ticket, absl::Duration now, double random);
  // The call says nothing about the dependency (cancelled, refused before sending).
  void OnIgnored(Ticket ticket);

  void OnConnectFailure(absl::Duration now, double random);
  // The dependency answered a handshake: probes may start at once, whatever open_for says.
  void OnConnected();

  // Open becomes half open only through TryEnter or OnConnected.
  State state() const { return state_; }
  // Whether TryEnter has no ticket for anybody until its time is over.
  bool refuses(absl::Duration now) const { return state_ == State::kOpen && now < open_until_; }
  // "closed", "open", "half_open".
  std::string_view state_name() const;

 private:
  static constexpr size_t kBuckets = 10;
  struct Bucket {
    int64_t index = -1;  // Which tenth of a window since the start of time.
    int calls = 0;
    int failures = 0;
  };

  void Count(absl::Duration now, bool failed);
  bool TooManyFailures(absl::Duration now) const;
  void Open(absl::Duration now, double random);
  void HalfOpen();
  void Close();

  const CircuitBreakerOptions options_;
  State state_ = State::kClosed;
  Ticket generation_ = 0;  // Changes with every transition.
  std::array<Bucket, kBuckets> buckets_;
  int connect_failures_ = 0;
  absl::Duration open_until_;
  int openings_ = 0;  // Since it was last closed.
  int probes_started_ = 0;
  int probes_succeeded_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RESILIENCE_CIRCUIT_BREAKER_H_
