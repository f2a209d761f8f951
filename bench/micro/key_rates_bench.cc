// What it costs a read to be counted for the list of hot keys: the limit is 20 ns.

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "server/node/key_rates.h"

namespace meridian {
namespace {

constexpr size_t kKeys = 100'000;
constexpr size_t kReads = size_t{1} << 20;

struct Traffic {
  std::vector<std::string> keys;
  std::vector<uint64_t> hashes;
  std::vector<uint32_t> reads;  // Indexes of keys.
};

// Zipf's law with this exponent; 0: every key as often as every other.
Traffic MakeTraffic(double exponent) {
  Traffic traffic;
  std::vector<double> shares;
  for (size_t i = 0; i < kKeys; ++i) {
    traffic.keys.push_back(absl::StrCat("persona:", i));
    traffic.hashes.push_back(Hash64(traffic.keys.back()));
    shares.push_back(1 / std::pow(static_cast<double>(i + 1), exponent));
  }
  std::discrete_distribution<uint32_t> pick(shares.begin(), shares.end());
  std::mt19937 random(7);
  for (size_t i = 0; i < kReads; ++i) traffic.reads.push_back(pick(random));
  return traffic;
}

void Count(benchmark::State& state, const Traffic& traffic, KeyRates& rates) {
  size_t i = static_cast<size_t>(state.thread_index()) * 1009;
  absl::Duration now = absl::Hours(1);
  for (auto _ : state) {
    const uint32_t read = traffic.reads[i++ % kReads];
    now += absl::Microseconds(5);
    if (rates.IsSampled()) rates.Count(traffic.hashes[read], traffic.keys[read], now);
  }
}

void BM_CountSkewed(benchmark::State& state) {
  static const auto& traffic = *new Traffic(MakeTraffic(0.99));
  static auto& rates = *new KeyRates;
  Count(state, traffic, rates);
}

// The worst case: no key is hot, so that most that are looked at are not known.
void BM_CountUniform(benchmark::State& state) {
  static const auto& traffic = *new Traffic(MakeTraffic(0));
  static auto& rates = *new KeyRates;
  Count(state, traffic, rates);
}

// What of it is the loop's own.
void BM_Nothing(benchmark::State& state) {
  static const auto& traffic = *new Traffic(MakeTraffic(0.99));
  size_t i = 0;
  absl::Duration now = absl::Hours(1);
  for (auto _ : state) {
    const uint32_t read = traffic.reads[i++ % kReads];
    now += absl::Microseconds(5);
    benchmark::DoNotOptimize(traffic.hashes[read]);
    benchmark::DoNotOptimize(traffic.keys[read].data());
    benchmark::DoNotOptimize(now);
  }
}

BENCHMARK(BM_Nothing);
BENCHMARK(BM_CountSkewed)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_CountUniform)->ThreadRange(1, 2)->UseRealTime();

}  // namespace
}  // namespace meridian
