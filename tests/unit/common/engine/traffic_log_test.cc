#include "common/engine/traffic_log.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace meridian {
namespace {

void Ask(TrafficLog& log, uint64_t hash, int64_t second = 1) {
  log.Record(TrafficKind::kHit, hash, absl::Seconds(second), 100,
             {.given = absl::Seconds(60), .own = absl::Hours(1)});
}

TEST(TrafficLogTest, KeepsTheLastRequestsInOrder) {
  TrafficLog log(4);
  for (uint64_t i = 0; i < 10; ++i) Ask(log, i, static_cast<int64_t>(i));
  const TrafficLog::Snapshot snapshot = log.Copy();
  ASSERT_EQ(snapshot.requests.size(), 4u);
  EXPECT_EQ(log.bytes(), 4 * sizeof(LoggedRequest));
  EXPECT_EQ(snapshot.rate, 1);
  EXPECT_EQ(snapshot.asked, 10u);
  for (uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(snapshot.requests[i].hash, 6 + i);
    EXPECT_EQ(snapshot.requests[i].asked, 7 + i);
    EXPECT_EQ(snapshot.requests[i].time_us, static_cast<int64_t>(6 + i) * 1'000'000);
    EXPECT_EQ(snapshot.requests[i].given_ms, 60'000u);
    EXPECT_EQ(snapshot.requests[i].own_ms, 3'600'000u);
    EXPECT_EQ(snapshot.requests[i].size, 100u);
  }
}

TEST(TrafficLogTest, ALargeCacheIsSampledByKey) {
  TrafficLog log(1 << 16);
  log.FitTo(64 * TrafficLog::kMaxShadowEntries);
  std::mt19937_64 random(9);
  std::vector<uint64_t> hashes(10'000);
  for (uint64_t& hash : hashes) hash = random();
  for (int round = 0; round < 3; ++round) {
    for (const uint64_t hash : hashes) Ask(log, hash);
  }
  const TrafficLog::Snapshot snapshot = log.Copy();
  EXPECT_EQ(snapshot.rate, 1.0 / 64);
  EXPECT_EQ(snapshot.asked, 30'000u) << "all Gets are counted";
  std::set<uint64_t> keys;
  for (const LoggedRequest& request : snapshot.requests) keys.insert(request.hash);
  EXPECT_EQ(snapshot.requests.size(), keys.size() * 3) << "a key is in the sample always or never";
  EXPECT_NEAR(static_cast<double>(keys.size()), 10'000.0 / 64, 60);
}

TEST(TrafficLogTest, AGrowingCacheKeepsTheLogOfTheKeysThatStay) {
  TrafficLog log(1 << 16);
  std::mt19937_64 random(9);
  for (int i = 0; i < 10'000; ++i) Ask(log, random());
  log.FitTo(4 * TrafficLog::kMaxShadowEntries);
  const TrafficLog::Snapshot quarter = log.Copy();
  EXPECT_EQ(quarter.rate, 0.25);
  EXPECT_NEAR(static_cast<double>(quarter.requests.size()), 2500, 250);
  log.FitTo(2 * TrafficLog::kMaxShadowEntries);
  EXPECT_EQ(log.Copy().requests.size(), quarter.requests.size()) << "not for a factor of two";
  log.FitTo(32 * TrafficLog::kMaxShadowEntries);
  EXPECT_EQ(log.Copy().rate, 1.0 / 32);
  log.FitTo(1);
  EXPECT_EQ(log.Copy().rate, 1);
  EXPECT_TRUE(log.Copy().requests.empty()) << "what was not sampled is not known";
}

}  // namespace
}  // namespace meridian
