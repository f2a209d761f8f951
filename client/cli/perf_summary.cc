#include "client/cli/perf_summary.h"

#include <algorithm>
#include <cmath>

namespace meridian::cli {
namespace {

// The value below which `share` of the sorted values lie.
double Percentile(const std::vector<double>& sorted, double share) {
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::min(std::max<size_t>(rank, 1), sorted.size()) - 1];
}

}  // namespace

Summary Summarize(std::vector<double> values) {
  Summary summary;
  summary.count = values.size();
  if (values.empty()) return summary;
  std::sort(values.begin(), values.end());
  for (const double value : values) summary.mean += value;
  const auto count = static_cast<double>(values.size());
  summary.mean /= count;
  double squares = 0;
  for (const double value : values) squares += (value - summary.mean) * (value - summary.mean);
  if (values.size() > 1) summary.std_dev = std::sqrt(squares / (count - 1));
  summary.min = values.front();
  summary.max = values.back();
  summary.p50 = Percentile(values, 0.50);
  summary.p95 = Percentile(values, 0.95);
  summary.p99 = Percentile(values, 0.99);
  return summary;
}

nlohmann::ordered_json ToJson(const Summary& summary) {
  return {{"count", summary.count}, {"mean_ms", summary.mean}, {"std_dev_ms", summary.std_dev},
          {"min_ms", summary.min},  {"max_ms", summary.max},   {"p50_ms", summary.p50},
          {"p95_ms", summary.p95},  {"p99_ms", summary.p99}};
}

}  // namespace meridian::cli
