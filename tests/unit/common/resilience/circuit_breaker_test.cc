#include "common/resilience/circuit_breaker.h"

#include <vector>

#include "gtest/gtest.h"

namespace meridian {
namespace {

using State = CircuitBreaker::State;

constexpr double kMiddle = 0.5;  // No jitter.

class CircuitBreakerTest : public ::testing::Test {
 protected:
  void Fail(int times) {
    for (int i = 0; i < times; ++i) {
      const auto ticket = breaker_.TryEnter(now_);
      if (ticket) breaker_.OnFailure(*ticket, now_, kMiddle);
    }
  }
  void Succeed(int times) {
    for (int i = 0; i < times; ++i) {
      const auto ticket = breaker_.TryEnter(now_);
      if (ticket) breaker_.OnSuccess(*ticket, now_);
    }
  }
  // How long it refuses calls from now on, in steps of 10 ms; consumes one probe.
  absl::Duration RefusedFor() {
    const absl::Duration start = now_;
    while (!breaker_.TryEnter(now_)) now_ += absl::Milliseconds(10);
    return now_ - start;
  }

  absl::Duration now_ = absl::Seconds(1000);
  CircuitBreaker breaker_{CircuitBreakerOptions()};
};

TEST_F(CircuitBreakerTest, FewCallsNeverOpenIt) {
  Fail(49);
  EXPECT_EQ(breaker_.state(), State::kClosed);
  Fail(1);
  EXPECT_EQ(breaker_.state(), State::kOpen);
}

TEST_F(CircuitBreakerTest, OpensAtHalfOfTheCallsNotBelow) {
  Succeed(100);
  Fail(99);
  EXPECT_EQ(breaker_.state(), State::kClosed);
  Fail(1);
  EXPECT_EQ(breaker_.state(), State::kOpen);
}

TEST_F(CircuitBreakerTest, ADeathUnderSteadyLoadOpensItSoonWhateverWentWellBefore) {
  for (const int calls_per_second : {60, 200, 5000}) {
    for (int offset_ms = 0; offset_ms < 1000; offset_ms += 100) {
      CircuitBreaker breaker{CircuitBreakerOptions()};
      const absl::Duration gap = absl::Seconds(1) / calls_per_second;
      const absl::Duration death =
          absl::Ceil(now_, absl::Seconds(1)) + absl::Seconds(30) + absl::Milliseconds(offset_ms);
      for (; now_ < death; now_ += gap) breaker.OnSuccess(*breaker.TryEnter(now_), now_);
      for (; breaker.state() == State::kClosed; now_ += gap) {
        breaker.OnFailure(*breaker.TryEnter(now_), now_, kMiddle);
      }
      EXPECT_LT(now_ - death, absl::Milliseconds(1100)) << calls_per_second << " " << offset_ms;
    }
  }
}

TEST_F(CircuitBreakerTest, FailuresOfAnEarlierWindowAreForgotten) {
  Fail(49);
  now_ += absl::Seconds(10);
  Fail(49);
  EXPECT_EQ(breaker_.state(), State::kClosed);
}

TEST_F(CircuitBreakerTest, FiveFailedConnectsInARowOpenIt) {
  for (int i = 0; i < 4; ++i) breaker_.OnConnectFailure(now_, kMiddle);
  breaker_.OnConnected();
  for (int i = 0; i < 4; ++i) breaker_.OnConnectFailure(now_, kMiddle);
  EXPECT_EQ(breaker_.state(), State::kClosed);
  breaker_.OnConnectFailure(now_, kMiddle);
  EXPECT_EQ(breaker_.state(), State::kOpen);
  EXPECT_FALSE(breaker_.TryEnter(now_).has_value());
}

TEST_F(CircuitBreakerTest, OpenTimeDoublesToItsMaximumWhileProbesFailAndStartsAgainWhenClosed) {
  Fail(50);
  std::vector<absl::Duration> refused;
  for (int i = 0; i < 6; ++i) {
    refused.push_back(RefusedFor());
    EXPECT_EQ(breaker_.state(), State::kHalfOpen);
    Fail(1);
    EXPECT_EQ(breaker_.state(), State::kOpen);
  }
  EXPECT_EQ(refused,
            (std::vector<absl::Duration>{absl::Seconds(2), absl::Seconds(4), absl::Seconds(8),
                                         absl::Seconds(16), absl::Seconds(30), absl::Seconds(30)}));
  now_ += absl::Seconds(30);
  Succeed(3);
  EXPECT_EQ(breaker_.state(), State::kClosed);
  Fail(50);
  EXPECT_EQ(RefusedFor(), absl::Seconds(2));
}

TEST_F(CircuitBreakerTest, JitterMovesTheOpenTimeByTwentyPercent) {
  for (const auto& [random, expected] :
       {std::pair{0.0, absl::Milliseconds(1600)}, std::pair{1.0, absl::Milliseconds(2400)}}) {
    CircuitBreaker breaker{CircuitBreakerOptions()};
    for (int i = 0; i < 5; ++i) breaker.OnConnectFailure(now_, random);
    EXPECT_FALSE(breaker.TryEnter(now_ + expected - absl::Milliseconds(1)).has_value());
    EXPECT_TRUE(breaker.TryEnter(now_ + expected + absl::Milliseconds(1)).has_value());
  }
}

TEST_F(CircuitBreakerTest, HalfOpenLetsExactlyThreeProbesThroughAndClosesWhenAllSucceed) {
  Fail(50);
  now_ += absl::Seconds(2);
  std::vector<CircuitBreaker::Ticket> probes;
  while (const auto ticket = breaker_.TryEnter(now_)) probes.push_back(*ticket);
  ASSERT_EQ(probes.size(), 3u);
  breaker_.OnSuccess(probes[0], now_);
  breaker_.OnSuccess(probes[1], now_);
  EXPECT_EQ(breaker_.state(), State::kHalfOpen);
  breaker_.OnSuccess(probes[2], now_);
  EXPECT_EQ(breaker_.state(), State::kClosed);
}

TEST_F(CircuitBreakerTest, AnIgnoredProbeMakesRoomForAnother) {
  Fail(50);
  now_ += absl::Seconds(2);
  const auto probe = breaker_.TryEnter(now_);
  ASSERT_TRUE(probe.has_value());
  breaker_.OnIgnored(*probe);
  Succeed(3);
  EXPECT_EQ(breaker_.state(), State::kClosed);
}

TEST_F(CircuitBreakerTest, LateResultsOfAnEarlierStateChangeNothing) {
  std::vector<CircuitBreaker::Ticket> late;
  for (int i = 0; i < 100; ++i) late.push_back(*breaker_.TryEnter(now_));
  Fail(50);
  ASSERT_EQ(breaker_.state(), State::kOpen);
  now_ += absl::Seconds(2);
  const auto probe = breaker_.TryEnter(now_);
  for (const auto ticket : late) breaker_.OnFailure(ticket, now_, kMiddle);
  EXPECT_EQ(breaker_.state(), State::kHalfOpen);
  breaker_.OnSuccess(*probe, now_);
  Succeed(2);
  EXPECT_EQ(breaker_.state(), State::kClosed);
}

TEST_F(CircuitBreakerTest, AnAnsweredHandshakeStartsTheProbesBeforeTheTime) {
  Fail(50);
  EXPECT_FALSE(breaker_.TryEnter(now_).has_value());
  breaker_.OnConnected();
  Succeed(3);
  EXPECT_EQ(breaker_.state(), State::kClosed);
}

TEST(CircuitBreakerOptionsTest, ErrorsNameTheFieldAndTheValue) {
  EXPECT_TRUE(CircuitBreakerOptions().Validate().ok());
  const absl::Status status = CircuitBreakerOptions{.failure_ratio = 1.5}.Validate();
  EXPECT_EQ(status.message(), "circuit breaker: failure_ratio is 1.5, must be in (0, 1]");
  EXPECT_FALSE(CircuitBreakerOptions{.max_open_for = absl::Seconds(1)}.Validate().ok());
}

}  // namespace
}  // namespace meridian
