#include "server/warming/warm_turns.h"

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::Le;

constexpr uint64_t kQuantum = 1000;
constexpr uint64_t kBatch = 100;

// Jobs that always have more to read.
class WarmTurnsTest : public ::testing::Test {
 protected:
  const WarmJob& Add(const std::string& id, const std::string& source = "manual",
                     const std::string& name_space = "task", int32_t priority = 0) {
    WarmJob& job = jobs_.emplace_back();
    job.id = id;
    job.source = source;
    job.name_space = name_space;
    job.priority = priority;
    turns_.Add(job);
    return job;
  }
  // Who reads next.
  std::string Step(uint64_t keys = kBatch) {
    const WarmJob* const job = turns_.First([](const WarmJob&) { return true; });
    if (job == nullptr) return "";
    turns_.Spend(*job, keys);
    read_[job->id] += keys;
    return job->id;
  }
  void Steps(int count, uint64_t keys = kBatch) {
    for (int i = 0; i < count; ++i) Step(keys);
  }

  WarmTurns turns_{kQuantum};
  std::deque<WarmJob> jobs_;  // Their addresses stay.
  std::map<std::string, uint64_t> read_;
};

TEST_F(WarmTurnsTest, TheHighestPriorityFirst) {
  Add("low");
  const WarmJob& high = Add("high", "manual", "task", 5);
  Steps(100);
  EXPECT_EQ(read_["low"], 0u);
  turns_.Remove(high);
  EXPECT_EQ(Step(), "low");
}

TEST_F(WarmTurnsTest, JobsOfALaneTakeTurns) {
  Add("first");
  Add("second");
  std::vector<std::string> order;
  for (int i = 0; i < 4; ++i) {
    order.push_back(Step());
    Steps(kQuantum / kBatch - 1);
  }
  EXPECT_THAT(order, ElementsAre("first", "second", "first", "second"));
}

TEST_F(WarmTurnsTest, LanesShareEvenlyHoweverManyJobsTheyHave) {
  for (int i = 0; i < 50; ++i) Add(absl::StrCat("many", i));
  Add("rule", "rule");
  Add("other", "manual", "user");
  Steps(3000);
  EXPECT_EQ(read_["rule"], 1000 * kBatch);
  EXPECT_EQ(read_["other"], 1000 * kBatch);
}

TEST_F(WarmTurnsTest, SmallBatchesGetNoLessThanLargeOnes) {
  Add("large");
  Add("small", "rule");
  for (int i = 0; i < 10'000; ++i) {
    const WarmJob* const job = turns_.First([](const WarmJob&) { return true; });
    const uint64_t keys = job->id == "large" ? 700 : 3;
    turns_.Spend(*job, keys);
    read_[job->id] += keys;
  }
  EXPECT_THAT(read_["large"], Le(read_["small"] + 2 * kQuantum));
  EXPECT_THAT(read_["large"], Ge(read_["small"] - kQuantum));
}

TEST_F(WarmTurnsTest, WhoComesAgainAndAgainIsLastEachTime) {
  Add("large");
  for (int round = 0; round < 100; ++round) {
    const WarmJob& small = Add(absl::StrCat("small", round), "rule");
    while (read_[small.id] < kQuantum - kBatch) Step();  // It is over before its turn is.
    turns_.Remove(small);
  }
  EXPECT_THAT(read_["large"], Ge(100 * kQuantum));
}

TEST_F(WarmTurnsTest, WhoCannotReadKeepsItsTurn) {
  const WarmJob& waits = Add("waits");
  Add("goes", "rule");
  const auto* const other =
      turns_.First([&waits](const WarmJob& job) { return job.id != waits.id; });
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(other->id, "goes");
  turns_.Spend(*other, 5 * kQuantum);
  EXPECT_EQ(Step(), "waits");
}

TEST_F(WarmTurnsTest, WhatIsGoneIsAskedForNoMore) {
  const WarmJob& one = Add("one");
  turns_.Remove(one);
  turns_.Remove(one);
  turns_.Spend(one, 1);
  EXPECT_EQ(Step(), "");
  Add("two");
  turns_.Clear();
  EXPECT_EQ(Step(), "");
}

}  // namespace
}  // namespace meridian
