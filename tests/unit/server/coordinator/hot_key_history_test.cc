// HotKeyHistory: what an hour of the week comes to, whoever leads and whatever the store does.

#include "server/coordinator/hot_key_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"

namespace meridian {
namespace {

using testing::DoubleNear;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr absl::Duration kWeek = absl::Hours(7 * 24);
const absl::Time kMonday = absl::FromCivil(absl::CivilDay(2026, 11, 23), absl::UTCTimeZone());

using Rates = std::map<std::string, double>;

// A coordinator's history, which can be paused alone.
struct Process {
  Process(FakeClock& clock, FakeLeaseStore& store, std::string process_name)
      : name(std::move(process_name)),
        executor(clock),
        view(store.ViewFor(executor)),
        history("coordinator", *view, executor, clock, [this] { return hot; }) {}

  // The lease lasts for the test.
  void Lead() {
    view->TryAcquire("coordinator", {name, name}, 10 * kWeek, [this](const auto& state) {
      ASSERT_TRUE(state.ok() && state->held);
      history.Lead(state->token);
    });
    executor.RunDue();
  }
  // As kill -9, and the end of its lease.
  void Die() {
    view->Release("coordinator", name, [](const absl::Status&) {});
    history.StepDown();
    executor.RunDue();
  }

  const std::string name;
  FakeExecutor executor;
  std::unique_ptr<FakeLeaseStore::View> view;
  std::vector<HotKey> hot;
  HotKeyHistory history;
};

class HotKeyHistoryTest : public testing::Test {
 protected:
  static std::vector<HotKey> Only(const std::string& key, double rate) {
    return {{"task", key, rate}};
  }
  // What is stored of an hour, as another coordinator reads it.
  absl::StatusOr<std::vector<HotKey>> Stored(int hour) {
    absl::StatusOr<std::vector<HotKey>> stored = absl::UnknownError("no answer");
    reader_.history.Load(hour, [&](const auto& profile) { stored = profile; });
    reader_.executor.RunDue();
    return stored;
  }
  Rates StoredRates(int hour) {
    Rates rates;
    const auto stored = Stored(hour);
    EXPECT_TRUE(stored.ok()) << stored.status();
    if (stored.ok()) {
      for (const HotKey& key : *stored) rates[key.key] = key.per_second;
    }
    return rates;
  }

