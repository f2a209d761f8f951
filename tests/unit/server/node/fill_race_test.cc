// A hundred thousand races of changes with loads that are under way, and as many more with leases
// and reads, by several threads: nobody is ever given what a change had made old before they asked,
// and one load of a key runs, and one lease is valid, while nothing newer happens to it.

#include <thread>
#include <vector>

#include "tests/unit/server/node/fill_race_fixture.h"

namespace meridian {
namespace {

#if defined(__SANITIZE_THREAD__)
constexpr int kDivisor = 20;
#elif defined(__SANITIZE_ADDRESS__)
constexpr int kDivisor = 10;
#else
constexpr int kDivisor = 1;
#endif
constexpr int kThreads = 3;

TEST_P(FillRaceTest, NobodyIsGivenWhatWasOldBeforeTheyAsked) {
  const int races = GetParam().races / kDivisor;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t, races] {
      Random random(static_cast<uint64_t>(t) + 1);
      while (races_ < races && !Failed()) Step(random);
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
  EXPECT_EQ(node_->misses().flights().size(), 0);
  EXPECT_EQ(node_->misses().flights().waiters(), 0);
  EXPECT_EQ(node_->misses().flights().leased(), 0);
  // The test must test something.
  const int of_a_key = races / static_cast<int>(kKeys);
  for (size_t i = 0; i < kKeys; ++i) {
    SCOPED_TRACE(kNames[i]);
    EXPECT_GT(rows_[i].races, of_a_key / 4);
    EXPECT_GT(rows_[i].checked, of_a_key / 20);
    if (GetParam().two_nodes) {
      EXPECT_GT(rows_[i].told, of_a_key / 10);
    }
  }
  EXPECT_GT(GetParam().origin ? loads_ : leases_, races / 20);
  if (GetParam().two_nodes && kDivisor == 1) {
    RecordProperty("overtaken", overtaken_);
    if (GetParam().writer_ahead < absl::ZeroDuration()) {
      EXPECT_GT(overtaken_, 10);
    }
  }
  if (!GetParam().origin) {
    EXPECT_GT(filled_, races / 100);
    EXPECT_GT(lost_, races / 100);
  }
  if (!GetParam().l1_only && !GetParam().two_nodes && kDivisor == 1) {
    EXPECT_GT(stale_, races / 1000);
  }
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
