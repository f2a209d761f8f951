#include "server/warming/predictor.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kSpace[] = "task";

class PredictorTest : public ::testing::Test {
 protected:
  void Ask(Predictor& predictor, const std::vector<std::string>& keys, uint64_t caller) {
    for (const std::string& key : keys) {
      predictor.Learn(kSpace, key, caller, now_);
      now_ += absl::Seconds(1);
    }
  }
  std::vector<std::string> Taken(Predictor& predictor) {
    std::vector<std::string> keys;
    for (const Predictor::Prediction& prediction : predictor.Take(now_)) {
      EXPECT_EQ(prediction.name_space, kSpace);
      EXPECT_GE(prediction.confidence, predictor.threshold());
      keys.push_back(prediction.key);
    }
    return keys;
  }
  std::map<std::string, PredictionSignal> Explained(const Predictor& predictor,
                                                    const std::string& key) {
    std::map<std::string, PredictionSignal> signals;
    for (const PredictionSignal& signal : predictor.Explain(kSpace, key, now_)) {
      signals[signal.signal] = signal;
    }
    return signals;
  }
  // Many callers who open a task, then its project, then its board.
  void LearnHabits(Predictor& predictor, int callers) {
    for (int i = 1; i <= callers; ++i) {
      Ask(predictor, {"task", "project", "board"}, static_cast<uint64_t>(1000 + i));
      now_ += absl::Minutes(5);
      predictor.Take(now_);
    }
  }
  absl::Duration now_ = absl::Hours(100);
};

TEST_F(PredictorTest, WhatIsAskedForTogetherIsExpectedForWhoeverAsksForTheFirst) {
  Predictor predictor({});
  LearnHabits(predictor, 10);
  EXPECT_THAT(Taken(predictor), IsEmpty());
  Ask(predictor, {"task"}, 7);
  EXPECT_THAT(Taken(predictor), ElementsAre("board", "project"));
  EXPECT_THAT(Taken(predictor), IsEmpty()) << "taken already";
  const auto signals = Explained(predictor, "board");
  ASSERT_EQ(signals.count("co_access"), 1u);
  EXPECT_GT(signals.at("co_access").confidence, 0.6);
  EXPECT_THAT(signals.at("co_access").evidence, HasSubstr("asked for 'task' 1s ago"));
  EXPECT_EQ(signals.count("sequence"), 0u) << "it does not come next";
  EXPECT_EQ(Explained(predictor, "project").count("sequence"), 1u);
  EXPECT_THAT(Explained(predictor, "task"), IsEmpty());
  now_ += absl::Minutes(2);
  EXPECT_THAT(Explained(predictor, "board"), IsEmpty()) << "nobody is there any more";
}

TEST_F(PredictorTest, WhatHappensOnceIsNoHabit) {
  Predictor predictor({});
  LearnHabits(predictor, 1);
  Ask(predictor, {"task"}, 7);
  EXPECT_THAT(Taken(predictor), IsEmpty());
  EXPECT_LT(Explained(predictor, "project")["co_access"].confidence, 0.5);
}

TEST_F(PredictorTest, ASequenceOfTwoTellsMoreThanItsLast) {
  // After c comes x or y, by what came before.
  Predictor predictor({});
  for (int i = 1; i <= 20; ++i) {
    Ask(predictor, {"a", "c", "x"}, static_cast<uint64_t>(100 + i));
    now_ += absl::Minutes(5);
    Ask(predictor, {"b", "c", "y"}, static_cast<uint64_t>(200 + i));
    now_ += absl::Minutes(5);
  }
  predictor.Take(now_);
  Ask(predictor, {"b", "c"}, 7);
  EXPECT_GT(Explained(predictor, "y")["sequence"].confidence, 0.8);
  EXPECT_THAT(Explained(predictor, "y")["sequence"].evidence, HasSubstr("'b' and 'c'"));
  EXPECT_LT(Explained(predictor, "x")["sequence"].confidence, 0.6);
  EXPECT_THAT(Taken(predictor), Contains("y"));
}

// A read is learnt from, and what it made expected is there, some time later.
TEST_F(PredictorTest, WhatComesSoonerThanItCouldBeBroughtInIsNotExpected) {
  Predictor predictor({.lead = absl::Seconds(2)});
  for (uint64_t caller = 1; caller <= 20; ++caller) {
    Ask(predictor, {"task", "context", "board"}, caller);  // A second apart.
    now_ += absl::Minutes(5);
  }
  predictor.Take(now_);
  Ask(predictor, {"task"}, 100);
  EXPECT_THAT(Taken(predictor), ElementsAre("board"));
  EXPECT_EQ(Explained(predictor, "context").count("sequence"), 0u);
}

