// The simulator against figures that are known: worked out by hand, or published.

#include "bench/sim/simulation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "bench/sim/trace.h"

namespace meridian::sim {
namespace {

Trace TraceOf(const std::vector<uint64_t>& keys) {
  std::vector<Request> requests;
  for (const uint64_t key : keys) {
    requests.push_back(
        {.key = key, .time_ns = static_cast<int64_t>(requests.size() + 1) * 1'000'000});
  }
  return MakeTrace("made", std::move(requests));
}

uint64_t MissesOf(const Trace& trace, const std::string& policy, size_t entries) {
  const absl::StatusOr<SimulationResult> result =
      Simulate(trace, {.policy = policy, .capacity_entries = entries});
  EXPECT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->requests, trace.requests.size());
  return result->misses;
}

TEST(SimulationTest, SmallTracesWorkedOutByHand) {
  // Belady's own example: three frames, nine faults; four, ten. LRU has no such anomaly.
  const Trace belady = TraceOf({1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5});
  EXPECT_EQ(MissesOf(belady, "fifo", 3), 9u);
  EXPECT_EQ(MissesOf(belady, "fifo", 4), 10u);
  EXPECT_EQ(MissesOf(belady, "lru", 3), 10u);
  EXPECT_EQ(MissesOf(belady, "lru", 4), 8u);
  // The key that was asked for again stays: SIEVE keeps 1 where FIFO has lost it.
  const Trace again = TraceOf({1, 2, 1, 3, 4, 1});
  EXPECT_EQ(MissesOf(again, "fifo", 3), 5u);
  EXPECT_EQ(MissesOf(again, "sieve", 3), 4u);
}

TEST(SimulationTest, ALoopLargerThanTheCacheMissesAlways) {
  std::vector<uint64_t> keys;
  for (int round = 0; round < 50; ++round) {
    for (uint64_t key = 0; key < 11; ++key) keys.push_back(key);
  }
  for (const char* policy : {"fifo", "lru", "sieve"}) {
    EXPECT_EQ(MissesOf(TraceOf(keys), policy, 10), keys.size()) << policy;
    EXPECT_EQ(MissesOf(TraceOf(keys), policy, 11), 11u) << policy;
  }
}

TEST(SimulationTest, TimeExpiresEntriesBeforeOthersAreEvicted) {
  constexpr int64_t kSecond = 1'000'000'000;
  const Trace trace = MakeTrace("made", {{.key = 1, .time_ns = 0},
                                         {.key = 2, .time_ns = kSecond, .ttl_ns = kSecond},
                                         {.key = 3, .time_ns = 3 * kSecond},
                                         {.key = 1, .time_ns = 4 * kSecond}});
  const SimulationOptions options = {.policy = "lru", .capacity_entries = 2};
  SimulationOptions lazy = options;
  lazy.lazy_expiry = true;
  EXPECT_EQ(Simulate(trace, options)->misses, 3u) << "2 has expired, 1 may stay";
  EXPECT_EQ(Simulate(trace, lazy)->misses, 4u) << "the dead 2 has cost 1 its room";
}

TEST(SimulationTest, SharesAreRoundedAsThePublishedOnes) {
  std::vector<uint64_t> keys;
  for (uint64_t key = 0; key < 1011; ++key) keys.push_back(key);
  const Trace trace = TraceOf(keys);
  EXPECT_EQ(EntriesOf(trace, 0.001), 2u);
  EXPECT_EQ(EntriesOf(trace, 0.05), 51u);
  EXPECT_EQ(EntriesOf(trace, 0.1), 101u);
}

TEST(SimulationTest, RefusesWhatTheEngineRefuses) {
  EXPECT_FALSE(Simulate(TraceOf({1}), {.policy = "best", .capacity_entries = 1}).ok());
  EXPECT_FALSE(Simulate(TraceOf({1}), {.policy = "lru", .capacity_entries = 0}).ok());
}

// Published miss ratios by (trace, size, policy), count mode, capacity >= 64.
using Published = std::map<std::pair<std::string, std::string>, std::map<std::string, double>>;

Published ReadPublished(const std::filesystem::path& file) {
  Published published;
  std::ifstream input(file);
  std::string line;
  while (std::getline(input, line)) {
    const std::vector<std::string> fields = absl::StrSplit(line, ',');
    int capacity = 0;
    double ratio = 0;
    if (fields.size() < 7 || fields[5] != "count" || !absl::SimpleAtoi(fields[6], &capacity) ||
        capacity < 64 || !absl::SimpleAtod(fields[4], &ratio)) {
      continue;
    }
    published[{fields[0], fields[1]}][fields[2]] = ratio;
  }
  return published;
}

// The traces that take seconds; `scripts/bench hit-ratio --score` compares all.
TEST(SimulationTest, AgreesWithPublishedFigures) {
  const char* source_dir = std::getenv("MERIDIAN_SOURCE_DIR");
  const std::filesystem::path shared =
      std::filesystem::path(source_dir == nullptr ? "." : source_dir) / ".." / "shared";
  const Published published = ReadPublished(shared / "hit_ratio.csv");
  if (published.empty()) GTEST_SKIP() << "no hit_ratio.csv in ../shared";
  size_t cells = 0;
  for (const char* name : {"bu98_web", "corda_vault", "lirs_2pools", "lirs_gli", "lirs_multi3",
                           "lirs_sprite", "web12", "mooncake_conv"}) {
    const absl::StatusOr<Trace> trace =
        ReadTrace(shared / "traces" / (std::string(name) + ".csv.gz"));
    if (!trace.ok()) GTEST_SKIP() << trace.status();
    for (const auto& [cell, ratios] : published) {
      if (cell.first != name) continue;
      for (const auto& [policy, theirs] : std::map<std::string, std::string>{
               {"fifo", "FIFO"}, {"lru", "LRU"}, {"s3_fifo", "S3-FIFO"}, {"sieve", "SIEVE"}}) {
        const absl::StatusOr<SimulationResult> result =
            Simulate(*trace, {.policy = policy,
                              .capacity_entries = EntriesOf(*trace, std::stod(cell.second)),
                              .lazy_expiry = true});
        ASSERT_TRUE(result.ok()) << result.status();
        EXPECT_NEAR(result->miss_ratio(), ratios.at(theirs), 0.0005)
            << name << " " << cell.second << " " << policy;
        ++cells;
      }
    }
  }
  EXPECT_GT(cells, 100u);
}

}  // namespace
}  // namespace meridian::sim
