// The experiment of source 004 (4-06): 50 requests, 80 % of them for 10 popular items, the others
// for a long tail; hits counted from an empty cache, from a warmed one, and once more after the
// first run.
//
// From an empty cache each popular item misses once and each item of the tail misses: 40 - 10 = 30
// hits of 50, the 60 % that the source measured.

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

ParetoReport RunParetoExperiment(uint64_t seed);

std::string ToText(const ParetoReport& report);
nlohmann::json ToJson(const ParetoReport& report);

}  // namespace meridian

#endif  // MERIDIAN_BENCH_WORKLOADS_PARETO_EXPERIMENT_H_
