#include "server/replication/fetch_pace.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace meridian {
namespace {

constexpr size_t kKeys = 1000;
constexpr size_t kFetches = 8;
constexpr size_t kBytes = size_t{4} << 20;
constexpr absl::Duration kTimeout = absl::Seconds(5);

class FetchPaceTest : public testing::Test {
 protected:
  static std::vector<L2Record> Records(size_t count, size_t bytes) {
    L2Record record;
    record.record = Buffer::CopyOf(std::string(bytes, 'x'));
    return std::vector<L2Record>(count, record);
  }
  // All that may be fetched is, and answered.
  void Fetch(size_t bytes) {
    const size_t keys = pace_.Room();
    pace_.Answered(pace_.Sent(keys), Records(keys, bytes));
  }
  void BeLate() {
    const size_t keys = pace_.Room();
    const L2Record late{absl::DeadlineExceededError("late"), {}};
    pace_.Answered(pace_.Sent(keys), std::vector<L2Record>(keys, late));
  }

  FetchPace pace_{{.keys = kKeys, .fetches = kFetches, .bytes = kBytes, .timeout = kTimeout}};
};

TEST_F(FetchPaceTest, TheFirstFetchIsSmallAndTheyGrowAsTheyAreAnswered) {
  EXPECT_EQ(pace_.Room(), FetchPace::kFirstKeys);
  int fetches = 0;
  for (; pace_.Room() < kKeys; ++fetches) Fetch(100);
  EXPECT_LE(fetches, 8);
  // And that many of them at once.
  for (size_t i = 0; i < 20; ++i) Fetch(100);
  for (size_t i = 0; i < kFetches; ++i) {
    EXPECT_EQ(pace_.Room(), kKeys) << i;
    pace_.Sent(kKeys);
  }
  EXPECT_EQ(pace_.Room(), 0u);
}

TEST_F(FetchPaceTest, OfLargeRecordsFewAreAskedForAtOnce) {
  for (int i = 0; i < 20; ++i) Fetch(100);
  ASSERT_EQ(pace_.Room(), kKeys);
  pace_.Answered(pace_.Sent(2), Records(2, kBytes / 8));
  EXPECT_EQ(pace_.Room(), 8u) << "at once, not after a thousand of them";
  pace_.Answered(pace_.Sent(1), Records(1, 2 * kBytes));
  EXPECT_EQ(pace_.Room(), 1u);
  for (int i = 0; i < 1000; ++i) Fetch(100);
  EXPECT_EQ(pace_.Room(), kKeys) << "they are forgotten";
}

TEST_F(FetchPaceTest, WhatIsLateIsAskedForInPartsDownToOneWhichHasMoreTime) {
  std::vector<size_t> rooms;
  for (; pace_.Room() > 1; BeLate()) rooms.push_back(pace_.Room());
  EXPECT_EQ(rooms, (std::vector<size_t>{16, 8, 4, 2}));
  const absl::Duration first = pace_.Timeout(1);
  BeLate();
  EXPECT_GT(pace_.Timeout(1), first + kTimeout / 2);
  EXPECT_FALSE(pace_.is_exhausted());
  for (int i = 0; i < 10; ++i) BeLate();
  EXPECT_GE(pace_.Timeout(1), 16 * kTimeout);
  EXPECT_TRUE(pace_.is_exhausted());
  EXPECT_EQ(pace_.Room(), 1u);
}

TEST_F(FetchPaceTest, FetchesThatAreLateTogetherCountOnce) {
  for (int i = 0; i < 20; ++i) Fetch(100);
  const uint64_t one = pace_.Sent(100);
  const uint64_t other = pace_.Sent(100);
  const std::vector<L2Record> late(100, L2Record{absl::DeadlineExceededError("late"), {}});
  pace_.Answered(one, late);
  pace_.Answered(other, late);
  EXPECT_EQ(pace_.Room(), 100u) << "half of what was under way";
}

TEST_F(FetchPaceTest, WhatHasComeOfALateFetchTellsHowLargeTheyAre) {
  std::vector<L2Record> records = Records(16, kBytes / 2);
  for (size_t i = 1; i < records.size(); ++i) {
    records[i] = {absl::DeadlineExceededError("late"), {}};
  }
  pace_.Answered(pace_.Sent(16), records);
  EXPECT_EQ(pace_.Room(), 2u);
}

TEST_F(FetchPaceTest, ManyBytesHaveMoreTime) {
  pace_.Answered(pace_.Sent(1), Records(1, kBytes));
  EXPECT_EQ(pace_.Timeout(1), kTimeout + absl::Seconds(kBytes / LinkPace::kBytesPerSecond));
}

TEST_F(FetchPaceTest, AfterAnOutageTheyBeginSmallAgain) {
  for (int i = 0; i < 20; ++i) Fetch(100);
  pace_.BeginAnew();
  EXPECT_EQ(pace_.Room(), FetchPace::kFirstKeys);
}

TEST_F(FetchPaceTest, WhatIsRefusedTogetherIsAskedForInParts) {
  for (int i = 0; i < 20; ++i) Fetch(100);
  pace_.Refused(kKeys);
  EXPECT_EQ(pace_.Room(), kKeys / 4);
  for (int i = 0; i < 20; ++i) Fetch(100);
  EXPECT_EQ(pace_.Room(), kKeys);
}

}  // namespace
}  // namespace meridian
