// What hours of the history come to together.

#include "server/coordinator/hot_key_top.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const absl::Time kMonday = absl::FromCivil(absl::CivilDay(2026, 11, 23), absl::UTCTimeZone());

class HotKeyTopTest : public testing::Test {
 protected:
  // Hours 0 to 3 of Monday are about a key of their own and about one that all share.
  void SetUp() override {
    view_->TryAcquire("coordinator", {"a", "a"}, absl::Hours(1000), [this](const auto& state) {
      ASSERT_TRUE(state.ok() && state->held);
      history_.Lead(state->token);
    });
    executor_.RunDue();
    for (int hour = 0; hour < 4; ++hour) {
      hot_ = {
          {"task", absl::StrCat("hour:", hour), 8.0 - hour}, {"task", "all", 3}, {"user", "u", 99}};
      executor_.RunFor(absl::Hours(1) - absl::Seconds(1));
      clock_.Advance(absl::Seconds(1));
    }
    hot_.clear();
    executor_.RunFor(absl::Minutes(2));
  }
  absl::StatusOr<std::vector<std::string>> Top(const std::vector<int>& hours, size_t limit,
                                               std::vector<HotKey> now = {}) {
    std::vector<HourLoad> loads;
    for (const int hour : hours) {
      loads.push_back(HourOfTheWeek(history_, kMonday + absl::Hours(hour)));
    }
    return TopOf(loads, limit, std::move(now));
  }
  absl::StatusOr<std::vector<std::string>> TopOf(const std::vector<HourLoad>& loads, size_t limit,
                                                 std::vector<HotKey> now = {}) {
    std::optional<absl::StatusOr<std::vector<HotKey>>> answer;
    TopOfHours(loads, std::move(now), "task", limit, [&](const auto& keys) { answer = keys; });
    executor_.RunDue();
    if (!answer.has_value()) return absl::InternalError("no answer");
    if (!answer->ok()) return answer->status();
    std::vector<std::string> names;
    for (const HotKey& key : **answer) names.push_back(key.key);
    return names;
  }

  FakeClock clock_{kMonday};
  FakeExecutor executor_{clock_};
  FakeLeaseStore store_{clock_};
  std::unique_ptr<FakeLeaseStore::View> view_{store_.ViewFor(executor_)};
  std::vector<HotKey> hot_;
  HotKeyHistory history_{"coordinator", *view_, executor_, clock_, [this] { return hot_; }};
};

TEST_F(HotKeyTopTest, OneHourIsItsProfileOfTheNamespace) {
  EXPECT_THAT(*Top({2}, 10), ElementsAre("hour:2", "all"));
}

TEST_F(HotKeyTopTest, RatesOfHoursAndOfNowAreSummed) {
  EXPECT_THAT(*Top({0, 1, 2, 3}, 3), ElementsAre("all", "hour:0", "hour:1"));
  EXPECT_THAT(*Top({0, 1}, 2, {{"task", "hour:1", 2}, {"user", "u", 5}}),
              ElementsAre("hour:1", "hour:0"));
}

TEST_F(HotKeyTopTest, TheLastHoursAreThoseThemselvesAndNotAWeekAgo) {
  // Monday, 04:02.
  EXPECT_THAT(*TopOf(LastHours(history_, clock_.Now(), 3), 10),
              UnorderedElementsAre("hour:2", "all", "hour:3"));
  EXPECT_THAT(*TopOf(LastHours(history_, clock_.Now(), 48), 10),
              ElementsAre("all", "hour:0", "hour:1", "hour:2", "hour:3"));
  // A week later nobody has looked at those hours; what is stored is of the week before.
  history_.StepDown();
  clock_.Advance(absl::Hours(7 * 24));
  executor_.RunDue();
  EXPECT_THAT(*TopOf(LastHours(history_, clock_.Now(), 24), 10), IsEmpty());
  EXPECT_THAT(*Top({2}, 10), ElementsAre("hour:2", "all"));
}

TEST_F(HotKeyTopTest, HoursWithoutAProfileAddNothing) {
  EXPECT_THAT(*Top({100, 101}, 3), IsEmpty());
  EXPECT_THAT(*Top({}, 3, {{"task", "x", 1}}), ElementsAre("x"));
}

TEST_F(HotKeyTopTest, AStoreThatIsAwayIsAnErrorOnlyWhenNothingElseIsKnown) {
  view_->SetReachable(false);
  EXPECT_EQ(Top({0, 1}, 3).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(*Top({0, 1}, 3, {{"task", "x", 1}}), ElementsAre("x"));
}

}  // namespace
}  // namespace meridian
