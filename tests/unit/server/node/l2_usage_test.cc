#include "server/node/l2_usage.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/support/fake_executor.h"

namespace meridian {
namespace {

class FakeSource final : public L2UsageSource {
 public:
  void FetchUsage(absl::Time, UsageCallback callback) override {
    asked.push_back(std::move(callback));
  }
  void Answer(absl::StatusOr<L2Usage> usage) {
    UsageCallback callback = std::move(asked.back());
    asked.pop_back();
    callback(std::move(usage));
  }

  std::vector<UsageCallback> asked;
};

class L2UsageWatchTest : public testing::Test {
 protected:
  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeSource source_;
  L2UsageWatch watch_{source_, executor_, clock_};
};

TEST_F(L2UsageWatchTest, AsksAgainAfterTheIntervalAndNeverTwiceAtOnce) {
  watch_.Start();
  ASSERT_EQ(source_.asked.size(), 1u);
  EXPECT_FALSE(watch_.Last().has_value());
  executor_.RunFor(absl::Minutes(1));
  ASSERT_EQ(source_.asked.size(), 1u) << "it has not answered yet";
  source_.Answer(L2Usage{.used_bytes = 7});
  EXPECT_EQ(watch_.Last()->used_bytes, 7u);
  executor_.RunFor(L2UsageWatch::kInterval - absl::Milliseconds(1));
  EXPECT_TRUE(source_.asked.empty());
  executor_.RunFor(absl::Milliseconds(1));
  EXPECT_EQ(source_.asked.size(), 1u);
  EXPECT_EQ(watch_.Last()->age, L2UsageWatch::kInterval);
  source_.Answer(L2Usage{.used_bytes = 8});
  EXPECT_EQ(watch_.Last()->age, absl::ZeroDuration());
}

TEST_F(L2UsageWatchTest, AfterAFailureItAsksSoonAndTheLastAnswerStaysForAWhile) {
  watch_.Start();
  source_.Answer(L2Usage{.used_bytes = 7});
  executor_.RunFor(L2UsageWatch::kInterval);
  for (absl::Duration past = L2UsageWatch::kInterval; past <= L2UsageWatch::kKept;
       past += L2UsageWatch::kRetry) {
    EXPECT_EQ(watch_.Last()->used_bytes, 7u) << past;
    ASSERT_EQ(source_.asked.size(), 1u) << past;
    source_.Answer(absl::UnavailableError("away"));
    executor_.RunFor(L2UsageWatch::kRetry);
  }
  EXPECT_FALSE(watch_.Last().has_value()) << "too old to be told as what is";
  source_.Answer(L2Usage{.used_bytes = 8});
  EXPECT_EQ(watch_.Last()->used_bytes, 8u);
}

}  // namespace
}  // namespace meridian
