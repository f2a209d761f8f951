#include "server/warming/warm_queue.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

const absl::Time kStart = absl::FromUnixSeconds(1'800'000'000);

WarmJob Job(const std::string& id, int32_t priority = 0, int age = 0) {
  WarmJob job;
  job.id = id;
  job.source = "manual";
  job.name_space = "task";
  job.identity = "keys:" + id;
  job.priority = priority;
  job.total_keys = 10;
  job.create_time = kStart - absl::Seconds(age);
  job.deadline = kStart + absl::Hours(1);
  return job;
}

std::string Picked(const WarmQueue& queue) {
  const WarmJob* const job = queue.Pick([](const WarmJob&) { return true; });
  return job == nullptr ? "" : job->id;
}

TEST(WarmQueueTest, HighPriorityFirstThenTheTurn) {
  WarmQueue queue({});
  for (const WarmJob& job : {Job("low", -1, 100), Job("old", 5, 9), Job("young", 5, 1)}) {
    ASSERT_TRUE(queue.Add(job).ok());
  }
  EXPECT_EQ(Picked(queue), "old");
  ASSERT_TRUE(queue.Pause("old").ok());
  EXPECT_EQ(Picked(queue), "young");
  ASSERT_TRUE(queue.Cancel("young", kStart).ok());
  EXPECT_EQ(Picked(queue), "low");
  ASSERT_TRUE(queue.Resume("old").ok());
  EXPECT_EQ(Picked(queue), "old");
  EXPECT_EQ(queue.Pick([](const WarmJob&) { return false; }), nullptr);
}

TEST(WarmQueueTest, WhoseTurnItIsIsKnownOfWhatIsJoinedRestoredAndOver) {
  WarmQueue queue({.turn_keys = 10});
  for (const char* id : {"b", "a", "c"}) ASSERT_TRUE(queue.Add(Job(id)).ok());
  queue.Spend("b", 10);
  EXPECT_EQ(Picked(queue), "a");
  WarmJob again = Job("d", 1);
  again.identity = "keys:c";
  ASSERT_FALSE(queue.Add(again)->is_new);
  EXPECT_EQ(Picked(queue), "c") << "it has the higher priority now";
  queue.Finish("c", "", kStart);
  queue.Remove("a");
  EXPECT_EQ(Picked(queue), "b");

  ASSERT_TRUE(queue.Add(Job("older", 0, 9)).ok());
  WarmQueue next({});
  EXPECT_EQ(next.Restore(queue.ToJson()), 0u);
  EXPECT_EQ(Picked(next), "older");
  next.Clear();
  EXPECT_EQ(Picked(next), "");
}

TEST(WarmQueueTest, AnIdentityWaitsOnceButMayWaitWhileItRuns) {
  WarmQueue queue({});
  WarmJob again = Job("b");
  again.identity = "keys:a";
  ASSERT_TRUE(queue.Add(Job("a")).ok());
  const absl::StatusOr<WarmQueue::Added> joined = queue.Add(again);
  ASSERT_TRUE(joined.ok());
  EXPECT_EQ(joined->id, "a");
  EXPECT_FALSE(joined->is_new);
  queue.Begin("a", kStart);
  EXPECT_TRUE(queue.Add(again)->is_new);
}

TEST(WarmQueueTest, WhoIsJoinedHasThePriorityTheTimeAndTheBudgetOfBoth) {
  WarmQueue queue({});
  ASSERT_TRUE(queue.Add(Job("a", 1)).ok());
  WarmJob again = Job("b", 7);
  again.identity = "keys:a";
  again.deadline += absl::Hours(2);
  again.has_fixed_budget = true;
  ASSERT_FALSE(queue.Add(again)->is_new);
  EXPECT_TRUE(queue.Find("a")->has_fixed_budget);
  EXPECT_EQ(queue.Find("a")->priority, 7);
  EXPECT_EQ(queue.Find("a")->deadline, again.deadline);
  ASSERT_TRUE(queue.Pause("a").ok());
  WarmJob less = Job("c", -3);
  less.identity = "keys:a";
  ASSERT_FALSE(queue.Add(less)->is_new);
  EXPECT_EQ(queue.Find("a")->priority, 7);
  EXPECT_TRUE(queue.Find("a")->has_fixed_budget);
  EXPECT_EQ(queue.Find("a")->state, WarmJobState::kPaused) << "somebody wanted it so";
}

TEST(WarmQueueTest, AnIdThatIsThereBecomesAnother) {
  WarmQueue queue({});
  ASSERT_TRUE(queue.Add(Job("tick-1")).ok());
  ASSERT_TRUE(queue.Cancel("tick-1", kStart).ok());
  const auto second = queue.Add(Job("tick-1"));
  ASSERT_TRUE(second.ok() && second->is_new);
  ASSERT_NE(queue.Find(second->id), nullptr);
  EXPECT_FALSE(queue.Find(second->id)->over());
  EXPECT_EQ(queue.Find(second->id)->id, second->id);
  EXPECT_EQ(queue.Find("tick-1")->state, WarmJobState::kCancelled);
}

TEST(WarmQueueTest, AFloodIsRefused) {
  WarmQueue queue({.max_live = 2, .max_history = 10, .max_text_bytes = 100});
  ASSERT_TRUE(queue.Add(Job("a")).ok());
  WarmJob large = Job("b");
  large.text_bytes = 101;
  EXPECT_THAT(std::string(queue.Add(large).status().message()), StartsWith("WARM_QUEUE_FULL: "));
  ASSERT_TRUE(queue.Add(Job("c")).ok());
  const absl::Status status = queue.Add(Job("d")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), StartsWith("WARM_QUEUE_FULL: "));
  ASSERT_TRUE(queue.Cancel("a", kStart).ok());
  EXPECT_TRUE(queue.Add(Job("d")).ok());
}

