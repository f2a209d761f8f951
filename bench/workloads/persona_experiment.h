// The experiment of source 000: its baseline, its plan and our tuning on the same traffic.

#ifndef MERIDIAN_BENCH_WORKLOADS_PERSONA_EXPERIMENT_H_
#define MERIDIAN_BENCH_WORKLOADS_PERSONA_EXPERIMENT_H_

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/workloads/persona_workload.h"

namespace meridian {

// Shares of requests; a request for several keys counts by the share of its keys.
struct HitShares {
  double l1 = 0;
  double l2 = 0;
  double requests = 0;

  double L1Ratio() const { return requests == 0 ? 0 : l1 / requests; }
  double CombinedRatio() const { return requests == 0 ? 0 : (l1 + l2) / requests; }
};

struct PersonaRun {
  std::string name;
  HitShares all;
  std::array<HitShares, PersonaWorkload::kEndpoints> by_endpoint;
  double evictions_per_hour = 0;  // For want of room.
  double mean_entries = 0;
  double mean_bytes = 0;  // Charged, overhead included.
};

struct PersonaReport {
  std::vector<PersonaRun> runs;  // The baseline first.
};

// Configuration files of meridian-node: what the source planned, and what we found better.
struct PersonaProfiles {
  std::string planned;
  std::string tuned;
};

// Returns kFailedPrecondition when the model does not reproduce the baseline of the source, or what
// is wrong with a profile.
absl::StatusOr<PersonaReport> RunPersonaExperiment(const PersonaProfiles& profiles, double hours,
                                                   uint64_t seed);

// The baseline and the first phase of the plan alone (0-09): the planned configuration, with the
// hundred most common combinations warmed.
absl::StatusOr<PersonaReport> RunPersonaPhase1(const std::string& planned, double hours,
                                               uint64_t seed);

std::string ToText(const PersonaReport& report);
nlohmann::json ToJson(const PersonaReport& report);

}  // namespace meridian

#endif  // MERIDIAN_BENCH_WORKLOADS_PERSONA_EXPERIMENT_H_