  FakeClock clock_{kMonday};
  FakeLeaseStore store_{clock_};
  Process a_{clock_, store_, "a"};
  Process b_{clock_, store_, "b"};
  Process reader_{clock_, store_, "reader"};
};

TEST_F(HotKeyHistoryTest, HoursAreCountedFromMonday) {
  EXPECT_EQ(HourOfWeek(kMonday), 0);
  EXPECT_EQ(HourOfWeek(kMonday - absl::Nanoseconds(1)), 167);
  EXPECT_EQ(HourOfWeek(kMonday + absl::Hours(25)), 25);
  const auto leap = absl::FromCivil(absl::CivilHour(2028, 2, 29, 9), absl::UTCTimeZone());
  EXPECT_EQ(HourOfWeek(leap), 24 + 9) << "a Tuesday";
}

TEST_F(HotKeyHistoryTest, EveryHourOfAWeekHasItsOwnProfile) {
  a_.Lead();
  for (int hour = 0; hour < HotKeyHistory::kHours; ++hour) {
    a_.hot = Only(absl::StrCat("hour:", hour), 10);
    a_.executor.RunFor(absl::Hours(1) - absl::Seconds(1));
    clock_.Advance(absl::Seconds(1));  // The next look is of the next hour.
  }
  a_.hot.clear();
  a_.executor.RunFor(absl::Minutes(2));
  for (int hour = 0; hour < HotKeyHistory::kHours; ++hour) {
    const Rates rates = StoredRates(hour);
    ASSERT_EQ(rates.size(), 1u) << hour;
    ASSERT_EQ(rates.begin()->first, absl::StrCat("hour:", hour));
    ASSERT_NEAR(rates.begin()->second, 10, 1e-9) << hour;
  }
}

TEST_F(HotKeyHistoryTest, AWeekWeighsHalfAsMuchAsTheOneAfterIt) {
  a_.Lead();
  for (const char* week : {"first", "second", "third"}) {
    a_.hot = Only(week, 8);
    a_.executor.RunFor(absl::Hours(2));
    a_.hot.clear();
    a_.executor.RunFor(kWeek - absl::Hours(2));
  }
  EXPECT_THAT(StoredRates(1), UnorderedElementsAre(Pair("third", DoubleNear(4, 0.1)),
                                                   Pair("second", DoubleNear(2, 0.1)),
                                                   Pair("first", DoubleNear(2, 0.1))));
  EXPECT_THAT(StoredRates(5), IsEmpty());
}

TEST_F(HotKeyHistoryTest, AnHourOfTwoLeadersIsOneHour) {
  a_.Lead();
  a_.hot = Only("old", 8);
  a_.executor.RunFor(kWeek);
  a_.hot = Only("a", 8);
  a_.executor.RunFor(absl::Minutes(30));
  a_.Die();
  b_.Lead();
  b_.hot = Only("b", 8);
  b_.executor.RunFor(absl::Minutes(31));
  EXPECT_THAT(StoredRates(0),
              UnorderedElementsAre(Pair("old", DoubleNear(4, 0.1)), Pair("a", DoubleNear(2, 0.1)),
                                   Pair("b", DoubleNear(2, 0.1))));
}

TEST_F(HotKeyHistoryTest, APausedLeaderThatWakesUpChangesNothing) {
  a_.Lead();
  a_.hot = Only("a", 8);
  a_.executor.RunFor(absl::Minutes(9));  // The next look stores.
  a_.view->Release("coordinator", "a", [](const absl::Status&) {});
  b_.Lead();
  b_.hot = Only("b", 8);
  b_.executor.RunFor(absl::Minutes(10));
  const Rates before = StoredRates(0);
  EXPECT_EQ(before.count("b"), 1u);
  a_.executor.RunDue();  // All that it has slept through.
  EXPECT_GT(store_.fenced_off(), 0);
  EXPECT_EQ(StoredRates(0), before);
}

TEST_F(HotKeyHistoryTest, AStoreThatIsAwayWhileTheHourTurnsLosesNothing) {
  a_.Lead();
  a_.hot = Only("old", 8);
  a_.executor.RunFor(kWeek);
  a_.view->SetReachable(false);  // Neither is this hour's past known.
  a_.hot = Only("new", 8);
  a_.executor.RunFor(absl::Minutes(90));
  a_.view->SetReachable(true);
  EXPECT_THAT(StoredRates(0), UnorderedElementsAre(Pair("old", DoubleNear(8, 0.1))));
  a_.executor.RunFor(absl::Minutes(10));
  for (const int hour : {0, 1}) {
    EXPECT_THAT(StoredRates(hour), UnorderedElementsAre(Pair("old", DoubleNear(4, 0.1)),
                                                        Pair("new", DoubleNear(4, 0.1))))
        << hour;
  }
}

TEST_F(HotKeyHistoryTest, AStoreThatFailsNowAndThenIsAskedAgain) {
  a_.Lead();
  a_.hot = Only("k", 8);
  a_.view->FailGets(3);
  a_.view->FailPuts(2);
  a_.executor.RunFor(absl::Minutes(20));
  EXPECT_THAT(StoredRates(0), UnorderedElementsAre(Pair("k", DoubleNear(8, 1e-9))));
}

TEST_F(HotKeyHistoryTest, AStoreThatIsAwayForDaysCostsBoundedMemoryAndAHole) {
  a_.Lead();
  a_.view->SetReachable(false);
  a_.hot = Only("k", 8);
  a_.executor.RunFor(absl::Hours(48));
  a_.view->SetReachable(true);
  a_.executor.RunFor(absl::Minutes(10));
  EXPECT_THAT(StoredRates(20), IsEmpty());
  EXPECT_THAT(StoredRates(47), UnorderedElementsAre(Pair("k", DoubleNear(8, 1e-9))));
}

TEST_F(HotKeyHistoryTest, AProfileThatCannotBeReadSaysSoAndIsWrittenAnew) {
  store_.SetValue("hot-keys/0", "\xff\xff\xff not a profile");
  const auto stored = Stored(0);
  EXPECT_EQ(stored.status().code(), absl::StatusCode::kDataLoss) << stored.status();
  a_.Lead();
  a_.hot = Only("k", 8);
  a_.executor.RunFor(absl::Minutes(10));
  EXPECT_THAT(StoredRates(0), UnorderedElementsAre(Pair("k", DoubleNear(8, 1e-9))));
}

TEST_F(HotKeyHistoryTest, WhatIsStoredIsBoundedAndTheHottest) {
  a_.Lead();
  for (int minute = 0; minute < 59; ++minute) {
    a_.hot.clear();
    for (int i = 0; i < 1000; ++i) {
      a_.hot.push_back({"task", absl::StrCat(i, minute * 1000 + i, std::string(500, 'x')), 0.1});
    }
    a_.hot.push_back({"task", "hot", 500});
    KeepHottest(a_.hot.size(), &a_.hot);
    a_.executor.RunFor(absl::Minutes(1));
  }
  const auto stored = Stored(0);
  ASSERT_TRUE(stored.ok());
  ASSERT_FALSE(stored->empty());
  EXPECT_EQ(stored->front().key, "hot");
  EXPECT_LE(stored->size(), HotKeyHistory::kMaxKeys);
  EXPECT_LE(store_.Value("hot-keys/0")->size(), 3 * HotKeyHistory::kMaxBytes);
}

TEST_F(HotKeyHistoryTest, ANamespaceThatIsHotLeavesRoomForTheOthers) {
  a_.Lead();
  for (int i = 0; i < 3000; ++i) a_.hot.push_back({"task", absl::StrCat("t", i), 1000.0 - 0.1 * i});
  for (int i = 0; i < 100; ++i) a_.hot.push_back({"user", absl::StrCat("u", i), 1});
  a_.hot.push_back({"persona", "p", 0.5});
  a_.executor.RunFor(absl::Minutes(10));
  const auto stored = Stored(0);
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ(stored->size(), HotKeyHistory::kMaxKeys);
  EXPECT_EQ(stored->front().key, "t0");
  std::map<std::string, int> keys;  // By namespace.
  for (const HotKey& key : *stored) ++keys[key.name_space];
  EXPECT_THAT(keys, UnorderedElementsAre(Pair("task", 399), Pair("user", 100), Pair("persona", 1)));
}

}  // namespace
}  // namespace meridian