TEST(WarmQueueTest, WhatIsOverStaysOverAndIsForgottenInTime) {
  WarmQueue queue({.max_live = 100, .max_history = 3, .max_text_bytes = 100});
  for (int i = 0; i < 6; ++i) {
    const std::string id = absl::StrCat("job", i);
    ASSERT_TRUE(queue.Add(Job(id, 0, 100 - i)).ok());
    ASSERT_TRUE(queue.Cancel(id, kStart).ok());
    EXPECT_TRUE(queue.Cancel(id, kStart).ok()) << "it is what was asked for";
  }
  std::vector<std::string> ids;
  for (const WarmJob& job : queue.List()) ids.push_back(job.id);
  EXPECT_THAT(ids, ElementsAre("job5", "job4", "job3"));
  EXPECT_EQ(queue.Pause("job5").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(queue.Resume("job0").code(), absl::StatusCode::kNotFound);
}

TEST(WarmQueueTest, WhatHasJustEndedIsThereForWhoEndedItHoweverOldItIs) {
  WarmQueue queue({.max_live = 100, .max_history = 3, .max_text_bytes = 100});
  ASSERT_TRUE(queue.Add(Job("oldest", 0, 1000)).ok());
  ASSERT_TRUE(queue.Add(Job("old", 0, 999)).ok());
  for (int i = 0; i < 3; ++i) {
    const std::string id = absl::StrCat("job", i);
    ASSERT_TRUE(queue.Add(Job(id)).ok());
    ASSERT_TRUE(queue.Cancel(id, kStart + absl::Seconds(i)).ok());
  }
  ASSERT_TRUE(queue.Cancel("oldest", kStart + absl::Seconds(3)).ok());
  ASSERT_NE(queue.Find("oldest"), nullptr);
  EXPECT_EQ(queue.Find("job0"), nullptr) << "it ended first";
  // Also when the clock was set back meanwhile.
  queue.Finish("old", "", kStart - absl::Hours(1));
  ASSERT_NE(queue.Find("old"), nullptr);
  EXPECT_EQ(queue.List().size(), 3u);
  WarmQueue forgetful({.max_live = 100, .max_history = 0, .max_text_bytes = 100});
  ASSERT_TRUE(forgetful.Add(Job("a")).ok());
  ASSERT_TRUE(forgetful.Cancel("a", kStart).ok());
  EXPECT_NE(forgetful.Find("a"), nullptr);
}

TEST(WarmQueueTest, ProgressAndHowAJobEnds) {
  WarmQueue queue({});
  for (const char* id : {"done", "failed", "late", "absent"}) ASSERT_TRUE(queue.Add(Job(id)).ok());
  queue.Advance("done", {.keys = 10, .warmed = 9, .absent = 0, .failed = 1});
  queue.Finish("done", "", kStart + absl::Minutes(1));
  EXPECT_EQ(queue.Find("done")->state, WarmJobState::kDone);
  EXPECT_EQ(queue.Find("done")->failed_keys, 1u);
  queue.Advance("failed", {.keys = 10, .warmed = 0, .absent = 0, .failed = 10});
  queue.Finish("failed", "", kStart + absl::Minutes(1));
  EXPECT_EQ(queue.Find("failed")->state, WarmJobState::kFailed);
  queue.Advance("absent", {.keys = 10, .warmed = 0, .absent = 10, .failed = 0});
  queue.Finish("absent", "", kStart + absl::Minutes(1));
  EXPECT_EQ(queue.Find("absent")->state, WarmJobState::kDone);
  EXPECT_THAT(queue.Late(kStart + absl::Minutes(59)), ElementsAre());
  EXPECT_THAT(queue.Late(kStart + absl::Hours(1)), ElementsAre("late"));
  queue.Advance("late", {.keys = 5, .warmed = 5, .absent = 0, .failed = 0});
  queue.Finish("late", "too late", kStart + absl::Minutes(1));
  EXPECT_EQ(queue.Find("late")->state, WarmJobState::kFailed);
  EXPECT_EQ(queue.Find("late")->error, "too late");
}

TEST(WarmQueueTest, AJobSaysWhenItBeganAndWhenItEnded) {
  WarmQueue queue({});
  for (const char* id : {"a", "b"}) ASSERT_TRUE(queue.Add(Job(id)).ok());
  EXPECT_EQ(queue.Find("a")->start_time, std::nullopt);
  queue.Begin("a", kStart + absl::Seconds(1));
  queue.Begin("a", kStart + absl::Seconds(2));
  EXPECT_EQ(queue.Find("a")->start_time, kStart + absl::Seconds(1)) << "of its next batch";
  EXPECT_EQ(queue.Find("a")->end_time, std::nullopt);
  queue.Finish("a", "", kStart + absl::Seconds(3));
  EXPECT_EQ(queue.Find("a")->end_time, kStart + absl::Seconds(3));
  ASSERT_TRUE(queue.Cancel("b", kStart + absl::Seconds(4)).ok());
  ASSERT_TRUE(queue.Cancel("b", kStart + absl::Seconds(5)).ok());
  EXPECT_EQ(queue.Find("b")->start_time, std::nullopt);
  EXPECT_EQ(queue.Find("b")->end_time, kStart + absl::Seconds(4));
}

TEST(WarmQueueTest, TheStoreGivesBackWhatItGot) {
  WarmQueue queue({});
  ASSERT_TRUE(queue.Add(Job("a", -7)).ok());
  WarmJob named = Job("b");
  named.name = "nightly";
  named.has_fixed_budget = true;
  ASSERT_TRUE(queue.Add(named).ok());
  ASSERT_TRUE(queue.Add(Job("c")).ok());
  ASSERT_TRUE(queue.Cancel("c", kStart).ok());
  queue.Begin("a", kStart);
  queue.Advance("a", {.keys = 5, .warmed = 1, .absent = 2, .failed = 1, .unkept = 1});
  queue.SetError("a", "\"quoted\"\n");
  ASSERT_TRUE(queue.Pause("b").ok());
  const std::string stored = queue.ToJson().dump();
  WarmQueue next({});
  EXPECT_EQ(next.Restore(nlohmann::json::parse(stored)), 0u);
  EXPECT_EQ(next.List(), queue.List());
  EXPECT_EQ(next.Restore(nlohmann::json::parse(
                R"([1, {}, {"id":"x","namespace":"n","state":"odd"}, {"id":"y","namespace":"n",
                    "state":"queued","total":1,"next":2}, {"id":7,"namespace":"n"}])")),
            5u);
  EXPECT_EQ(next.live(), 0u);
}

TEST(WarmTextTest, KeysMayHoldAnyBytes) {
  WarmText text;
  text.keys = {std::string("\0\xff\"{", 4), "user:{1..3}"};
  text.parts = {{"tone", "calm,\xfe"}};
  const std::optional<WarmText> again = WarmText::FromJsonText(text.ToJsonText());
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->keys, text.keys);
  EXPECT_EQ(again->parts, text.parts);
  for (const char* bad :
       {"", "{", "[]", "{}", R"({"keys_base64":[1]})", R"({"keys_base64":["*"]})"}) {
    EXPECT_FALSE(WarmText::FromJsonText(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace meridian
