// The experiments of source 004, whose requests are for 10 popular items at 80 %, and else for a
// long tail.
//
// 50 requests (4-06): hits counted from an empty cache, from a warmed one, and once more after the
// first run. From an empty cache each popular item misses once and each item of the tail misses:
// 40 - 10 = 30 hits of 50, the 60 % that the source measured.
// Which layer answers (4-08, 4-09): 100 requests a second for an hour, with an L1 that has no room
// for the tail, and values that live for five minutes.

#ifndef MERIDIAN_BENCH_WORKLOADS_PARETO_EXPERIMENT_H_
#define MERIDIAN_BENCH_WORKLOADS_PARETO_EXPERIMENT_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace meridian {

// Mean hit ratios of L1 over many repetitions.
struct ParetoReport {
  double cold = 0;
  double warmed = 0;  // The popular items were put before.
  double second = 0;  // The same 50 requests' worth again, after the cold run.
};

// Shares of all requests.
struct LayerShares {
  double l1 = 0;
  double l2 = 0;
  double origin = 0;
};

ParetoReport RunParetoExperiment(uint64_t seed);
LayerShares RunLayerExperiment(uint64_t seed);

std::string ToText(const ParetoReport& report);
std::string ToText(const LayerShares& shares);
nlohmann::json ToJson(const ParetoReport& report);
nlohmann::json ToJson(const LayerShares& shares);

}  // namespace meridian

#endif  // MERIDIAN_BENCH_WORKLOADS_PARETO_EXPERIMENT_H_
