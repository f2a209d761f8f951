#include "client/internal/hot_spread.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

constexpr char kSpace[] = "task";

class HotSpreadTest : public testing::Test {
 protected:
  // A second of batches of two keys, one of which is always the same; how often that one was spread.
  int ReadBatches() {
    int spread = 0;
    for (int i = 0; i < 1000; ++i) {
      now_ += absl::Milliseconds(1);
      spread += spread_.SpreadsOfBatch(kSpace, "hot", now_) ? 1 : 0;
      others_ += spread_.SpreadsOfBatch(kSpace, absl::StrCat("key:", i), now_) ? 1 : 0;
    }
    return spread;
  }

  HotSpread spread_;
  absl::Duration now_ = absl::Hours(1);
  int others_ = 0;
};

TEST_F(HotSpreadTest, AKeyThatIsHalfOfAllBatchesIsSpreadAndNoOther) {
  ReadBatches();
  EXPECT_GT(ReadBatches(), 900);
  EXPECT_EQ(others_, 0);
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
