// Summary says what a list of times was like. Thread safety: pure functions.

#ifndef MERIDIAN_CLIENT_CLI_PERF_SUMMARY_H_
#define MERIDIAN_CLIENT_CLI_PERF_SUMMARY_H_

#include <cstddef>
#include <nlohmann/json.hpp>
#include <vector>

namespace meridian::cli {

// Milliseconds; all 0 without values.
struct Summary {
  size_t count = 0;
  double mean = 0;
  double std_dev = 0;  // Of a sample (n - 1); 0 of a single value.
  double min = 0;
  double max = 0;
  double p50 = 0;
  double p95 = 0;
  double p99 = 0;
};

Summary Summarize(std::vector<double> values);

// Fields as in Summary, with _ms.
nlohmann::ordered_json ToJson(const Summary& summary);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_PERF_SUMMARY_H_
