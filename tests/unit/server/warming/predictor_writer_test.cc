// What a Predictor has learnt goes to the store in parts, and comes back.

#include "server/warming/predictor_writer.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

class PredictorWriterTest : public ::testing::Test {
 protected:
  void Ask(Predictor& predictor, const std::vector<std::string>& keys, uint64_t caller) {
    for (const std::string& key : keys) {
      now_ += absl::Milliseconds(1500);
      predictor.Learn("task", key, caller, now_);
    }
    now_ += absl::Minutes(2);
  }
  std::vector<std::string> Write(Predictor& predictor, PredictorWriterOptions options) {
    PredictorWriter writer(predictor, options);
    std::vector<std::string> parts;
    steps_ = 0;
    while (!writer.done()) {
      writer.Step(now_);
      ++steps_;
      while (auto part = writer.TakePart()) parts.push_back(*part);
    }
    return parts;
  }
  std::vector<std::string> Expected(Predictor& predictor, const std::vector<std::string>& asked) {
    (void)predictor.Take(now_);
    for (const std::string& key : asked) {
      now_ += absl::Milliseconds(1500);
      predictor.Learn("task", key, 77, now_);
    }
    std::vector<std::string> keys;
    for (const Predictor::Prediction& prediction : predictor.Take(now_)) {
      keys.push_back(prediction.key);
    }
    return keys;
  }

  absl::Duration now_ = absl::Hours(1);
  int steps_ = 0;
};

TEST_F(PredictorWriterTest, WhatItHasLearntSurvives) {
  Predictor predictor({});
  for (uint64_t caller = 1; caller <= 10; ++caller) {
    Ask(predictor, {"task", "project"}, caller);
    // What comes after b depends on what was before it: only pairs know that.
    Ask(predictor, {"a", "b", "after a"}, 100 + caller);
    Ask(predictor, {"c", "b", "after c"}, 200 + caller);
  }
  Ask(predictor, {std::string("odd\0\t\n", 6), "after"}, 5);
  Ask(predictor, {std::string("odd\0\t\n", 6), "after"}, 6);
  Predictor next({});
  for (const std::string& part : Write(predictor, {})) next.Restore(part, now_);
  EXPECT_EQ(next.keys(), predictor.keys());
  EXPECT_THAT(Expected(next, {"task"}), ElementsAre("project"));
  EXPECT_THAT(Expected(next, {"c", "b"}), Contains("after c"));
}

TEST_F(PredictorWriterTest, StepsAreShortAndPartsAreSmall) {
  Predictor predictor({.max_keys = 5000});
  for (int i = 0; i < 5000; ++i) {
    now_ += absl::Milliseconds(11);  // A caller asks every 1.1 s.
    predictor.Learn("task", absl::StrCat("key:", i), 1 + i % 100, now_);
  }
  const std::vector<std::string> parts =
      Write(predictor, {.max_bytes = 4 << 20, .part_bytes = 4096, .records = 100});
  EXPECT_GE(steps_, 50);
  EXPECT_GE(parts.size(), 20u);
  Predictor next({.max_keys = 5000});
  for (const std::string& part : parts) {
    EXPECT_LE(part.size(), 4096u);
    next.Restore(part, now_);
  }
  EXPECT_EQ(next.keys(), 5000u);
}

TEST_F(PredictorWriterTest, WhatWasLookedAtMostIsFirstAndTheRestHasNoRoom) {
  Predictor predictor({});
  for (int times = 0; times < 20; ++times) {
    for (int i = 0; i < 200; ++i) {
      if (times < 2 || i % 20 == 7) {
        predictor.Learn("task", absl::StrCat("key:", i), 1000 * (times + 1) + i, now_);
      }
    }
  }
  const std::vector<std::string> parts = Write(predictor, {.max_bytes = 1000, .part_bytes = 300});
  size_t bytes = 0;
  Predictor next({});
  for (const std::string& part : parts) {
    bytes += part.size();
    next.Restore(part, now_);
  }
  EXPECT_LE(bytes, 1000u);
  EXPECT_GE(next.keys(), 20u);
  EXPECT_LT(next.keys(), 100u);
  for (size_t i = 0; i < 200; i += 20) {
    const std::string key = absl::StrCat("key:", i + 7);
    Predictor with = next;
    with.Learn("task", key, 1, now_);
    EXPECT_EQ(with.keys(), next.keys()) << key << " was left out";
  }
}

TEST_F(PredictorWriterTest, ItMayLearnAndForgetBetweenSteps) {
  Predictor predictor({.max_keys = 1000});
  for (int i = 0; i < 1000; ++i) predictor.Learn("task", absl::StrCat("old:", i), 1, now_);
  PredictorWriter writer(predictor, {.part_bytes = 1000, .records = 10});
  Predictor next({});
  for (int i = 0; !writer.done(); ++i) {
    writer.Step(now_);
    predictor.Learn("task", absl::StrCat("new:", i), 2, now_);
    while (auto part = writer.TakePart()) next.Restore(*part, now_);
    ASSERT_LT(i, 10'000);
  }
  EXPECT_GE(next.keys(), 800u);
}

TEST_F(PredictorWriterTest, WhatCannotBeReadIsLeftOut) {
  Predictor broken({});
  broken.Restore(
      "x\ny\tz\n\t\t\t\ntask\t!!\t1\ntask\tYQ==\t-1\ntask\tYQ==\tnan\nparts\t7\n"
      "task\tYQ==\t2\tt\t00\t1\t0\tt\t01\t1\t5\ttask\n\t0\t1\n"
      "task\tYg==\t2\tt\t01\t1\t0\n\t0f\t2\tn\t01\t1\t0\n",
      now_);
  EXPECT_EQ(broken.keys(), 1u);
  EXPECT_EQ(broken.pairs(), 1u);
}

}  // namespace
}  // namespace meridian