TEST_F(PredictorTest, OldHabitsFade) {
  Predictor predictor({.half_life = absl::Hours(1)});
  LearnHabits(predictor, 10);
  now_ += absl::Hours(6);
  Ask(predictor, {"task"}, 7);
  EXPECT_THAT(Taken(predictor), IsEmpty());
}

TEST_F(PredictorTest, AKeyIsNotBroughtAgainAtOnceNorWhenItWasJustAskedFor) {
  Predictor predictor({});
  LearnHabits(predictor, 10);
  Ask(predictor, {"task"}, 7);
  EXPECT_THAT(Taken(predictor), ElementsAre("board", "project"));
  Ask(predictor, {"project"}, 9);
  Ask(predictor, {"task"}, 8);
  EXPECT_THAT(Taken(predictor), IsEmpty());
  now_ += absl::Minutes(1);
  Ask(predictor, {"task"}, 10);
  EXPECT_THAT(Taken(predictor), ElementsAre("board", "project"));
}

TEST_F(PredictorTest, HoursThatAreOverTellWhatIsWanted) {
  Predictor predictor({});
  const HotKey monday{kSpace, "standup", 2};
  const HotKey rare{kSpace, "rare", 0.0001};
  const HotKey daily{kSpace, "news", 0.0001};
  std::vector<std::vector<HotKey>> days(7, {daily});
  days[0] = {monday, rare, daily};
  days[6] = {};  // Not known.
  predictor.LearnHours({monday, rare, daily}, days);
  EXPECT_THAT(Taken(predictor), ElementsAre("standup", "news"));
  EXPECT_GT(Explained(predictor, "standup")["hour_of_week"].confidence, 0.99);
  EXPECT_NEAR(Explained(predictor, "news")["season"].confidence, 6.0 / 7, 0.001);
  EXPECT_THAT(Explained(predictor, "news")["season"].evidence, HasSubstr("6 of the last 6 days"));
  EXPECT_LT(Explained(predictor, "rare")["hour_of_week"].confidence, 0.1);
  predictor.LearnHours({}, {});
  EXPECT_THAT(Explained(predictor, "standup"), IsEmpty());
}

TEST_F(PredictorTest, MemoryIsBoundedAndWhatMattersStays) {
  Predictor predictor({.max_keys = 500});
  for (int i = 0; i < 200; ++i) {
    LearnHabits(predictor, 1);
    for (int j = 0; j < 100; ++j) {
      Ask(predictor, {absl::StrCat("noise:", i, ".", j)},
          static_cast<uint64_t>(50'000 + i * 100 + j));
    }
  }
  EXPECT_LE(predictor.keys(), 500u);
  EXPECT_LE(predictor.pairs(), 250u);
  EXPECT_LE(predictor.callers(), Predictor::kMaxCallers);
  Ask(predictor, {"task"}, 7);
  EXPECT_THAT(Taken(predictor), ElementsAre("board", "project"));
}

TEST_F(PredictorTest, OnShuffledReadsItExpectsAlmostNothing) {
  Predictor predictor({});
  uint64_t random = 1;
  size_t predicted = 0;
  const int reads = 50'000;
  for (int i = 0; i < reads; ++i) {
    random = random * 6364136223846793005 + 1442695040888963407;
    Ask(predictor, {absl::StrCat("key:", (random >> 33) % 2000)}, 1 + random % 50);
    predicted += Taken(predictor).size();
  }
  EXPECT_LT(predicted, reads / 100u);
}

TEST(HeavySuccessorsTest, WhatIsFrequentIsThereWhateverElseComes) {
  HeavySuccessors successors;
  for (uint64_t i = 0; i < 10'000; ++i) successors.Add(i % 3 == 0 ? 7 : 1000 + i);
  const auto& places = successors.places();
  const auto it =
      std::find_if(places.begin(), places.end(), [](const auto& place) { return place.key == 7; });
  ASSERT_NE(it, places.end());
  EXPECT_LE(it->sure(), 3334.0F) << "never more than there were";
  EXPECT_GT(it->sure(), 1500.0F);
  for (int i = 0; i < 200; ++i) successors.Decay(0.5F);
  for (const auto& place : successors.places()) EXPECT_EQ(place.key, 0u);
}

}  // namespace
}  // namespace meridian
