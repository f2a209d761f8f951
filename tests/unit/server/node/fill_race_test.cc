// A hundred thousand races of changes with loads that are under way, and as many more with leases
// and reads, by several threads: nobody is ever given what a change had made old before they asked,
// and one load of a key runs, and one lease is valid, while nothing newer happens to it.

#include <string>
#include <thread>
#include <vector>

#include "tests/unit/server/node/fill_race_fixture.h"

namespace meridian {

#if defined(__SANITIZE_THREAD__)
constexpr int kDivisor = 20;
#elif defined(__SANITIZE_ADDRESS__)
constexpr int kDivisor = 10;
#else
constexpr int kDivisor = 1;
#endif
constexpr int kThreads = 3;

// The test must test something: "" when it has, of every key, else what there was too little of.
std::string FillRaceTest::TooFew(int races) const {
  const RaceKind& kind = GetParam();
  const int of_a_key = races / static_cast<int>(kKeys);
  std::string few;
  const auto want = [&few](const char* what, int is, int least) {
    if (is <= least) absl::StrAppend(&few, what, " ", is, " of more than ", least, "; ");
  };
  for (size_t i = 0; i < kKeys; ++i) {
    const int counts[] = {rows_[i].races, rows_[i].checked, rows_[i].told};
    if (counts[0] > of_a_key / 4 && counts[1] > of_a_key / 20 &&
        (!kind.two_nodes || counts[2] > of_a_key / 10)) {
      continue;
    }
    absl::StrAppend(&few, kNames[i], ": ", counts[0], " races, ", counts[1], " checked, ",
                    counts[2], " told; ");
  }
  want("loads or leases", kind.origin ? loads_ : leases_, races / 20);
  if (!kind.origin) {
    want("filled", filled_, races / 100);
    want("lost", lost_, races / 100);
  }
  if (kDivisor == 1 && kind.writer_ahead < absl::ZeroDuration()) want("overtaken", overtaken_, 10);
  if (kDivisor == 1 && !kind.l1_only && !kind.two_nodes) want("stale", stale_, races / 1000);
  return few;
}

namespace {

TEST_P(FillRaceTest, NobodyIsGivenWhatWasOldBeforeTheyAsked) {
  const int races = GetParam().races / kDivisor;
  // A thread that the machine lets stand in the midst of a change keeps that key from the others,
  // in a short run for most of it; so a run goes on until it has tested something.
  const auto done = [&] {
    return Failed() || (races_ >= races && (races_ >= 20 * races || TooFew(races).empty()));
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t, &done] {
      Random random(static_cast<uint64_t>(t) + 1);
      while (!done()) Step(random);
    });
  }
  for (std::thread& thread : threads) thread.join();
  Random random(99);
  if (!Failed()) Drain(random);
  absl::MutexLock lock(&failures_mu_);
  EXPECT_THAT(failures_, testing::IsEmpty());
  if (!failures_.empty()) return;
  RecordProperty("races", races_);
  RecordProperty("stale", stale_);
  RecordProperty("overtaken", overtaken_);
  EXPECT_EQ(node_->misses().flights().size(), 0);
  EXPECT_EQ(node_->misses().flights().waiters(), 0);
  EXPECT_EQ(node_->misses().flights().leased(), 0);
  EXPECT_EQ(TooFew(races), "");
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, FillRaceTest,
    testing::Values(RaceKind{"Origin", true, false, 100'000},
                    RaceKind{"OriginOfAnotherNodesWriter", true, false, 15'000,
                             /*two_nodes=*/true},
                    RaceKind{"OriginOfAWriterWhoseClockIsBehind", true, false, 15'000,
                             /*two_nodes=*/true, absl::Milliseconds(-2)},
                    RaceKind{"OriginOfAWriterWhoseClockIsAhead", true, false, 15'000,
                             /*two_nodes=*/true, absl::Milliseconds(2)},
                    RaceKind{"Lease", false, false, 50'000},
                    RaceKind{"OriginWithoutRedis", true, true, 5'000},
                    RaceKind{"LeaseWithoutRedis", false, true, 5'000}),
    [](const testing::TestParamInfo<RaceKind>& kind) { return kind.param.name; });

}  // namespace
}  // namespace meridian
