#include "common/resilience/circuit_breaker.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/resilience/backoff.h"

namespace meridian {
namespace {

// A dependency that dies under steady load has the successes of a whole window behind it: they must
// not hide its death for half a window.
constexpr int64_t kRecentBuckets = 2;

absl::Status Invalid(const char* field, const std::string& value, const char* rule) {
  return absl::InvalidArgumentError(
      absl::StrCat("circuit breaker: ", field, " is ", value, ", must be ", rule));
}

}  // namespace

absl::Status CircuitBreakerOptions::Validate() const {
  if (window <= absl::ZeroDuration()) {
    return Invalid("window", absl::FormatDuration(window), "positive");
  }
  if (min_calls < 1) return Invalid("min_calls", absl::StrCat(min_calls), "at least 1");
  if (!(failure_ratio > 0 && failure_ratio <= 1)) {
    return Invalid("failure_ratio", absl::StrCat(failure_ratio), "in (0, 1]");
  }
  if (connect_failures < 1) {
    return Invalid("connect_failures", absl::StrCat(connect_failures), "at least 1");
  }
  if (open_for <= absl::ZeroDuration()) {
    return Invalid("open_for", absl::FormatDuration(open_for), "positive");
  }
  if (max_open_for < open_for) {
    return Invalid("max_open_for", absl::FormatDuration(max_open_for), "at least open_for");
  }
  if (!(jitter >= 0 && jitter < 1)) return Invalid("jitter", absl::StrCat(jitter), "in [0, 1)");
  if (probes < 1) return Invalid("probes", absl::StrCat(probes), "at least 1");
  return absl::OkStatus();
}

std::optional<CircuitBreaker::Ticket> CircuitBreaker::TryEnter(absl::Duration now) {
  if (state_ == State::kOpen && now >= open_until_) HalfOpen();
  if (state_ == State::kOpen) return std::nullopt;
  if (state_ == State::kHalfOpen) {
    if (probes_started_ >= options_.probes) return std::nullopt;
    ++probes_started_;
  }
  return generation_;
}

void CircuitBreaker::OnSuccess(Ticket ticket, absl::Duration now) {
  if (ticket != generation_) return;
  if (state_ == State::kClosed) {
    Count(now, false);
  } else if (++probes_succeeded_ >= options_.probes) {
    Close();
  }
}

void CircuitBreaker::OnFailure(Ticket ticket, absl::Duration now, double random) {
  if (ticket != generation_) return;
  if (state_ == State::kClosed) {
    Count(now, true);
    if (!TooManyFailures(now)) return;
  }
  Open(now, random);
}

void CircuitBreaker::OnIgnored(Ticket ticket) {
  if (ticket == generation_ && state_ == State::kHalfOpen) --probes_started_;
}

void CircuitBreaker::OnConnectFailure(absl::Duration now, double random) {
  ++connect_failures_;
  if (state_ == State::kHalfOpen ||
      (state_ == State::kClosed && connect_failures_ >= options_.connect_failures)) {
    Open(now, random);
  }
}

void CircuitBreaker::OnConnected() {
  connect_failures_ = 0;
  if (state_ == State::kOpen) HalfOpen();
}

std::string_view CircuitBreaker::state_name() const {
  switch (state_) {
    case State::kClosed:
      return "closed";
    case State::kOpen:
      return "open";
    case State::kHalfOpen:
      return "half_open";
  }
  return "unknown";
}

void CircuitBreaker::Count(absl::Duration now, bool failed) {
  const int64_t index = now / (options_.window / static_cast<int64_t>(kBuckets));
  Bucket& bucket = buckets_[static_cast<size_t>(index) % kBuckets];
  if (bucket.index != index) bucket = Bucket{index, 0, 0};
  ++bucket.calls;
  if (failed) ++bucket.failures;
}

bool CircuitBreaker::TooManyFailures(absl::Duration now) const {
  const int64_t index = now / (options_.window / static_cast<int64_t>(kBuckets));
  const auto too_many = [&](int64_t last_buckets) {
    int calls = 0;
    int failures = 0;
    for (const Bucket& bucket : buckets_) {
      if (bucket.index <= index - last_buckets) continue;
      calls += bucket.calls;
      failures += bucket.failures;
    }
    return calls >= options_.min_calls && failures >= options_.failure_ratio * calls;
  };
  return too_many(kRecentBuckets) || too_many(static_cast<int64_t>(kBuckets));
}

void CircuitBreaker::Open(absl::Duration now, double random) {
  absl::Duration open_for = options_.open_for;
  for (int i = 0; i < openings_ && open_for < options_.max_open_for; ++i) open_for *= 2;
  ++openings_;
  open_until_ =
      now + WithJitter(std::min(open_for, options_.max_open_for), options_.jitter, random);
  state_ = State::kOpen;
  ++generation_;
}

void CircuitBreaker::HalfOpen() {
  state_ = State::kHalfOpen;
  ++generation_;
  probes_started_ = 0;
  probes_succeeded_ = 0;
}

void CircuitBreaker::Close() {
  state_ = State::kClosed;
  ++generation_;
  openings_ = 0;
  connect_failures_ = 0;
  buckets_.fill(Bucket());
}

}  // namespace meridian
