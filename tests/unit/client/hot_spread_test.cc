#include "client/internal/hot_spread.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

constexpr char kSpace[] = "task";

class HotSpreadTest : public testing::Test {
 protected:
  // A second of so many batches, of which each `hot_one_in`th has "hot" among its keys; how often
  // that one was spread.
  int ReadBatches(int batches, size_t size, int hot_one_in) {
    int spread = 0;
    for (int i = 0; i < batches; ++i) {
      now_ += absl::Seconds(1) / batches;
      for (size_t key = 0; key < size; ++key) {
        if (key == size / 2 && i % hot_one_in == 0) {
          spread += spread_.SpreadsOfBatch(kSpace, "hot", size, now_) ? 1 : 0;
        } else {
          const std::string other = absl::StrCat("key:", next_++);
          others_ += spread_.SpreadsOfBatch(kSpace, other, size, now_) ? 1 : 0;
        }
      }
    }
    return spread;
  }
  int ReadBatches() { return ReadBatches(1000, 2, 1); }

  HotSpread spread_;
  absl::Duration now_ = absl::Hours(1);
  int others_ = 0;
  int next_ = 0;
};

TEST_F(HotSpreadTest, AKeyThatIsHalfOfAllBatchesIsSpreadAndNoOther) {
  ReadBatches();
  EXPECT_GT(ReadBatches(), 900);
  EXPECT_EQ(others_, 0);
}

// The share is of calls, whatever else they ask for.
TEST_F(HotSpreadTest, AKeyInEveryBatchOfTwentyIsSpreadAndNoOther) {
  for (const size_t size : {11, 20, 50}) {
    SCOPED_TRACE(size);
    ReadBatches(500, size, 1);
    EXPECT_GT(ReadBatches(500, size, 1), 450);
    now_ += absl::Seconds(10);
  }
  EXPECT_EQ(others_, 0);
}

TEST_F(HotSpreadTest, AKeyInHalfOfTheBatchesOfTwentyIsSpread) {
  ReadBatches(1000, 20, 2);
  EXPECT_GT(ReadBatches(1000, 20, 2), 450);
  EXPECT_EQ(others_, 0);
}

TEST_F(HotSpreadTest, AKeyInOneOfAHundredBatchesIsNotSpread) {
  for (int second = 0; second < 10; ++second) EXPECT_EQ(ReadBatches(4000, 2, 100), 0);
}

// What is counted is a sample and stands for all: the rate is that of the reads.
TEST_F(HotSpreadTest, TwentyReadsASecondAreEnoughInBatchesAsInGets) {
  int spread = 0;
  for (int second = 0; second < 20; ++second) spread += ReadBatches(50, 2, 1);
  EXPECT_GT(spread, 850) << "fifty a second";
  spread = 0;
  now_ += absl::Seconds(10);
  for (int second = 0; second < 20; ++second) spread += ReadBatches(5, 2, 1);
  EXPECT_LT(spread, 10) << "five a second";
  spread = 0;
  for (int i = 0; i < 300; ++i) {
    now_ += absl::Seconds(1) / 30;
    spread += spread_.Spreads(kSpace, "hot of gets", now_) ? 1 : 0;
  }
  EXPECT_GT(spread, 250) << "thirty Gets a second";
}

TEST_F(HotSpreadTest, WhatWasCountedBeforeIsJudgedWithoutBeingCounted) {
  for (int i = 0; i < 10'000; ++i) {
    now_ += absl::Milliseconds(1);
    EXPECT_FALSE(spread_.SpreadsStill(kSpace, "hot", now_));
  }
  ReadBatches();
  EXPECT_TRUE(spread_.SpreadsStill(kSpace, "hot", now_));
  spread_.Wrote(kSpace, "hot", now_);
  EXPECT_FALSE(spread_.SpreadsStill(kSpace, "hot", now_));
}

TEST_F(HotSpreadTest, AKeyOfBatchesThatWasWrittenIsReadFromItsOwnerForAWhile) {
  ReadBatches();
  spread_.Wrote(kSpace, "hot", now_);
  for (int second = 0; second < 14; ++second) EXPECT_EQ(ReadBatches(), 0);
  ReadBatches();
  EXPECT_GT(ReadBatches(), 900);
}

TEST_F(HotSpreadTest, GetsAndBatchesTellOfTheSameKeys) {
  ReadBatches();
  EXPECT_TRUE(spread_.Spreads(kSpace, "hot", now_));
  EXPECT_FALSE(spread_.Spreads("other", "hot", now_));
}

}  // namespace
}  // namespace meridian
