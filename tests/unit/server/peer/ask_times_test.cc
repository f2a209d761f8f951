// How often a mirror asks owners for keys that are hot all the time.

#include "server/peer/ask_times.h"

#include <gtest/gtest.h>

namespace meridian {
namespace {

constexpr absl::Duration kMs = absl::Milliseconds(1);

// Who reads a hot key each millisecond for ten seconds, and is answered `outcome` after another;
// how often it asked.
int AsksInTenSeconds(AskOutcome outcome) {
  AskTimes times;
  int asks = 0;
  absl::Duration now = absl::Hours(1);
  for (int i = 0; i < 10'000; ++i) {
    now += kMs;
    if (!times.Begin(7, now)) continue;
    ++asks;
    times.End(7, outcome, now);
  }
  EXPECT_EQ(times.counts()[static_cast<size_t>(outcome)], asks);
  return asks;
}

TEST(AskTimesTest, WhatCannotBeMirroredIsNotAskedForInALoop) {
  EXPECT_LE(AsksInTenSeconds(AskOutcome::kTooLarge), 1);
  EXPECT_LE(AsksInTenSeconds(AskOutcome::kRefused), 10);
  EXPECT_GE(AsksInTenSeconds(AskOutcome::kRefused), 5) << "it may be kept by now";
  EXPECT_LE(AsksInTenSeconds(AskOutcome::kFailed), 50);
  EXPECT_LE(AsksInTenSeconds(AskOutcome::kMissing), 200);
}

// A look-aside service that deletes a hot key at each update fills it a moment later; if mirrors
// waited long, its owner would have all the traffic.
TEST(AskTimesTest, WhatIsMissingIsAskedForAgainWithinATwentiethOfASecond) {
  EXPECT_GE(AsksInTenSeconds(AskOutcome::kMissing), 150);
}

TEST(AskTimesTest, WhatAWriteHasOvertakenIsAskedForSoon) {
  for (const AskOutcome outcome : {AskOutcome::kKept, AskOutcome::kOvertaken}) {
    EXPECT_GE(AsksInTenSeconds(outcome), 450) << ToText(outcome);
  }
}

TEST(AskTimesTest, NobodyAsksForWhatIsBeingAskedForAndKeysStandAlone) {
  AskTimes times;
  const absl::Duration now = absl::Hours(1);
  EXPECT_TRUE(times.Begin(1, now));
  EXPECT_FALSE(times.Begin(1, now + absl::Hours(1)));
  EXPECT_TRUE(times.Begin(2, now));
  times.End(2, AskOutcome::kTooLarge, now);
  times.End(1, AskOutcome::kKept, now);
  EXPECT_TRUE(times.Begin(1, now + AskTimes::PauseAfter(AskOutcome::kKept)));
  EXPECT_FALSE(times.Begin(2, now + AskTimes::PauseAfter(AskOutcome::kKept)));
}

// More keys than are remembered once they may be asked for again.
TEST(AskTimesTest, ManyKeysAreForgottenButNotThoseThatWait) {
  AskTimes times;
  absl::Duration now = absl::Hours(1);
  EXPECT_TRUE(times.Begin(0, now));
  EXPECT_TRUE(times.Begin(1, now));
  times.End(1, AskOutcome::kTooLarge, now);
  for (uint64_t hash = 2; hash < 5000; ++hash) {
    now += kMs;
    EXPECT_TRUE(times.Begin(hash, now));
    times.End(hash, AskOutcome::kKept, now);
  }
  EXPECT_FALSE(times.Begin(0, now));
  EXPECT_FALSE(times.Begin(1, now));
}

}  // namespace
}  // namespace meridian
