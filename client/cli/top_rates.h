// What nodes did between two looks at their figures: rates, hit rates by tier, percentiles, memory.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_CLIENT_CLI_TOP_RATES_H_
#define MERIDIAN_CLIENT_CLI_TOP_RATES_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/time/time.h"
#include "common/telemetry/histogram.h"
#include "meridian/admin/v1/admin_service.pb.h"

namespace meridian::cli {

struct TopRow {
  std::string region;
  std::string node;        // "all": the sum of the region's.
  std::string problem;     // Why nothing is known; empty: it answers.
  bool has_rates = false;  // False: there was no earlier look since its start.
  double calls = 0;        // These a second.
  double failed_calls = 0;
  double l1_hits = 0;
  double l2_hits = 0;
  double misses = 0;
  double read_errors = 0;          // Keys whose read failed, also in calls that did not.
  double cpu = 0;                  // Cores in use.
  HistogramSnapshot call_latency;  // Between the two looks.
  uint64_t l1_bytes = 0;
  uint64_t l1_limit_bytes = 0;
  uint64_t l2_used_bytes = 0;
  uint64_t l2_limit_bytes = 0;  // 0: no limit.
  absl::Duration lag;           // The worst of its links.

  double Reads() const { return l1_hits + l2_hits + misses; }
  // The part of the reads, 0..1; 0 without reads.
  double Share(double part) const { return Reads() > 0 ? part / Reads() : 0; }
  double QuantileMs(double q) const { return 1000 * call_latency.Quantile(q); }
};

// `earlier` is null when there is none; of another start of the node it counts as none.
TopRow RowOf(const admin::v1::GetFiguresResponse* earlier,
             const admin::v1::GetFiguresResponse& now);

// Adds a node to the sum of its region; of the lag and of what Redis uses the largest counts.
void AddTo(TopRow* sum, const TopRow& node);

nlohmann::ordered_json ToJson(const TopRow& row);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_TOP_RATES_H_
